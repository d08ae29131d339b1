"""The detectors of the LSST cameras: a table of facts, and where a pixel lies on the focal plane."""

from __future__ import annotations

__all__ = ("PIXEL_MM", "Camera", "CameraDetector", "Purpose", "Vendor", "camera_names", "load_camera")

import enum
import functools
from collections.abc import Iterator, Mapping
from typing import overload

import numpy as np
import numpy.typing as npt
import pydantic

from ._amplifiers import AmplifierPlace, amplifier_places, read_table
from ._optics import Optics, optics_of

PIXEL_MM = 0.01
"""Side of a pixel of every detector of the family, millimetres."""

_TABLES = {
    "LSSTCam": "LSSTCam",
    "LSSTCamSim": "LSSTCam",
    "LSSTComCam": "LSSTComCam",
    "LSSTComCamSim": "LSSTComCam",
    "LATISS": "LATISS",
}
"""Detector table of each instrument."""


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
    Pixel positions are zero-based, integers at pixel centres, in the frame of cameraGeom: that of the
    trimmed, assembled detector of the LSST Science Pipelines, and the only one of this package.  The
    ``DETSEC`` cards of raws are in another frame, with the rows reversed, and are not used.  The focal plane
    is cameraGeom's, too (millimetres): pixel ``(reference_x, reference_y)`` lies at ``(x_mm, y_mm)``, and the
    detector is turned counter-clockwise by ``quarter_turns``.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    id: int
    name: str
    purpose: Purpose
    physical_type: str
    serial: str
    columns: int
    rows: int
    x_mm: float
    y_mm: float
    reference_x: float
    reference_y: float
    quarter_turns: int

    @property
    def vendor(self) -> Vendor:
        """Who made it."""
        return Vendor(self.physical_type.partition("_")[0])

    @property
    def amplifiers(self) -> tuple[AmplifierPlace, ...]:
        """The amplifiers, in the order of the HDUs of a raw."""
        return amplifier_places(self.physical_type)

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
        origin_x, origin_y = self._reference(shape)
        u, v = (x - origin_x) * PIXEL_MM, (y - origin_y) * PIXEL_MM
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
        origin_x, origin_y = self._reference(shape)
        cos, sin = _QUARTERS[self.quarter_turns]
        dx, dy = x_mm - self.x_mm, y_mm - self.y_mm
        u, v = cos * dx + sin * dy, -sin * dx + cos * dy
        return u / PIXEL_MM + origin_x, v / PIXEL_MM + origin_y

    def _reference(self, shape: tuple[int, int] | None) -> tuple[float, float]:
        """Return the pixel at ``(x_mm, y_mm)``, of the detector or of a crop around its centre."""
        if shape is None:
            return self.reference_x, self.reference_y
        rows, columns = shape
        return self.reference_x - (self.columns - columns) / 2, self.reference_y - (self.rows - rows) / 2


_QUARTERS = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))


class Camera(Mapping[int, CameraDetector]):
    """The detectors of one instrument by number.

    Parameters
    ----------
    name
        The instrument's name in the registry.
    detectors
        All detectors.
    optics
        How the focal plane is imaged on the sky.
    """

    def __init__(self, name: str, detectors: tuple[CameraDetector, ...], optics: Optics) -> None:
        self.name = name
        self.optics = optics
        self._by_id = {detector.id: detector for detector in detectors}
        self._by_name = {detector.name: detector for detector in detectors}

    @property
    def pixel_scale(self) -> float:
        """Side of a pixel on the sky, arcseconds, on the axis."""
        return self.optics.arcsec_per_mm * PIXEL_MM

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
        table = _TABLES[instrument]
    except KeyError:
        raise LookupError(
            f"No detector table for instrument {instrument!r}; there is one for {', '.join(_TABLES)}."
        ) from None
    detectors = tuple(CameraDetector.model_validate(row) for row in read_table(table))
    return Camera(instrument, detectors, optics_of(instrument))
