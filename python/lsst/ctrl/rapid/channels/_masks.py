"""The mask planes of the quick images."""

from __future__ import annotations

__all__ = ("MASK_SCHEMA", "bad_pixels", "grow", "plane_bit")

from collections.abc import Iterable
from typing import Any

import numpy as np

from lsst.images import Mask, MaskPlane, MaskSchema

MASK_SCHEMA = MaskSchema(
    [
        MaskPlane("BAD", "Dead, hot, or without a usable calibration."),
        MaskPlane("SAT", "Saturated, or beside a saturated pixel."),
        MaskPlane("NO_DATA", "Not covered by any amplifier of the raw."),
    ],
    dtype=np.uint8,
)
"""Planes of ``quick_isr_image``: they fit one byte."""


def plane_bit(name: str) -> np.uint8:
    """Return the bit of a plane of `MASK_SCHEMA`."""
    return np.uint8(MASK_SCHEMA.bit(name).mask)


def bad_pixels(mask: Mask, planes: Iterable[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return where any of the planes is set, as a new 2-d array; planes that the mask lacks are never set."""
    known = [plane for plane in planes if plane in mask.schema.names]
    wanted = mask.schema.bitmask(*known)
    result = (mask.array[..., 0] & wanted[0]) != 0
    for index in range(1, mask.schema.mask_size):
        result |= (mask.array[..., index] & wanted[index]) != 0
    return np.asarray(result, dtype=np.bool_)


def grow(mask: np.ndarray[Any, np.dtype[np.uint8]], plane: str, pixels: int) -> None:
    """Grow a plane by a number of pixels in every direction (diagonals included), in place.

    Parameters
    ----------
    mask
        Bits of `MASK_SCHEMA`, shape ``(rows, columns)``; modified.
    plane
        Name of the plane.
    pixels
        By how many pixels.
    """
    bit = plane_bit(plane)
    rows = np.flatnonzero(np.bitwise_or.reduce(mask, axis=1) & bit)
    if rows.size == 0 or pixels == 0:
        return
    # Only the rows in reach: a saturated star touches few of them.
    window = mask[max(rows[0] - pixels, 0) : rows[-1] + pixels + 1]
    for axis in (0, 1):
        view = np.moveaxis(window, axis, 0)
        seed = view & bit
        for step in range(1, pixels + 1):
            view[step:] |= seed[:-step]
            view[:-step] |= seed[step:]
