"""The detectors of the LSST cameras: a table of facts, and where a pixel lies on the focal plane."""

from __future__ import annotations

__all__ = ("Camera", "CameraDetector", "Purpose", "Vendor", "camera_names", "load_camera")

import csv
import enum
import functools
import importlib.resources
from collections.abc import Iterator, Mapping
from typing import overload

import numpy as np
import numpy.typing as npt
import pydantic

PIXEL_MM = 0.01
"""Side of a pixel of every detector of the family, millimetres."""

_TABLES = {
    "LSSTCam": ("LSSTCam", 20.0),
    "LSSTCamSim": ("LSSTCam", 20.0),
    "LSSTComCam": ("LSSTComCam", 20.0),
    "LSSTComCamSim": ("LSSTComCam", 20.0),
    "LATISS": ("LATISS", 9.57),
}
"""Detector table and plate scale (arcsec/mm) of each instrument."""


class Purpose(enum.StrEnum):
    """What a detector is for."""

    SCIENCE = "SCIENCE"
    WAVEFRONT = "WAVEFRONT"
    GUIDER = "GUIDER"


class Vendor(enum.StrEnum):
    """Who made a detector; the two kinds differ in geometry."""

    E2V = "E2V"
    ITL = "ITL"


class CameraDetector(pydantic.BaseModel):
    """One detector of a camera.

    Notes
    -----
    Pixel positions are zero-based, integers at pixel centres, in the frame of the ``DETSEC`` cards of a
    raw: x runs along the serial registers.  On the focal plane (millimetres, the frame of the detector table)
    y runs against the rows of that frame, as the ``CCD`` and ``FOCAL_PLANE`` coordinate systems in the raws'
    segment headers say.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    id: int
    name: str
    purpose: Purpose
    vendor: Vendor
    serial: str
    columns: int
    rows: int
    x_mm: float
    y_mm: float
    quarter_turns: int

    @property
    def raft(self) -> str:
        """Name of the raft, like ``R22``."""
        return self.name.partition("_")[0]

    @property
    def slot(self) -> str:
        """Name within the raft, like ``S11``."""
        return self.name.partition("_")[2]

    @overload
    def to_focal_plane(
        self, x: float, y: float, *, shape: tuple[int, int] | None = None
    ) -> tuple[float, float]: ...

    @overload
    def to_focal_plane(
        self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], *, shape: tuple[int, int] | None = None
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]: ...

    def to_focal_plane(
        self,
        x: float | npt.NDArray[np.float64],
        y: float | npt.NDArray[np.float64],
        *,
        shape: tuple[int, int] | None = None,
    ) -> tuple[float | npt.NDArray[np.float64], float | npt.NDArray[np.float64]]:
        """Return the place of a pixel on the focal plane.

        Parameters
        ----------
        x, y
            Pixel position(s) in the assembled detector.
        shape
            Rows and columns of the assembled detector, where it is a crop around the centre of the real one.

        Returns
        -------
        x_mm, y_mm
            Place on the focal plane, millimetres.
        """
        rows, columns = shape if shape is not None else (self.rows, self.columns)
        u = (x - (columns - 1) / 2) * PIXEL_MM
        v = -(y - (rows - 1) / 2) * PIXEL_MM
        cos, sin = _QUARTERS[self.quarter_turns]
        return self.x_mm + cos * u - sin * v, self.y_mm + sin * u + cos * v

    def from_focal_plane(
        self,
        x_mm: npt.NDArray[np.float64],
        y_mm: npt.NDArray[np.float64],
        *,
        shape: tuple[int, int] | None = None,
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the pixel positions of places on the focal plane: the inverse of `to_focal_plane`."""
        rows, columns = shape if shape is not None else (self.rows, self.columns)
        cos, sin = _QUARTERS[self.quarter_turns]
        dx, dy = x_mm - self.x_mm, y_mm - self.y_mm
        u, v = cos * dx + sin * dy, -sin * dx + cos * dy
        return u / PIXEL_MM + (columns - 1) / 2, -v / PIXEL_MM + (rows - 1) / 2


_QUARTERS = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))


class Camera(Mapping[int, CameraDetector]):
    """The detectors of one instrument by number.

    Parameters
    ----------
    name
        The instrument's name in the registry.
    detectors
        All detectors.
    arcsec_per_mm
        Plate scale, arcseconds per millimetre on the focal plane.
    """

    def __init__(self, name: str, detectors: tuple[CameraDetector, ...], arcsec_per_mm: float) -> None:
        self.name = name
        self.arcsec_per_mm = arcsec_per_mm
        self._by_id = {detector.id: detector for detector in detectors}
        self._by_name = {detector.name: detector for detector in detectors}

    @property
    def pixel_scale(self) -> float:
        """Side of a pixel on the sky, arcseconds."""
        return self.arcsec_per_mm * PIXEL_MM

    @property
    def science(self) -> tuple[int, ...]:
        """Numbers of the science detectors, ascending."""
        return tuple(sorted(d.id for d in self.values() if d.purpose is Purpose.SCIENCE))

    def by_name(self, name: str) -> CameraDetector:
        """Return the detector of this full name, like ``R22_S11``.

        Raises
        ------
        KeyError
            If the camera has no such detector.
        """
        return self._by_name[name]

    def __getitem__(self, key: int) -> CameraDetector:
        return self._by_id[key]

    def __iter__(self) -> Iterator[int]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)


def camera_names() -> tuple[str, ...]:
    """Return the names of the instruments that have a detector table."""
    return tuple(_TABLES)


@functools.cache
def load_camera(instrument: str) -> Camera:
    """Return the camera of an instrument.

    Parameters
    ----------
    instrument
        Name of the instrument in the registry.

    Raises
    ------
    LookupError
        If it is not of the LSSTCam family.
    """
    try:
        table, arcsec_per_mm = _TABLES[instrument]
    except KeyError:
        raise LookupError(
            f"No detector table for instrument {instrument!r}; there is one for {', '.join(_TABLES)}."
        ) from None
    text = importlib.resources.files(__package__).joinpath("tables", f"{table}.csv").read_text()
    rows = csv.DictReader(text.splitlines())
    return Camera(instrument, tuple(CameraDetector.model_validate(row) for row in rows), arcsec_per_mm)
