"""What the simulator says of the sky, and geometry of raws read from their cards: nobody else's code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

BRIGHT = 60.0
"""Signal to noise, by the truth, from which on a star must be found."""


def section(text: str) -> tuple[slice, slice, int, int]:
    """Read a FITS section: rows and columns as slices, and the steps with which they run."""
    x1, x2, y1, y2 = map(int, re.findall(r"\d+", text))
    rows = slice(min(y1, y2) - 1, max(y1, y2))
    columns = slice(min(x1, x2) - 1, max(x1, x2))
    return rows, columns, 1 if y2 >= y1 else -1, 1 if x2 >= x1 else -1


def assemble(path: Path) -> np.ndarray:
    """Put a raw together by the cards of its segments, each row less the median of its overscan."""
    with fits.open(path) as hdus:
        segments = [hdu for hdu in hdus if hdu.name.upper().startswith("SEGMENT")]
        rows, columns, _, _ = section(segments[0].header["DETSIZE"])
        image = np.full((rows.stop, columns.stop), np.nan)
        for hdu in segments:
            data_rows, data_columns, _, _ = section(hdu.header["DATASEC"])
            overscan = np.median(hdu.data[data_rows, data_columns.stop :], axis=1, keepdims=True)
            rows, columns, y_step, x_step = section(hdu.header["DETSEC"])
            image[rows, columns] = (hdu.data[data_rows, data_columns] - overscan)[::y_step, ::x_step]
    return image


def truth_of(work: Path, line: dict) -> tuple[Table, dict]:
    folder = work / "landing" / "truth"
    stars = Table.read(folder / f"{line['obs_id']}.ecsv")
    facts = json.loads((folder / f"{line['obs_id']}.json").read_text())
    return stars[stars["detector"] == line["detector"]], facts["detectors"][str(line["detector"])]


def bright(stars: Table, facts: dict, shape: tuple[int, int]) -> Table:
    """Return the stars that must be found: bright, not saturated, whole within the image."""
    sigma = facts["fwhm_arcsec"] / 0.2 / 2.355  # pixels of 0.2 arcsec
    noise = np.sqrt(stars["flux_e"] + 4 * np.pi * sigma**2 * (facts["sky_e"] + 64.0))
    edge = 8
    inside = (
        (stars["x"] > edge)
        & (stars["x"] < shape[1] - edge)
        & (stars["y"] > edge)
        & (stars["y"] < shape[0] - edge)
    )
    return stars[
        (stars["flux_e"] / noise > BRIGHT) & (stars["flux_e"] / (2 * np.pi * sigma**2) < 80_000) & inside
    ]
