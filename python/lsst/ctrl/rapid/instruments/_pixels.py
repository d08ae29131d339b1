"""Pixels of uncompressed images, read straight into memory."""

from __future__ import annotations

__all__ = ("is_plain", "read_plain")

from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

from ._hdus import Hdu, card_int, card_real
from ._header import RefusedError

_CHUNK = 1 << 19
"""Bytes that are read and converted at a time: few enough to stay in a processor's cache in between."""

_OFFSETS = {16: (0.0, 32768.0), 32: (0.0,)}
"""``BZERO`` with which pixels of each ``BITPIX`` fit the integers of a raw: signed, and unsigned ones."""


def is_plain(hdu: Hdu) -> bool:
    """Return whether an HDU is an uncompressed image of whole numbers that `read_plain` can read."""
    return (
        not hdu.is_compressed
        and hdu.shape is not None
        and card_int(hdu.cards, "BITPIX") in _OFFSETS
        and card_real(hdu.cards, "BSCALE", 1.0) == 1.0
        and _offset(hdu) in _OFFSETS[card_int(hdu.cards, "BITPIX") or 0]
    )


def read_plain(stream: BinaryIO, hdus: Sequence[Hdu], name: str) -> list[np.ndarray[Any, np.dtype[np.int32]]]:
    """Return the pixels of images for which `is_plain` holds.

    Parameters
    ----------
    stream
        The file, uncompressed.
    hdus
        The images, in the order of the file.
    name
        The file, for messages.

    Returns
    -------
    images
        Pixels of each, shape ``(rows, columns)``; all are views of one piece of memory, which the system
        hands out much faster than many small ones.

    Raises
    ------
    RefusedError
        If the file ends before the pixels do.
    """
    shapes = [hdu.shape or (0, 0) for hdu in hdus]
    sizes = [rows * columns for rows, columns in shapes]
    pixels = np.empty(sum(sizes), dtype=np.int32)
    images = np.split(pixels, np.cumsum(sizes)[:-1])
    buffer = np.empty(min(_CHUNK, 4 * max(sizes)), dtype=np.uint8)
    for hdu, image in zip(hdus, images, strict=True):
        _read_into(image, stream, hdu, buffer, name)
    return [image.reshape(shape) for image, shape in zip(images, shapes, strict=True)]


def _read_into(
    image: np.ndarray[Any, np.dtype[np.int32]],
    stream: BinaryIO,
    hdu: Hdu,
    buffer: np.ndarray[Any, np.dtype[np.uint8]],
    name: str,
) -> None:
    stored = buffer.view(">i2" if card_int(hdu.cards, "BITPIX") == 16 else ">i4")
    offset = int(_offset(hdu) or 0.0)
    stream.seek(hdu.data_start)
    for at in range(0, image.size, stored.size):
        target = image[at : at + stored.size]
        chunk = stored[: target.size]
        if stream.readinto(chunk.view(np.uint8)) != chunk.nbytes:  # type: ignore[attr-defined]
            raise RefusedError(f"{name} is cut short: it ends within the pixels of {hdu.label}.")
        target[...] = chunk
        if offset:
            target += offset


def _offset(hdu: Hdu) -> float | None:
    return card_real(hdu.cards, "BZERO", 0.0)
