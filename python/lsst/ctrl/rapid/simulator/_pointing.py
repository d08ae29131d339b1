"""Where the telescope points in an exposure."""

from __future__ import annotations

__all__ = ("LATITUDE", "LONGITUDE", "Pointing", "pointing_at")

import dataclasses
import math

import numpy as np

LATITUDE = -30.244639
"""Of the observatory, degrees north."""

LONGITUDE = -70.749417
"""Of the observatory, degrees east."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pointing:
    """A direction, degrees.

    Attributes
    ----------
    ra, dec
        Right ascension and declination (ICRS; precession is not simulated).
    rotation
        Position angle of the camera on the sky.
    hour_angle
        Hours, not degrees.
    azimuth, elevation
        Azimuth from north through east, and height above the horizon.
    airmass
        Secant of the zenith distance.
    """

    ra: float
    dec: float
    rotation: float
    hour_angle: float
    azimuth: float
    elevation: float
    airmass: float


def pointing_at(mjd: float, random: np.random.Generator) -> Pointing:
    """Return a pointing within some 50 degrees of the zenith.

    Sidereal time is Greenwich's mean one, from the linear term of the IAU 1982 expression; the horizontal
    direction follows by the usual spherical triangle of pole, zenith and target.

    Parameters
    ----------
    mjd
        When, Modified Julian Date; the time scale does not matter at this precision.
    random
        Where the pointing is drawn from.
    """
    hour_angle, dec, rotation = (
        float(value) for value in random.uniform((-2.0, -60.0, 0.0), (2.0, 0.0, 360.0))
    )
    sidereal = 280.46061837 + 360.98564736629 * (mjd - 51544.5) + LONGITUDE
    h, d, p = math.radians(hour_angle * 15.0), math.radians(dec), math.radians(LATITUDE)
    elevation = math.asin(math.sin(p) * math.sin(d) + math.cos(p) * math.cos(d) * math.cos(h))
    azimuth = math.atan2(
        -math.cos(d) * math.sin(h), math.sin(d) * math.cos(p) - math.cos(d) * math.cos(h) * math.sin(p)
    )
    return Pointing(
        ra=(sidereal - hour_angle * 15.0) % 360.0,
        dec=dec,
        rotation=rotation,
        hour_angle=hour_angle,
        azimuth=math.degrees(azimuth) % 360.0,
        elevation=math.degrees(elevation),
        airmass=1.0 / math.sin(elevation),
    )
