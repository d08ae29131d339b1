"""Averages of blocks of pixels."""

from __future__ import annotations

__all__ = ("bin_mean",)

from typing import Any

import numpy as np


def bin_mean(
    pixels: np.ndarray[Any, Any], factor: int, bad: np.ndarray[Any, np.dtype[np.bool_]] | None = None
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the mean of the usable pixels of each block.

    Parameters
    ----------
    pixels
        Shape ``(rows, columns)``; not modified.
    factor
        Side of a block, pixels.  Blocks at the far edges are smaller where the shape is no multiple.
    bad
        Pixels to leave out, same shape; those that are not finite always are.

    Returns
    -------
    binned
        Shape ``(ceil(rows / factor), ceil(columns / factor))``, unit of the pixels; NaN where a block has no
        usable pixel.
    """
    good = np.isfinite(pixels)
    if bad is not None:
        good &= ~bad
    sums = _block_sums(pixels if good.all() else np.where(good, pixels, np.float32(0.0)), factor, np.float32)
    counts = _block_sums(good, factor, np.int32)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums / counts, dtype=np.float32)


def _block_sums(values: np.ndarray[Any, Any], factor: int, dtype: type) -> np.ndarray[Any, Any]:
    # A row of every block at once: numpy adds long rows many times faster than it reduces short pieces.
    rows = np.zeros((-(-values.shape[0] // factor), values.shape[1]), dtype)
    for first in range(factor):
        part = values[first::factor]
        rows[: part.shape[0]] += part
    columns = np.zeros((rows.shape[0], -(-values.shape[1] // factor)), np.float64)
    for first in range(factor):
        part = rows[:, first::factor]
        columns[:, : part.shape[1]] += part
    return columns
