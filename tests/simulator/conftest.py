"""Simulated exposures, read back with astropy and cameraGeom's facts."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import astropy.io.fits
import numpy as np
import pytest
from astropy.table import Table

from lsst.ctrl.rapid.simulator import SimulationConfig, simulate
from support import camera_geom

START = "2026-03-16T03:00:00"
DETECTORS = (98, 29, 191, 192)


def _span(text: str) -> tuple[slice, int]:
    first, last = map(int, text.split(":"))
    return slice(min(first, last) - 1, max(first, last)), 1 if last >= first else -1


def section(text: str) -> tuple[tuple[slice, slice], tuple[int, int]]:
    """Slices of rows and columns, and their steps, of a section card."""
    columns, rows = re.fullmatch(r"\[([\d:]+),([\d:]+)\]", text).groups()
    (x, x_step), (y, y_step) = _span(columns), _span(rows)
    return (y, x), (y_step, x_step)


@dataclasses.dataclass
class Amplifier:
    name: str
    pixels: np.ndarray
    data: np.ndarray
    overscan: np.ndarray
    place: tuple[slice, slice]
    steps: tuple[int, int]

    @property
    def corrected(self) -> np.ndarray:
        """Data in the frame of the detector, ADU above the overscan of each row."""
        level = np.mean(self.overscan, axis=1, keepdims=True)
        return (self.data - level)[:: self.steps[0], :: self.steps[1]]


@dataclasses.dataclass
class Raw:
    path: Path
    header: astropy.io.fits.Header
    headers: list[astropy.io.fits.Header]
    amplifiers: list[Amplifier]
    shape: tuple[int, int]

    def assembled(self, gains: dict[str, float] | None = None) -> np.ndarray:
        image = np.full(self.shape, np.nan)
        for amplifier in self.amplifiers:
            gain = 1.0 if gains is None else gains[amplifier.name]
            image[amplifier.place] = amplifier.corrected * gain
        assert np.isfinite(image).all(), "the amplifiers leave a gap"
        return image


def read(path: Path) -> Raw:
    amplifiers = []
    with astropy.io.fits.open(path) as hdus:
        hdus.verify("exception")
        half = len(hdus) == 9
        for hdu in hdus[1:]:
            data, _ = section(hdu.header["DATASEC"])
            pixels = np.array(hdu.data)
            rows, columns = pixels[data].shape
            row, column, *steps = camera_geom.place(
                hdu.name, itl=hdus[0].header["CCD_MANU"] == "ITL", half=half
            )
            place = (
                slice(row * rows, (row + 1) * rows),
                slice(column * columns, (column + 1) * columns),
            )
            amplifiers.append(
                Amplifier(
                    "C" + hdu.name[-2:],
                    pixels,
                    pixels[data].astype(float),
                    pixels[data[0], data[1].stop :].astype(float),
                    place,
                    (steps[0], steps[1]),
                )
            )
        return Raw(
            path,
            hdus[0].header.copy(),
            [hdu.header.copy() for hdu in hdus[1:]],
            amplifiers,
            ((1 if half else 2) * rows, 8 * columns),
        )


@dataclasses.dataclass
class Night:
    folder: Path
    obs_ids: list[str]

    def raw(self, index: int, detector: int) -> Raw:
        lines = map(json.loads, (self.folder / "manifest.jsonl").read_text().splitlines())
        (line,) = (n for n in lines if n["obs_id"] == self.obs_ids[index] and n["detector"] == detector)
        return read(Path(line["path"]))

    def truth(self, index: int, detector: int) -> dict:
        text = (self.folder / "truth" / f"{self.obs_ids[index]}.json").read_text()
        return json.loads(text)["detectors"][str(detector)]

    def stars(self, index: int, detector: int) -> Table:
        table = Table.read(self.folder / "truth" / f"{self.obs_ids[index]}.ecsv")
        return table[table["detector"] == detector]


def take(folder: Path, **options) -> Night:
    obs_ids: list[str] = []
    config = SimulationConfig(**{"start": START, "scale": "1/8", "detectors": DETECTORS} | options)
    for _ in simulate(config, folder, on_exposure=lambda sent: obs_ids.append(sent.plan.obs_id)):
        pass
    return Night(folder, obs_ids)


class FrozenClock:
    """A clock that stands still until somebody waits for it."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def now(self) -> float:
        return self.time

    def wait_until(self, moment: float) -> None:
        self.time = max(self.time, moment)


@pytest.fixture
def clock() -> FrozenClock:
    """A clock that stands still until somebody waits for it."""
    return FrozenClock()


@pytest.fixture(scope="session")
def take_exposures():
    """Function that simulates into a folder: scale 1/8, fixed start, four detectors unless told otherwise."""
    return take


@pytest.fixture(scope="session")
def read_raw_file():
    """A function that reads a raw."""
    return read


@pytest.fixture(scope="session")
def night(tmp_path_factory) -> Night:
    """Science (0), bias (1), dark (2) and a pair of flats (3, 4)."""
    return take(tmp_path_factory.mktemp("night"), exposures=5, sequence="science,bias,dark,flat", seed=7)
