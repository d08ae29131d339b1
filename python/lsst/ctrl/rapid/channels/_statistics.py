"""Robust statistics of pixels and of small samples."""

from __future__ import annotations

__all__ = ("finite_or_none", "robust_statistics", "thin")

import math
from typing import Any

import numpy as np

IQR_TO_SIGMA = 0.741301
"""Standard deviation of a normal distribution in units of its interquartile range: 1 / (2 * 0.67449)."""


def thin(array: np.ndarray[Any, Any], limit: int = 250_000) -> np.ndarray[Any, Any]:
    """Return a regular subsample of a 2-d array with about ``limit`` elements, or the array if it is smaller.

    The steps along the two axes are coprime to the powers of two that detectors are built of, so that no
    column or amplifier edge is favoured.
    """
    step = math.ceil(math.sqrt(array.size / limit))
    if step <= 1:
        return array
    step += 1 - step % 2
    return array[step // 2 :: step, step // 2 :: step]


def robust_statistics(values: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Return the median and the standard deviation of the core of a sample.

    Parameters
    ----------
    values
        Any shape; values that are not finite are left out.

    Returns
    -------
    median, sigma
        In the unit of the values.  The standard deviation is that of the values within four (interquartile)
        sigma of the median, so that integers with a noise below one unit are not rounded to zero.  NaN when
        no value is finite.
    """
    # Sorted in their own type: numpy sorts integers and float32 as fast as it copies them.
    ordered = np.sort(np.asarray(values), axis=None)
    if ordered.dtype.kind == "f":
        ordered = ordered[np.isfinite(ordered)]
    if ordered.size == 0:
        return math.nan, math.nan
    low, median, high = (_quantile(ordered, fraction) for fraction in (0.25, 0.5, 0.75))
    sigma = IQR_TO_SIGMA * (high - low)
    if sigma == 0.0:
        sigma = float(ordered.std(dtype=np.float64))
    first = np.searchsorted(ordered, median - 4.0 * sigma, side="left")
    stop = np.searchsorted(ordered, median + 4.0 * sigma, side="right")
    return median, float((ordered[first:stop].astype(np.float64) - median).std())


def _quantile(ordered: np.ndarray[Any, Any], fraction: float) -> float:
    """Return a quantile of sorted values, interpolated between neighbours."""
    at = fraction * (ordered.size - 1)
    below = math.floor(at)
    low, high = (float(ordered[index]) for index in (below, min(below + 1, ordered.size - 1)))
    return low + (at - below) * (high - low)


def finite_or_none(value: float | np.floating[Any]) -> float | None:
    """Return a plain `float`, or `None` for what is not finite: not every reader of YAML has a NaN."""
    return float(value) if math.isfinite(value) else None
