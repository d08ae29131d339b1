"""Detectors, amplifiers and directions on the sky, against values exported from cameraGeom and obs_base."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from lsst.images import Box

from lsst.ctrl.rapid.instruments import camera_names, focal_plane_to_sky, load_camera, read_raw
from lsst.ctrl.rapid.instruments._geometry import read_geometry
from lsst.ctrl.rapid.instruments._hdus import Hdu, scan_hdus
from support import camera_geom
from support.small_raws import write_segments

CAMERAS = ("LSSTCam", "LSSTCamSim", "LSSTComCam", "LSSTComCamSim", "LATISS")


@pytest.fixture(scope="module")
def stack(shared_data: Path) -> Path:
    return shared_data / "stack"


def detector_rows(stack: Path, instrument: str) -> list[dict[str, str]]:
    with (stack / f"{instrument}-detectors.csv").open() as stream:
        return list(csv.DictReader(stream))


def amplifier_rows(stack: Path, instrument: str) -> dict[int, list[dict[str, str]]]:
    rows = defaultdict(list)
    with gzip.open(stack / f"{instrument}-amplifiers.csv.gz", "rt") as stream:
        for row in csv.DictReader(stream):
            rows[int(row["detector"])].append(row)
    return rows


def box(row: dict[str, str], prefix: str = "") -> Box:
    x0, y0, x1, y1 = (int(row[f"{prefix}{limit}"]) for limit in ("x0", "y0", "x1", "y1"))
    return Box.factory[y0 : y1 + 1, x0 : x1 + 1]


def test_the_cameras_are_those_of_the_export() -> None:
    assert set(camera_names()) == set(CAMERAS)


@pytest.mark.parametrize("instrument", CAMERAS)
def test_every_detector(stack: Path, instrument: str) -> None:
    camera = load_camera(instrument)
    rows = detector_rows(stack, instrument)
    assert [str(number) for number in camera] == [row["id"] for row in rows]
    for row in rows:
        detector = camera[int(row["id"])]
        assert (detector.name, detector.serial) == (row["name"], row["serial"])
        assert (str(detector.purpose), detector.physical_type) == (row["type"], row["physical_type"])
        assert (detector.columns, detector.rows) == (int(row["bbox_x1"]) + 1, int(row["bbox_y1"]) + 1)
        assert len(detector.amplifiers) == int(row["n_amps"])
        left, low, right, high = -0.5, -0.5, detector.columns - 0.5, detector.rows - 0.5
        corners = {"ll": (left, low), "lr": (right, low), "ur": (right, high), "ul": (left, high)}
        for name, (x, y) in corners.items():
            expected = float(row[f"corner_{name}_x"]), float(row[f"corner_{name}_y"])
            assert detector.to_focal_plane(x, y) == pytest.approx(expected, abs=1e-6), (row["name"], name)
            back = detector.from_focal_plane(*map(np.array, expected))
            assert back == pytest.approx((x, y), abs=1e-4)


@pytest.mark.parametrize("instrument", CAMERAS)
def test_every_amplifier(stack: Path, tmp_path: Path, instrument: str) -> None:
    """Each detector's amplifiers, with the overscans of the export's readout, from files without DETSEC."""
    camera = load_camera(instrument)
    files: dict[int, list[Hdu]] = {}
    for number, rows in amplifier_rows(stack, instrument).items():
        if len(rows) not in files:
            path = tmp_path / f"{len(rows)}.fits"
            files[len(rows)] = scan_hdus(write_segments(path, [box(row, "raw_").shape for row in rows]))
        bbox, amplifiers = read_geometry(files[len(rows)], instrument, camera[number], name="raw.fits")
        assert [index for index, _ in amplifiers] == list(range(1, len(rows) + 1))
        for (_, amplifier), row in zip(amplifiers, rows, strict=True):
            geometry = amplifier.unassembled_raw_geometry
            assert geometry is not None
            assert amplifier.name == row["amp"]
            assert amplifier.bbox == box(row)
            assert geometry.bbox == box(row, "raw_")
            assert geometry.data_bbox == box(row, "rawdata_")
            assert geometry.serial_overscan_bbox == box(row, "hover_")
            assert geometry.parallel_overscan_bbox == box(row, "vover_")
            assert geometry.prescan_bbox == box(row, "prescan_")
            assert (geometry.flip_x, geometry.flip_y) == (row["flip_x"] == "1", row["flip_y"] == "1")
            assert (geometry.x_offset, geometry.y_offset) == (
                int(row["raw_xy_offset_x"]),
                int(row["raw_xy_offset_y"]),
            )
            assert geometry.readout_corner == row["readout_corner"]
            turned = geometry.readout_corner.apply_flips(y=geometry.flip_y, x=geometry.flip_x)
            assert amplifier.readout_corner == turned
            nominal = amplifier.nominal_calibrations
            assert nominal is not None
            assert nominal.gain == float(row["gain"])
            assert nominal.read_noise == float(row["read_noise"])
            assert nominal.saturation == float(row["saturation"])
            assert np.isnan(nominal.suspect_level)
        expected = Box.factory[: camera[number].rows, : camera[number].columns]
        assert bbox == expected


@pytest.mark.parametrize("instrument", CAMERAS)
def test_field_angles(stack: Path, instrument: str) -> None:
    exported = json.loads((stack / "optics.json").read_text())[instrument]
    optics = load_camera(instrument).optics
    assert optics.mirrored == exported["parity_flip_x"]
    x_mm, y_mm, *angles = np.array(exported["field_angle_arcsec"]).T
    found = np.degrees(optics.to_field_angle(x_mm, y_mm)) * 3600.0
    np.testing.assert_allclose(found, angles, atol=2e-6)


def test_directions_of_pixels(stack: Path) -> None:
    """Pixel, focal plane, field angle and sky: every row of the export within a hundredth of an arcsecond."""
    count = 0
    for name, observation in json.loads((stack / "observations.json").read_text()).items():
        instrument = observation["exposure_record"]["instrument"]
        for number, rows in observation.get("pixel_to_sky", {}).items():
            x, y, ra, dec = np.array(rows).T
            places = load_camera(instrument)[int(number)].to_focal_plane(x, y)
            boresight = observation["boresight"]
            found = focal_plane_to_sky(
                instrument,
                *places,
                ra=boresight["ra_deg"],
                dec=boresight["dec_deg"],
                rotation=boresight["rot_angle_deg"],
            )
            sky = SkyCoord(*found.T, representation_type="cartesian")
            off = sky.separation(SkyCoord(ra * u.deg, dec * u.deg)).arcsec
            assert off.max() < 0.01, (name, number)
            count += len(x)
    assert count > 300


@pytest.mark.parametrize("instrument", CAMERAS)
def test_the_facts_of_other_tests_are_those_of_the_export(stack: Path, instrument: str) -> None:
    camera = load_camera(instrument)
    for number, rows in amplifier_rows(stack, instrument).items():
        for row in rows:
            grid_row, grid_column, y_step, x_step = camera_geom.place(
                row["amp"], itl=camera[number].physical_type != "E2V", half=len(rows) == 8
            )
            where = box(row)
            assert (grid_row * where.y.size, grid_column * where.x.size) == (where.y.start, where.x.start)
            assert (y_step == -1, x_step == -1) == (row["flip_y"] == "1", row["flip_x"] == "1")


def test_the_compass_points_to_north_and_east(stack: Path) -> None:
    """Along the arrows of an exposure the exported declinations and right ascensions grow fastest."""
    seen = set()
    for observation in json.loads((stack / "observations.json").read_text()).values():
        if "boresight" not in observation:
            continue
        instrument = observation["exposure_record"]["instrument"]
        camera = load_camera(instrument)
        arrows = camera.optics.compass(observation["boresight"]["rot_angle_deg"])
        number, rows = next(iter(observation["pixel_to_sky"].items()))
        x, y, ra, dec = np.array(rows).T
        places = np.stack([*camera[int(number)].to_focal_plane(x, y), np.ones(len(x))], axis=1)
        for name, values in (("N", dec), ("E", ra)):
            slope = np.linalg.lstsq(places, values, rcond=None)[0][:2]
            # Meridians converge: away from the boresight the axes are turned by up to a degree.
            assert np.dot(slope / np.hypot(*slope), arrows[name]) > 0.999, (instrument, name)
        seen.add(instrument)
    assert {"LSSTCam", "LATISS", "LSSTComCam"} <= seen


REAL = {
    "3018092000065-det000.fits": ("LATISS", 0),
    "3019031900001-R10-S02-det029.fits": ("LSSTCam", 29),
    "3019053000001-R22-S00-det000.fits": ("LSSTComCam", 0),
    "30211212000310-R22-S22-det098.fits": ("LSSTCam", 98),
    "7024032100720-R22-S11-det094.fits.fz": ("LSSTCamSim", 94),
}


@pytest.mark.parametrize("name", REAL)
def test_real_raws_lie_as_the_export_says(shared_data: Path, stack: Path, name: str) -> None:
    """Real raws have DETSEC in either convention; their amplifiers lie where cameraGeom has them."""
    instrument, number = REAL[name]
    raw = read_raw(shared_data / "raws" / name, instrument=instrument, detector=number)
    rows = amplifier_rows(stack, instrument)[number]
    for segment, row in zip(raw.segments, rows, strict=True):
        geometry = segment.amplifier.unassembled_raw_geometry
        assert geometry is not None
        assert (segment.amplifier.name, segment.amplifier.bbox) == (row["amp"], box(row))
        assert (geometry.flip_x, geometry.flip_y) == (row["flip_x"] == "1", row["flip_y"] == "1")
