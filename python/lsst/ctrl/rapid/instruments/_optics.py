"""How the focal plane of an instrument is imaged: from millimetres to field angles."""

from __future__ import annotations

__all__ = ("Optics", "optics_of")

import dataclasses
import math

import numpy as np
import numpy.typing as npt

type Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Optics:
    """A radial distortion, and whether the image is mirrored.

    Attributes
    ----------
    arcsec_per_mm
        Scale on the axis.
    cubic, quintic
        Distortion: a place ``r`` mm from the axis has the field angle of
        ``arcsec_per_mm * (r + cubic r^3 + quintic r^5)``; mm^-2 and mm^-4.
    mirrored
        Whether x of the focal plane runs to the east where y runs to the north.
    """

    arcsec_per_mm: float
    cubic: float = 0.0
    quintic: float = 0.0
    mirrored: bool = False

    def to_field_angle(self, x_mm: Floats, y_mm: Floats) -> tuple[Floats, Floats]:
        """Return the field angles of places on the focal plane, radians; x is negated if mirrored."""
        square = x_mm**2 + y_mm**2
        factor = math.radians(self.arcsec_per_mm / 3600.0) * (
            1.0 + square * (self.cubic + square * self.quintic)
        )
        return (-x_mm if self.mirrored else x_mm) * factor, y_mm * factor

    def compass(self, rotation: float) -> dict[str, tuple[float, float]]:
        """Return the directions of north and east on the focal plane, as unit vectors along x and y.

        Parameters
        ----------
        rotation
            Position angle of y on the focal plane, degrees from north through east.
        """
        cos, sin = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
        x = -1.0 if self.mirrored else 1.0
        return {"N": (x * sin, cos), "E": (-x * cos, sin)}


# The coefficients of the camera definitions of lsst/obs_lsst (cameraTransforms.yaml).
_LSSTCAM = Optics(20.005867576692737, cubic=-8.33713991e-09, quintic=-1.41389858e-15)
_COMCAM = Optics(20.018130891688713, cubic=9.27930280e-08, quintic=2.41770368e-13)

_OPTICS = {
    "LSSTCam": _LSSTCAM,
    "LSSTCamSim": _LSSTCAM,
    "LSSTComCam": _COMCAM,
    "LSSTComCamSim": _COMCAM,
    "LATISS": Optics(9.5695, mirrored=True),
}


def optics_of(instrument: str) -> Optics:
    """Return the optics of an instrument.

    Raises
    ------
    LookupError
        If the instrument is not of the LSSTCam family.
    """
    try:
        return _OPTICS[instrument]
    except KeyError:
        raise LookupError(f"The optics of instrument {instrument!r} are unknown.") from None
