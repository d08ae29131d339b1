"""The zero level and the noise of an amplifier, from its serial overscan."""

from __future__ import annotations

__all__ = ("Overscan", "measure_overscan")

import dataclasses
from typing import Any, Literal

import numpy as np

from lsst.ctrl.rapid.instruments import RawSegment

from ._statistics import robust_statistics

_LEADING = 3
"""First overscan columns, not used: charge that the last pixels of a row left behind comes out there."""

_CLIP = 5.0
"""Overscan pixels further than this many sigma from their row's median do not enter its mean."""


@dataclasses.dataclass(frozen=True, slots=True)
class Overscan:
    """What the serial overscan of one amplifier says.

    Attributes
    ----------
    level
        Zero level of each row of the data section, ADU; shape ``(rows,)``, float32.
    mean
        Mean of the rows' levels, ADU.
    noise
        Read noise, ADU: standard deviation of a pixel about the level of its row.
    """

    level: np.ndarray[Any, np.dtype[np.float32]]
    mean: float
    noise: float


def measure_overscan(segment: RawSegment, statistic: Literal["median", "mean"] = "median") -> Overscan:
    """Measure the serial overscan of one amplifier at the rows of its data section.

    Parameters
    ----------
    segment
        One amplifier of a raw; not modified.
    statistic
        ``median``, or ``mean`` (without the pixels far from the median) of each row.

    Raises
    ------
    ValueError
        If the amplifier has no overscan columns.
    """
    geometry = segment.amplifier.unassembled_raw_geometry
    assert geometry is not None, "A raw's amplifiers have their raw geometry."
    rows, columns = geometry.data_bbox.y, geometry.serial_overscan_bbox.x
    pixels = segment.array[rows.start : rows.stop, columns.start : columns.stop]
    if pixels.shape[1] == 0:
        raise ValueError(
            f"Amplifier {segment.amplifier.name} has no overscan columns; its zero level is unknown."
        )
    if pixels.shape[1] > 2 * _LEADING:
        pixels = pixels[:, _LEADING:]

    level = np.median(pixels, axis=1).astype(np.float32)
    noise = _row_noise(pixels)
    if statistic == "mean":
        kept = np.abs(pixels - level[:, np.newaxis]) <= max(_CLIP * noise, 1.0)
        counts = np.maximum(kept.sum(axis=1), 1)
        level = (np.where(kept, pixels, 0).sum(axis=1, dtype=np.float64) / counts).astype(np.float32)
    return Overscan(level, float(level.mean(dtype=np.float64)), noise)


def _row_noise(pixels: np.ndarray[Any, Any]) -> float:
    """Return the noise of a pixel, from differences of neighbours: they know nothing of their row's level."""
    if pixels.shape[1] < 2:
        return 0.0
    return robust_statistics(np.diff(pixels, axis=1))[1] / float(np.sqrt(2.0))
