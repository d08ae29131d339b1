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
    finite = np.asarray(values, dtype=np.float64).ravel()
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return math.nan, math.nan
    low, median, high = np.percentile(finite, (25.0, 50.0, 75.0))
    sigma = IQR_TO_SIGMA * (high - low)
    deviation = finite - median
    if sigma == 0.0:
        sigma = float(deviation.std())
    return float(median), float(deviation[np.abs(deviation) <= 4.0 * sigma].std())


def finite_or_none(value: float | np.floating[Any]) -> float | None:
    """Return a plain `float`, or `None` for what is not finite: not every reader of YAML has a NaN."""
    return float(value) if math.isfinite(value) else None
