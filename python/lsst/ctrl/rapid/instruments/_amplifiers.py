"""Amplifiers as the cameras' geometry has them: order, place, flips, and nominal calibrations."""

from __future__ import annotations

__all__ = ("AmplifierPlace", "NominalValues", "amplifier_places", "nominal_values", "read_table")

import csv
import dataclasses
import functools
import importlib.resources
from collections import defaultdict
from collections.abc import Iterator, Mapping

_NOMINAL_TABLES = {
    "LSSTCam": "LSSTCam",
    "LSSTCamSim": "LSSTCam",
    "LSSTComCam": "LSSTComCam",
    "LSSTComCamSim": "LSSTComCamSim",
    "LATISS": "LATISS",
}
"""Table of nominal calibrations of each instrument."""


def read_table(name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a packaged table, ``tables/{name}.csv``."""
    text = importlib.resources.files(__package__).joinpath("tables", f"{name}.csv").read_text()
    return csv.DictReader(text.splitlines())


@dataclasses.dataclass(frozen=True, slots=True)
class AmplifierPlace:
    """Where an amplifier lies in its detector, and how its segment is stored.

    Attributes
    ----------
    name
        Like ``C10``.
    columns, rows
        Size of its imaging area, pixels.
    prescan
        Columns of its segment before the imaging area.
    column, row
        Zero-based place in the grid of amplifiers of the assembled detector: its first pixel is
        ``(column * columns, row * rows)``.
    flip_x, flip_y
        Whether assembly reverses the columns, and the rows, of its segment.
    """

    name: str
    columns: int
    rows: int
    prescan: int
    column: int
    row: int
    flip_x: bool
    flip_y: bool

    def scaled(self, scale: float) -> AmplifierPlace:
        """Return the amplifier with a part of its columns and rows; the prescan keeps its width."""
        if scale == 1.0:
            return self
        columns, rows = max(1, round(self.columns * scale)), max(1, round(self.rows * scale))
        return dataclasses.replace(self, columns=columns, rows=rows)


@dataclasses.dataclass(frozen=True, slots=True)
class NominalValues:
    """Nominal calibrations of an amplifier: gain (e-/ADU), read noise (e-), saturation (ADU)."""

    gain: float
    read_noise: float
    saturation: float


def amplifier_places(physical_type: str) -> tuple[AmplifierPlace, ...]:
    """Return the amplifiers of a detector in the order of cameraGeom, which is that of a raw's HDUs.

    Parameters
    ----------
    physical_type
        Of the detector, like ``E2V`` or ``ITL_WF``.

    Raises
    ------
    KeyError
        If there is no such type.
    """
    return _all_places()[physical_type]


@functools.cache
def _all_places() -> Mapping[str, tuple[AmplifierPlace, ...]]:
    found: defaultdict[str, list[AmplifierPlace]] = defaultdict(list)
    for row in read_table("layouts"):
        found[row["physical_type"]].append(
            AmplifierPlace(
                name=row["amplifier"],
                columns=int(row["columns"]),
                rows=int(row["rows"]),
                prescan=int(row["prescan"]),
                column=int(row["column"]),
                row=int(row["row"]),
                flip_x=row["flip_x"] == "1",
                flip_y=row["flip_y"] == "1",
            )
        )
    return {physical_type: tuple(places) for physical_type, places in found.items()}


@functools.cache
def nominal_values(instrument: str) -> Mapping[tuple[int, str], NominalValues]:
    """Return the nominal calibrations of an instrument by detector and name of the amplifier.

    Raises
    ------
    LookupError
        If the instrument is not of the LSSTCam family.
    """
    try:
        table = _NOMINAL_TABLES[instrument]
    except KeyError:
        raise LookupError(f"No table of amplifiers for instrument {instrument!r}.") from None
    return {
        (int(row["detector"]), row["amplifier"]): NominalValues(
            float(row["gain"]), float(row["read_noise"]), float(row["saturation"])
        )
        for row in read_table(f"{table}-amplifiers")
    }
