"""Raws of an instrument's real format, as small as that allows."""

from __future__ import annotations

__all__ = ("INSTRUMENT", "TinyCamera", "TinyRaw", "amplifiers", "expected_mean", "science_detectors")

import functools
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..instruments import load_camera
from ..model import observing_day
from ..simulator import ExposurePlan, ImageType, RawEncoder, layout_of

INSTRUMENT = "LSSTCam"

_SCALE = 1 / 64
_FILTER = "r_57"
_LEVEL = 1000


@dataclass(frozen=True, slots=True)
class TinyRaw:
    """A raw that is whole on disk, under a name that nobody watches.

    Attributes
    ----------
    path
        The file.
    exposure, day_obs, detector
        What it is.
    """

    path: Path
    exposure: int
    day_obs: int
    detector: int

    def link(self, folder: Path) -> TinyRaw:
        """Give the file another name, in another folder of the file system."""
        path = folder / self.path.name
        folder.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(self.path)
        return TinyRaw(path, self.exposure, self.day_obs, self.detector)

    def send(self, folder: Path) -> None:
        """Close the file, now, and rename it into a folder that is watched."""
        # The file system's own time is that of the system's last tick, up to 10 ms before.
        now = time.time_ns()
        os.utime(self.path, ns=(now, now))
        self.path.rename(folder / self.path.name)


class TinyCamera:
    """Takes exposures of pixels that are all the same, one file for each detector.

    Parameters
    ----------
    folder
        Where the raws are written.
    first_seq_num
        Number of the first exposure of the day.

    Notes
    -----
    The files are those of the simulator but for their pixels: 16 segments of some 50 x 40 pixels, with all
    headers.  Exposures differ in their level, see `expected_mean`.
    """

    def __init__(self, folder: Path, first_seq_num: int = 1) -> None:
        self._folder = folder
        self._seq_num = first_seq_num - 1

    def take(self, detectors: Sequence[int]) -> list[TinyRaw]:
        """Take an exposure."""
        self._seq_num += 1
        now = time.time()
        plan = ExposurePlan(INSTRUMENT, ImageType.SCIENCE, observing_day(now), self._seq_num, 30.0, _FILTER)
        camera, encoder = load_camera(INSTRUMENT), RawEncoder(plan, now)
        folder = self._folder / str(plan.id)
        folder.mkdir(parents=True)
        raws = []
        for number in detectors:
            layout = layout_of(camera[number], _SCALE)
            pixels = np.full((len(layout.segments), *layout.raw_shape), _level(plan.id), np.int32)
            name, data = encoder.encode(camera[number], layout, pixels)
            path = folder / name
            path.write_bytes(data)
            raws.append(TinyRaw(path, plan.id, plan.day_obs, number))
        return raws


@functools.cache
def science_detectors() -> tuple[int, ...]:
    """Return the numbers of the detectors for science, 189 of the instrument's."""
    return load_camera(INSTRUMENT).science


def amplifiers(detector: int) -> int:
    """Return how many amplifiers a detector has: those for wavefronts have fewer."""
    return len(layout_of(load_camera(INSTRUMENT)[detector], _SCALE).segments)


def expected_mean(raw: TinyRaw) -> float:
    """Return the mean that the pipeline must find, ADU: the exposure's level less the detector's bias."""
    return float(_level(raw.exposure) - raw.detector)


def _level(exposure: int) -> int:
    return _LEVEL + 10 * (exposure % 1000)
