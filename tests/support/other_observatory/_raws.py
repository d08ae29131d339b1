"""Files as the camera writes them."""

from __future__ import annotations

from pathlib import Path

import astropy.io.fits
import numpy as np
from astropy.time import Time, TimeDelta


def write_raw(
    folder: Path,
    frame: int,
    chip: int,
    *,
    begin: str = "2026-03-16T17:00:00",
    compressed: bool = False,
    **cards: object,
) -> Path:
    """Write the raw of a chip; the header of a compressed one is in the second HDU."""
    start = Time(begin, scale="utc")
    header = astropy.io.fits.Header(
        {
            "INSTRUME": "HILL-1",
            "FRAMENO": frame,
            "FRAMEID": f"hill{frame:06d}",
            "CHIP": chip,
            "CHIPNAME": f"Chip{chip}",
            "DATE-OBS": start.isot,
            "DATE-END": (start + TimeDelta(60.5, format="sec")).isot,
            "FILT": "hill-V",
            "OBJECT": "M 31",
            "ASKED": 60.0,
            "EXPOSED": 60.0012,
            "BLOCK": f"block{frame // 10}",
            "RADEG": 10.0,
            "DECDEG": 41.0,
            **cards,
        }
    )
    data = np.full((8, 12), 100 * frame + chip, dtype=np.int16)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"hill{frame:06d}_{chip}.fits{'.fz' if compressed else ''}"
    partial = path.with_suffix(".partial")
    if compressed:
        hdus = [astropy.io.fits.PrimaryHDU(), astropy.io.fits.CompImageHDU(data, header)]
        astropy.io.fits.HDUList(hdus).writeto(partial)
    else:
        astropy.io.fits.PrimaryHDU(data, header).writeto(partial)
    return partial.rename(path)
