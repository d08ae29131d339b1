"""Where the detectors of a camera lie in a picture of the focal plane."""

from __future__ import annotations

__all__ = ("Bounds", "PlaneGrid", "detector_bounds", "shown_detectors")

import dataclasses
import math
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from lsst.ctrl.rapid.instruments import Camera, CameraDetector

from ._binning import bin_mean

type Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Bounds:
    """A rectangle on the focal plane, millimetres."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float

    @property
    def width(self) -> float:
        """Extent in x, millimetres."""
        return self.x_max - self.x_min

    @property
    def height(self) -> float:
        """Extent in y, millimetres."""
        return self.y_max - self.y_min

    @classmethod
    def hull(cls, several: Iterable[Bounds]) -> Bounds:
        """Return the smallest rectangle around all of the others."""
        corners = np.array([dataclasses.astuple(bounds) for bounds in several])
        low, high = corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)
        return cls(float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def detector_bounds(detector: CameraDetector) -> Bounds:
    """Return the rectangle that the pixels of a detector cover."""
    one = detector.to_focal_plane(-0.5, -0.5)
    other = detector.to_focal_plane(detector.columns - 0.5, detector.rows - 0.5)
    return Bounds(min(one[0], other[0]), min(one[1], other[1]), max(one[0], other[0]), max(one[1], other[1]))


def shown_detectors(camera: Camera, present: Collection[int], *, whole: bool) -> list[int]:
    """Return the detectors that a picture has room for.

    Parameters
    ----------
    camera
        The camera.
    present
        Detectors that there is something of.
    whole
        Show all science detectors?  Otherwise those of the rafts that lie within the hull of the rafts of
        which there is something.

    Returns
    -------
    detectors
        Ascending; the present ones are always among them.
    """
    science = camera.science
    if whole or not present:
        return sorted({*science, *present})
    rafts = {camera[number].raft for number in present}
    hull = Bounds.hull(
        detector_bounds(detector)
        for detector in camera.values()
        if detector.raft in rafts and _is_shown(detector, present, science)
    )
    inside = {
        number
        for number in science
        if hull.x_min < camera[number].x_mm < hull.x_max and hull.y_min < camera[number].y_mm < hull.y_max
    }
    return sorted({*inside, *present})


def _is_shown(detector: CameraDetector, present: Collection[int], science: Collection[int]) -> bool:
    return detector.id in present or detector.id in science


@dataclasses.dataclass(frozen=True, slots=True)
class PlaneGrid:
    """The pixels of a picture of the focal plane; row 0 is at the least y, column 0 at the least x.

    Attributes
    ----------
    bounds
        What the picture shows, millimetres.
    step
        Side of its pixels, millimetres.
    """

    bounds: Bounds
    step: float

    @classmethod
    def covering(cls, bounds: Bounds, *, finest: float, most: int) -> PlaneGrid:
        """Return a grid of at most ``most`` pixels a side, none finer than ``finest`` (millimetres)."""
        return cls(bounds, max(finest, max(bounds.width, bounds.height) / most))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        # A hair less than a whole pixel over is rounding, not another row.
        rows, columns = (
            max(1, math.ceil(length / self.step - 1e-6)) for length in (self.bounds.height, self.bounds.width)
        )
        return rows, columns

    def place(
        self, picture: Array, detector: CameraDetector, pixels: Array, covered: tuple[float, float]
    ) -> None:
        """Put a detector into its slot, turned as it is mounted and stretched to fill it.

        Parameters
        ----------
        picture
            Shape as ``shape``; modified.
        detector
            Whose slot.
        pixels
            Averages of blocks of its pixels, or of a crop of it.
        covered
            How many of the pixels' rows and columns the detector really fills: the last blocks may be partly
            empty.
        """
        slot = detector_bounds(detector)
        rows = self._range(slot.y_min - self.bounds.y_min, slot.y_max - self.bounds.y_min, picture.shape[0])
        columns = self._range(
            slot.x_min - self.bounds.x_min, slot.x_max - self.bounds.x_min, picture.shape[1]
        )
        # Averaging first keeps the light of stars that a nearest neighbour would step over.
        factor = max(1, int(min(covered) // max(rows.size, columns.size)))
        pixels = bin_mean(pixels, factor) if factor > 1 else pixels
        x_mm, y_mm = np.meshgrid(
            self.bounds.x_min + (columns + 0.5) * self.step, self.bounds.y_min + (rows + 0.5) * self.step
        )
        x, y = detector.from_focal_plane(x_mm, y_mm)
        row = (y + 0.5) / detector.rows * (covered[0] / factor)
        column = (x + 0.5) / detector.columns * (covered[1] / factor)
        picture[np.ix_(rows, columns)] = pixels[
            np.clip(row.astype(np.intp), 0, pixels.shape[0] - 1),
            np.clip(column.astype(np.intp), 0, pixels.shape[1] - 1),
        ]

    def _range(self, low: float, high: float, size: int) -> np.ndarray[Any, np.dtype[np.intp]]:
        """Return the pixels whose centres lie between two distances (millimetres) from the first edge."""
        first = max(0, math.ceil(low / self.step - 0.5))
        last = min(size, math.ceil(high / self.step - 0.5))
        return np.arange(first, last)
