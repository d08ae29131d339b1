"""Small raws of LSSTCam that tests write, and spoil, themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

SCALE = 0.02
"""What small raws have of each amplifier's rows and columns; a card of their primary header says so."""

# Prescan columns, data columns, serial overscan columns; data rows, parallel overscan rows.
E2V = (10, 10, 22, 40, 6)
ITL = (3, 10, 24, 40, 5)


def section(x1: int, x2: int, y1: int, y2: int) -> str:
    return f"[{x1}:{x2},{y1}:{y2}]"


def segments(
    sizes: tuple[int, int, int, int, int], numbers: list[str], *, mirrored: bool
) -> list[fits.ImageHDU]:
    """Return segment HDUs with the cards of the vendors'; a pixel is 1000 * place in the file + column."""
    prescan, columns, overscan, rows, parallel = sizes
    width = columns * min(len(numbers), 8)
    height = rows * (2 if len(numbers) > 8 else 1)
    hdus = []
    for at, number in enumerate(numbers):
        column = int(number[1])
        top = number[0] == "0" and height > rows
        x = column * columns
        flip_x = mirrored or not top
        header = fits.Header()
        header["EXTNAME"] = f"Segment{number}"
        header["DATASEC"] = section(prescan + 1, prescan + columns, 1, rows)
        header["DETSEC"] = section(
            *((x + columns, x + 1) if flip_x else (x + 1, x + columns)),
            *((height, height - rows + 1) if top else (1, rows)),
        )
        header["DETSIZE"] = section(1, width, 1, height)
        shape = (rows + parallel, prescan + columns + overscan)
        array = np.full(shape, 1000 * at, dtype=np.int32) + np.arange(shape[1], dtype=np.int32)
        hdus.append(fits.ImageHDU(array, header))
    return hdus


FULL = [f"1{i}" for i in range(8)] + [f"0{i}" for i in range(7, -1, -1)]
HALF = [f"1{i}" for i in range(8)]


def primary(**cards: Any) -> fits.PrimaryHDU:
    """Return the primary HDU of an LSSTCam science raw; a card given as `None` is left out."""
    values: dict[str, Any] = {
        "INSTRUME": "lsstCam",
        "TELESCOP": "Simonyi Survey Telescope",
        "OBSID": "MC_O_20260501_000123",
        "DAYOBS": "20260501",
        "SEQNUM": 123,
        "CONTRLLR": "O",
        "RAFTBAY": "R22",
        "CCDSLOT": "S11",
        "GROUPID": "2026-05-02T03:04:05.678",
        "IMGTYPE": "OBJECT",
        "OBJECT": "field",
        "PROGRAM": "BLOCK-365",
        "FILTER": "r_57",
        "EXPTIME": 30.0,
        "SHUTTIME": 30.01,
        "DARKTIME": 30.9,
        "TIMESYS": "TAI",
        "DATE-BEG": "2026-05-02T03:04:10.000",
        "DATE-END": "2026-05-02T03:04:40.900",
        "VIGN_MIN": "NO",
        "RA": 10.0,
        "DEC": -20.0,
        "RADESYS": "ICRS",
        "TRACKSYS": "RADEC",
        "ROTPA": 45.0,
        "ROTCOORD": "sky",
        "ELSTART": 60.0,
        "AZSTART": -90.0,
        "SIMSCALE": SCALE,
    }
    values.update({key.replace("_", "-") if key.startswith("DATE_") else key: v for key, v in cards.items()})
    return fits.PrimaryHDU(header=fits.Header([(k, v) for k, v in values.items() if v is not None]))


def write_small_raw(path: Path, **cards: Any) -> Path:
    """Write the raw of one detector, of some 100 kB; cards are those of `primary`."""
    fits.HDUList([primary(**cards), *segments(E2V, FULL, mirrored=False)]).writeto(path, overwrite=True)
    return path


def set_card(path: Path, keyword: str, text: str) -> Path:
    """Write the value of a card of the primary header as it is, whatever the standard says."""
    content = path.read_bytes()
    at = content.index(keyword.ljust(8).encode() + b"=")
    card = f"{keyword:8}= {text}".ljust(80).encode("latin-1")
    path.write_bytes(content[:at] + card + content[at + 80 :])
    return path


def write_segments(path: Path, shapes: list[tuple[int, int]]) -> Path:
    """Write a raw of segments of these sizes (rows, columns), all zero, with no card that is not needed."""
    hdus = [fits.CompImageHDU(np.zeros(shape, np.int32)) for shape in shapes]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    return path
