"""What the simulator says of the sky, and raws assembled without any code of the package."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from support import camera_geom

BRIGHT = 60.0
"""Signal to noise, by the truth, from which on a star must be found."""


def data_section(header: fits.Header) -> tuple[slice, slice]:
    """Return rows and columns of the imaging area of a segment."""
    x1, x2, y1, y2 = map(int, re.findall(r"\d+", header["DATASEC"]))
    return slice(y1 - 1, y2), slice(x1 - 1, x2)


def assemble(path: Path) -> np.ndarray:
    """Put a raw together as cameraGeom says, each row less the median of its overscan."""
    data = {}
    with fits.open(path) as hdus:
        for hdu in hdus[1:]:
            rows, columns = data_section(hdu.header)
            overscan = np.median(hdu.data[rows, columns.stop :], axis=1, keepdims=True)
            data[hdu.name] = hdu.data[rows, columns] - overscan
        return camera_geom.assemble(data, itl=hdus[0].header["CCD_MANU"] == "ITL")


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
