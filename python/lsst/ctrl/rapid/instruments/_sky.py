"""Where the focal plane looks: from millimetres to the sky, by pointing and rotation alone."""

from __future__ import annotations

__all__ = ("focal_plane_to_sky",)

import dataclasses
import math

import numpy as np
import numpy.typing as npt

type Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class _Optics:
    """How the focal plane of an instrument is imaged.

    Attributes
    ----------
    arcsec_per_mm
        Scale on the axis.
    cubic, quintic
        Distortion: a place ``r`` mm from the axis is seen where an instrument without it would have one at
        ``r + cubic r^3 + quintic r^5``; mm^-2 and mm^-4.
    mirrored
        Whether x of the focal plane runs to the east where y runs to the north.
    """

    arcsec_per_mm: float
    cubic: float = 0.0
    quintic: float = 0.0
    mirrored: bool = False


_MAIN = _Optics(20.0)
_COMMISSIONING = _Optics(20.018130891688713, cubic=9.27930280e-08, quintic=2.41770368e-13)

# The numbers of the camera definitions of lsst/obs_lsst (cameraTransforms.yaml), from which the full stack
# makes the regions of visits; the table of detectors has the round plate scale.
_OPTICS = {
    "LSSTCam": _MAIN,
    "LSSTCamSim": _MAIN,
    "LSSTComCam": _COMMISSIONING,
    "LSSTComCamSim": _COMMISSIONING,
    "LATISS": _Optics(9.5695, mirrored=True),
}


def focal_plane_to_sky(
    instrument: str, x_mm: Floats, y_mm: Floats, *, ra: float, dec: float, rotation: float
) -> Floats:
    """Return the directions in which places on the focal plane look.

    Parameters
    ----------
    instrument
        Name of the instrument in the registry.
    x_mm, y_mm
        Places on the focal plane, millimetres, in the frame of `CameraDetector.to_focal_plane`.
    ra, dec
        Direction of the boresight, degrees, ICRS.
    rotation
        Position angle of y on the focal plane, degrees from north through east: ``sky_angle`` of an exposure.

    Returns
    -------
    vectors
        Unit vectors, ICRS, along a last axis of 3.

    Raises
    ------
    LookupError
        If the instrument is not of the LSSTCam family.

    Notes
    -----
    The rules are those of the full stack's first guess of a raw's WCS: a gnomonic projection about the
    boresight, with x of the focal plane to the west where y is to the north (LATISS: to the east).  Nothing
    is measured on the image, so it is as good as the telescope's pointing.
    """
    try:
        optics = _OPTICS[instrument]
    except KeyError:
        raise LookupError(f"Nothing is known of the optics of instrument {instrument!r}.") from None
    square = x_mm**2 + y_mm**2
    factor = math.radians(optics.arcsec_per_mm / 3600.0) * (
        1.0 + square * (optics.cubic + square * optics.quintic)
    )
    west = -x_mm * factor if optics.mirrored else x_mm * factor
    north = y_mm * factor
    cos, sin = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    xi, eta = north * sin - west * cos, north * cos + west * sin
    a, d = math.radians(ra), math.radians(dec)
    boresight = np.array([math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d)])
    to_east = np.array([-math.sin(a), math.cos(a), 0.0])
    to_north = np.array([-math.sin(d) * math.cos(a), -math.sin(d) * math.sin(a), math.cos(d)])
    vectors = boresight + xi[..., None] * to_east + eta[..., None] * to_north
    normalised: Floats = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return normalised
