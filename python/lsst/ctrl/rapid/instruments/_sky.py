"""Directions of places on the focal plane, from pointing and rotation alone."""

from __future__ import annotations

__all__ = ("focal_plane_to_sky",)

import math

import numpy as np

from ._optics import Floats, optics_of


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
    west, north = optics_of(instrument).to_field_angle(x_mm, y_mm)
    cos, sin = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    xi, eta = north * sin - west * cos, north * cos + west * sin
    a, d = math.radians(ra), math.radians(dec)
    boresight = np.array([math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d)])
    to_east = np.array([-math.sin(a), math.cos(a), 0.0])
    to_north = np.array([-math.sin(d) * math.cos(a), -math.sin(d) * math.sin(a), math.cos(d)])
    vectors = boresight + xi[..., None] * to_east + eta[..., None] * to_north
    normalised: Floats = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return normalised
