"""Reading of raws into memory."""

from __future__ import annotations

__all__ = ("read_raw",)

import os
from pathlib import Path
from typing import Any

import fitsio
import numpy as np

from ._camera import Purpose, load_camera
from ._geometry import read_geometry
from ._hdus import scan_hdus
from ._header import read_primary_header
from ._raw import RawImage, RawSegment


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
        If the geometry in its headers is missing or wrong, its pixels are not whole numbers, or the
        instrument has no such detector.
    OSError
        If the file cannot be read.
    """
    name = Path(path).name
    try:
        known = load_camera(instrument)[detector]
    except LookupError:
        raise ValueError(f"{name}: there is no detector {detector} of instrument {instrument!r}.") from None
    bbox, amplifiers = read_geometry(
        scan_hdus(path), known.vendor, half=known.purpose is Purpose.WAVEFRONT, name=name
    )
    with fitsio.FITS(os.fspath(path)) as file:
        segments = tuple(
            RawSegment(amplifier, _as_integers(file[index].read(), f"{name}, HDU {index}"))
            for index, amplifier in amplifiers
        )
    return RawImage(read_primary_header(path), instrument, detector, bbox, segments)


def _as_integers(pixels: np.ndarray[Any, Any], where: str) -> np.ndarray[Any, np.dtype[np.int32]]:
    if pixels.dtype.kind not in "iu":
        raise ValueError(f"{where}: its pixels are {pixels.dtype}; those of a raw are whole numbers, ADU.")
    return np.ascontiguousarray(pixels, dtype=np.int32)
