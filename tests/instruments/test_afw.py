"""Images of the full stack become those of this package, wherever the amplifiers lie."""

from __future__ import annotations

import csv
import gzip
import math
import sys
from collections.abc import Mapping
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from lsst.daf.butler import Config, StorageClass, StorageClassFactory
from lsst.images import MaskedImage
from lsst.images.cameras import ReadoutCorner as Corner

from lsst.ctrl.rapid.instruments import (
    AfwExposure,
    RawImage,
    image_from_exposure,
    raw_from_exposure,
    repository_config,
)
from support import afw_stand_in as afw

CAMERAS = ("LATISS", "LSSTCam", "LSSTComCam", "LSSTComCamSim")
type Row = Mapping[str, str]


def _box(row: Row, prefix: str) -> afw.Box2I:
    return afw.Box2I(*(int(row[f"{prefix}{name}"]) for name in ("x0", "y0", "x1", "y1")))


def _amplifier(row: Row) -> afw.Amplifier:
    return afw.Amplifier(
        name=row["amp"],
        bbox=_box(row, ""),
        raw=_box(row, "raw_"),
        data=_box(row, "rawdata_"),
        horizontal=_box(row, "hover_"),
        vertical=_box(row, "vover_"),
        prescan=_box(row, "prescan_"),
        offset=afw.Extent2I(int(row["raw_xy_offset_x"]), int(row["raw_xy_offset_y"])),
        flip_x=row["flip_x"] == "1",
        flip_y=row["flip_y"] == "1",
        corner=afw.ReadoutCorner[row["readout_corner"]],
        gain=float(row["gain"]),
        read_noise=float(row["read_noise"]),
        saturation=float(row["saturation"]),
    )


def _tables(shared_data: Path, camera: str) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    with gzip.open(shared_data / "stack" / f"{camera}-amplifiers.csv.gz", "rt") as stream:
        for row in csv.DictReader(stream):
            found.setdefault(int(row["detector"]), []).append(row)
    return found


def _detector(rows: list[Row], number: int = 1) -> afw.Detector:
    right, top = (max(int(row[name]) for row in rows) for name in ("x1", "y1"))
    return afw.Detector(number, "R22_S11", afw.Box2I(0, 0, right, top), [_amplifier(row) for row in rows])


def _segments(rows: list[Row]) -> list[np.ndarray]:
    """Return pixels that say where they are: the place in the file, a row and a column within limits."""
    segments = []
    for at, row in enumerate(rows):
        shape = int(row["raw_y1"]) + 1, int(row["raw_x1"]) + 1
        y, x = np.indices(shape, dtype=np.int32, sparse=True)
        segments.append(at * 10_000 + y % 89 * 100 + x % 97)
    return segments


@pytest.mark.parametrize("camera", CAMERAS)
def test_segments_are_those_of_the_file_for_every_kind_of_detector(shared_data: Path, camera: str) -> None:
    """The mosaic is made of the exported tables as afw does it, with the detector before and after."""
    kinds: dict[object, list[Row]] = {}
    for rows in _tables(shared_data, camera).values():
        geometry = tuple(tuple(list(row.values())[1:-4]) for row in rows)
        kinds.setdefault(geometry, rows)
    for rows in kinds.values():
        in_file = _detector(rows)
        segments = _segments(rows)
        mosaic = afw.assemble(segments, in_file).astype(np.float32)
        for detector in (in_file.transformed(), in_file):
            raw = raw_from_exposure(afw.ExposureF(mosaic, detector=detector))
            assert [segment.amplifier.name for segment in raw.segments] == [row["amp"] for row in rows]
            for segment, pixels, row in zip(raw.segments, segments, rows, strict=True):
                assert segment.array.dtype == np.int32
                np.testing.assert_array_equal(segment.array, pixels)
                geometry = segment.amplifier.unassembled_raw_geometry
                for found, prefix in (
                    (geometry.data_bbox, "rawdata_"),
                    (geometry.serial_overscan_bbox, "hover_"),
                    (geometry.parallel_overscan_bbox, "vover_"),
                    (geometry.prescan_bbox, "prescan_"),
                    (segment.amplifier.bbox, ""),
                ):
                    limits = found.x.min, found.y.min, found.x.max, found.y.max
                    assert limits == tuple(int(row[f"{prefix}{n}"]) for n in ("x0", "y0", "x1", "y1"))
                assert (geometry.flip_x, geometry.flip_y) == (row["flip_x"] == "1", row["flip_y"] == "1")
                nominal = segment.amplifier.nominal_calibrations
                assert (nominal.gain, nominal.read_noise) == (float(row["gain"]), float(row["read_noise"]))


ROW = {
    "amp": "A", "x0": 0, "y0": 0, "x1": 3, "y1": 1,
    "raw_x0": 0, "raw_y0": 0, "raw_x1": 8, "raw_y1": 2,
    "rawdata_x0": 3, "rawdata_y0": 0, "rawdata_x1": 6, "rawdata_y1": 1,
    "hover_x0": 7, "hover_y0": 0, "hover_x1": 8, "hover_y1": 1,
    "vover_x0": 3, "vover_y0": 2, "vover_x1": 6, "vover_y1": 2,
    "prescan_x0": 0, "prescan_y0": 0, "prescan_x1": 2, "prescan_y1": 1,
    "raw_xy_offset_x": 0, "raw_xy_offset_y": 0, "flip_x": "0", "flip_y": "0", "readout_corner": "LL",
    "gain": 1.5, "read_noise": 5, "saturation": 1e5,
}  # fmt: skip


@pytest.mark.parametrize("corner", ["LL", "LR", "UL", "UR"])
@pytest.mark.parametrize("flips", ["00", "10", "01", "11"])
def test_a_camera_of_another_observatory_reads_out_from_any_corner(corner: str, flips: str) -> None:
    """Its raws are one image in the file, with flips that are left to be made."""
    row = ROW | {"readout_corner": corner, "flip_x": flips[0], "flip_y": flips[1]}
    pixels = np.arange(27, dtype=np.uint16).reshape(3, 9)
    raw = raw_from_exposure(afw.ExposureU(pixels, detector=_detector([row])))
    [segment] = raw.segments
    geometry = segment.amplifier.unassembled_raw_geometry
    turned = Corner[corner].as_flips()
    expected = pixels[:: -1 if turned.y else 1, :: -1 if turned.x else 1]
    np.testing.assert_array_equal(segment.array, expected)
    # Assembled: the data section with the flips that the camera's geometry has.
    assembled = pixels[0:2, 3:7][:: -1 if flips[1] == "1" else 1, :: -1 if flips[0] == "1" else 1]
    np.testing.assert_array_equal(segment.oriented(segment.section(geometry.data_bbox)), assembled)
    np.testing.assert_array_equal(
        np.sort(segment.section(geometry.serial_overscan_bbox).ravel()), [7, 8, 16, 17]
    )


def test_an_image_that_begins_elsewhere_and_has_no_prescan() -> None:
    row = ROW | {"prescan_x1": -1}
    moved = [
        name for name in row if name.startswith(("raw_x", "rawdata_x", "hover_x", "vover_x", "prescan_x"))
    ]
    row |= {name: row[name] + 100 for name in moved if "offset" not in name}
    pixels = np.arange(27).reshape(3, 9)
    [segment] = raw_from_exposure(afw.ExposureI(pixels, detector=_detector([row]), xy0=(100, 0))).segments
    np.testing.assert_array_equal(segment.array, pixels)
    assert segment.amplifier.unassembled_raw_geometry.prescan_bbox is None


def test_fractions_are_kept() -> None:
    pixels = np.full((3, 9), 0.5, np.float32)
    [segment] = raw_from_exposure(afw.ExposureF(pixels, detector=_detector([ROW]))).segments
    assert segment.array.dtype == np.float32
    np.testing.assert_array_equal(segment.array, pixels)


def test_the_header_has_what_readers_moved_into_the_visit_information() -> None:
    cards = {"INSTRUME": "lsstCam", "COMMENT": ["a", "b"], "DARKTIME": 31.0, "WHEN": object()}
    info = afw.VisitInfo("LSSTCam", 30.0, 99.0)
    exposure = afw.ExposureI(np.zeros((3, 9)), detector=_detector([ROW], 94), metadata=cards, visit_info=info)
    raw = raw_from_exposure(exposure)
    assert raw.header == {"INSTRUME": "lsstCam", "COMMENT": "b", "DARKTIME": 31.0, "EXPTIME": 30.0}
    assert (raw.instrument, raw.detector) == ("LSSTCam", 94)
    unknown = afw.VisitInfo("", math.nan, math.nan)
    exposure = afw.ExposureI(np.zeros((3, 9)), detector=_detector([ROW]), visit_info=unknown)
    assert raw_from_exposure(exposure).header == {}


def test_what_is_no_raw_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="no detector"):
        raw_from_exposure(afw.ExposureI(np.zeros((3, 9))))
    with pytest.raises(ValueError, match="4 x 2 pixels, which leave amplifier A out: it is trimmed"):
        raw_from_exposure(afw.ExposureI(np.zeros((2, 4)), detector=_detector([ROW])))


@pytest.mark.parametrize(
    ("cards", "unit"),
    [
        ({"LSST ISR UNITS": "electron"}, u.electron),
        ({"LSST ISR UNITS": "adu", "BUNIT": "electron"}, u.adu),
        ({"BUNIT": "ADU"}, u.adu),
        ({"BUNIT": "electrons"}, u.electron),
        ({"BUNIT": "nJy"}, u.nJy),
        ({"LSST ISR UNITS": "", "BUNIT": None}, u.adu),
        ({}, u.adu),
    ],
)
def test_the_unit_of_a_calibration_is_read(cards: Mapping[str, object], unit: u.UnitBase) -> None:
    pixels = np.arange(6.0).reshape(2, 3)
    image = image_from_exposure(afw.ExposureF(pixels, metadata=cards, xy0=(4, 5)))
    assert image.unit == unit
    assert (image.bbox.x.min, image.bbox.y.min) == (4, 5)
    np.testing.assert_array_equal(image.array, pixels)


def test_a_unit_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="BUNIT is 'quux'"):
        image_from_exposure(afw.ExposureF(np.zeros((1, 1)), metadata={"BUNIT": "quux"}))


@pytest.mark.parametrize("stored", [afw.Exposure, afw.ExposureF, afw.ExposureI, afw.ExposureU])
@pytest.mark.parametrize("wanted", ["RapidRaw", "ImageV2"])
def test_the_storage_classes_take_exposures_of_all_kinds(stored: type, wanted: str) -> None:
    assert not issubclass(afw.Exposure, afw.Exposure)
    storage_class = StorageClassFactory().getStorageClass(wanted)
    assert storage_class.can_convert(StorageClass("StandIn", pytype=stored))
    assert not storage_class.can_convert(StorageClass("Other", pytype=afw.Image))
    assert not issubclass(MaskedImage, AfwExposure)


@pytest.mark.stack_absent
def test_nothing_of_the_stack_is_imported() -> None:
    assert "lsst.afw" not in sys.modules


def test_a_configuration_of_an_earlier_version_takes_no_converter_away() -> None:
    factory = StorageClassFactory()
    plain = repository_config()["storageClasses"]
    factory.addFromConfig(Config({"storageClasses": plain.toDict()}))
    raw = factory.getStorageClass("RapidRaw").coerce_type(
        afw.ExposureI(np.zeros((3, 9)), detector=_detector([ROW]))
    )
    assert isinstance(raw, RawImage)
