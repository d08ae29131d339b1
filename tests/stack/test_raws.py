"""Raws through the real stack: skipped where it cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.cli import main
from lsst.ctrl.rapid.instruments import RawImage, focal_plane_to_sky, load_camera, read_raw
from support.processes import TIMEOUT, rapid_here

pytestmark = [
    pytest.mark.usefixtures("full_stack"),
    # Compiled libraries of the stack have warnings of their own, which are not this package's.
    pytest.mark.filterwarnings("default"),
]

RAWS = {
    "3018092000065-det000.fits": ("LATISS", 0),
    "3019031900001-R10-S02-det029.fits": ("LSSTCam", 29),
    "3019053000001-R22-S00-det000.fits": ("LSSTComCam", 0),
    "30211212000310-R22-S22-det098.fits": ("LSSTCam", 98),
    "7024032100720-R22-S11-det094.fits.fz": ("LSSTCamSim", 94),
}


def with_pixels(source: Path, target: Path) -> Path:
    """Copy a raw, uncompressed, with pixels that all differ in place of the zeros that were published."""
    with fits.open(source) as hdus:
        segments: list[Any] = [fits.PrimaryHDU(header=hdus[0].header)]
        for at, hdu in enumerate(hdus[1:17]):
            rows, columns = hdu.shape
            pixels = at * rows * columns + np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
            segments.append(fits.ImageHDU(pixels % 200_000, hdu.header))
        fits.HDUList(segments).writeto(target, output_verify="silentfix+ignore")
    return target


def assemble(raw: RawImage) -> np.ndarray:
    image = np.full(raw.bbox.shape, -1)
    for segment in raw.segments:
        box, geometry = segment.amplifier.bbox, segment.amplifier.unassembled_raw_geometry
        assert geometry is not None
        data = segment.oriented(segment.section(geometry.data_bbox))
        image[box.y.start : box.y.stop, box.x.start : box.x.stop] = data
    return image


@pytest.fixture
def registered(shared_data: Path, tmp_path: Path) -> Iterator[tuple[Butler, dict[str, Path]]]:
    """Return a repository of the stack with one raw of each camera, and the files."""
    files = {name: with_pixels(shared_data / "raws" / name, tmp_path / Path(name).stem) for name in RAWS}
    for command in (
        ["init-repo", str(tmp_path / "repo"), *(f"--instrument={name}" for name, _ in RAWS.values())],
        ["ingest-raws", "-b", str(tmp_path / "repo"), *map(str, files.values())],
    ):
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
    with Butler.from_config(tmp_path / "repo") as butler:
        yield butler, files


def test_raws_are_those_of_the_stack(registered: tuple[Butler, dict[str, Path]]) -> None:
    """Converted, and assembled, they equal what this package reads; pixels look where their WCS says."""
    from lsst.geom import Point2D
    from lsst.ip.isr import AssembleCcdTask

    butler, files = registered
    config = AssembleCcdTask.ConfigClass()
    config.doTrim = True
    seen = 0
    for name, (instrument, detector) in RAWS.items():
        refs = butler.query_datasets("raw", "*", find_first=False, instrument=instrument)
        [ref] = [ref for ref in refs if ref.dataId["detector"] == detector]
        ours = read_raw(files[name], instrument=instrument, detector=detector)
        converted = butler.get(ref, storageClass="RapidRaw")
        assert (converted.instrument, converted.detector) == (instrument, detector)
        for one, two in zip(ours.segments, converted.segments, strict=True):
            assert np.array_equal(one.array, two.array)
            assert (one.amplifier.name, one.amplifier.bbox) == (two.amplifier.name, two.amplifier.bbox)
            assert one.amplifier.nominal_calibrations.gain == two.amplifier.nominal_calibrations.gain
            for box in ("data_bbox", "serial_overscan_bbox", "parallel_overscan_bbox", "flip_x", "flip_y"):
                assert getattr(one.amplifier.unassembled_raw_geometry, box) == getattr(
                    two.amplifier.unassembled_raw_geometry, box
                )
        exposure = butler.get(ref)
        wcs = exposure.getWcs()
        assert np.array_equal(
            AssembleCcdTask(config=config).assembleCcd(exposure).image.array, assemble(ours)
        )
        if wcs is None:
            continue
        [record] = butler.query_dimension_records("exposure", data_id=ref.dataId)
        x, y = np.array([0.0, 4000.0]), np.array([0.0, 100.0])
        vectors = focal_plane_to_sky(
            instrument, *load_camera(instrument)[detector].to_focal_plane(x, y),
            ra=record.tracking_ra, dec=record.tracking_dec, rotation=record.sky_angle,
        )  # fmt: skip
        for at in range(2):
            sky = np.array(wcs.pixelToSky(Point2D(x[at], y[at])).getVector())
            assert np.degrees(np.linalg.norm(sky - vectors[at])) * 3600 < 0.001
            seen += 1
    assert seen > 0


def test_a_run_defines_the_stacks_visits_and_ends_well(shared_data: Path, tmp_path: Path) -> None:
    """A thread other than the reading one must release nothing of AST: some builds end the process then."""
    name = "7024032100720-R22-S11-det094.fits.fz"
    (tmp_path / "landing").mkdir()
    with_pixels(shared_data / "raws" / name, tmp_path / "landing" / "raw.fits")
    repo = tmp_path / "repo"
    rapid_here("init-repo", repo, "--instrument", "LSSTCamSim")
    done = subprocess.run(
        [sys.executable, "-m", "lsst.ctrl.rapid.cli", "run", "summit.yaml#step1a", "-b", str(repo),
         "--watch", "landing", "--until-idle", "2", "--workers", "1", "--detectors", "94",
         *(word for field in ("doBias", "doDark", "doFlat") for word in ("-c", f"quickIsr:{field}=False"))],
        cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 done" in done.stdout
    with Butler.from_config(repo) as butler:
        [visit] = butler.query_dimension_records("visit", instrument="LSSTCamSim")
        assert visit.id == 7024032100720
