"""Reading of raws into memory."""

from __future__ import annotations

__all__ = ("read_raw",)

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fitsio
import numpy as np

from ._camera import load_camera
from ._geometry import read_geometry
from ._hdus import Hdu, scan_hdus
from ._header import open_fits, read_primary_header
from ._pixels import is_plain, read_plain
from ._raw import RawImage, RawSegment

type Integers = np.ndarray[Any, np.dtype[np.int32]]


def read_raw(path: str | os.PathLike[str], *, instrument: str, detector: int) -> RawImage:
    """Read the raw of a detector.

    Parameters
    ----------
    path
        The file, on a local file system; plain or tile-compressed, also within gzip.
    instrument
        Name of the instrument in the registry.
    detector
        Number of the detector.

    Returns
    -------
    raw
        The header, and the pixels of each segment, ADU.

    Raises
    ------
    RefusedError
        If the file is not FITS or is cut short; a `ValueError`.
    ValueError
        If its segments are not those of the detector, its pixels are not whole numbers, or the instrument has
        no such detector.
    OSError
        If the file cannot be read.
    """
    name = Path(path).name
    try:
        known = load_camera(instrument)[detector]
    except LookupError:
        raise ValueError(f"{name}: there is no detector {detector} of instrument {instrument!r}.") from None
    hdus = scan_hdus(path)
    bbox, amplifiers = read_geometry(hdus, instrument, known, name=name)
    pixels = _read_pixels(path, [hdus[index] for index, _ in amplifiers], name)
    segments = tuple(
        RawSegment(amplifier, array) for (_, amplifier), array in zip(amplifiers, pixels, strict=True)
    )
    return RawImage(read_primary_header(path), instrument, detector, bbox, segments)


def _read_pixels(path: str | os.PathLike[str], hdus: Sequence[Hdu], name: str) -> list[Integers]:
    if all(map(is_plain, hdus)):
        with open_fits(path) as (stream, _):
            return read_plain(stream, hdus, name)
    # Its library has a language of its own for names, with brackets, so it is not shown this one.
    with Path(path).open("rb") as stream, fitsio.FITS(f"/proc/self/fd/{stream.fileno()}") as file:
        return [_as_integers(file[hdu.index].read(), f"{name}, HDU {hdu.index}") for hdu in hdus]


def _as_integers(pixels: np.ndarray[Any, Any], where: str) -> Integers:
    if pixels.dtype.kind not in "iu":
        raise ValueError(f"{where}: its pixels are {pixels.dtype}; those of a raw are whole numbers, ADU.")
    return np.ascontiguousarray(pixels, dtype=np.int32)
