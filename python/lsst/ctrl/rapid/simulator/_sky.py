"""What is above the telescope: one field of stars over the whole focal plane, the sky and the seeing."""

from __future__ import annotations

__all__ = ("Band", "Psf", "Stars", "add_stars", "band_of", "margin_of", "psf_at", "stars_on")

import dataclasses

import numpy as np
import numpy.typing as npt

from lsst.ctrl.rapid.instruments import CameraDetector, load_camera

from ._geometry import FOCAL_PLANE_RADIUS_MM
from ._random import Use, generator

type Floats = npt.NDArray[np.float64]

FWHM_OF_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
"""Full width at half maximum of a Gaussian of unit standard deviation."""

_CELL_MM = 2.56
_STARS_ALONG_CELL = 4
_BRIGHT_IN_CELL = 6
_BRIGHT_RATES = (1000.0, 20_000.0)
_FAINT_RATES = (30.0, 1000.0)
_RATE_SLOPE = 0.75
_VERY_BRIGHT = 0.01
_STAMP_SIGMAS = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Band:
    """How bright things are through a filter.

    Attributes
    ----------
    name
        One of ``ugrizy``.
    zero_point
        AB magnitude that gives one electron for each second.
    sky
        Brightness of the dark sky, AB magnitudes for each square arcsecond.
    """

    name: str
    zero_point: float
    sky: float


# Expected for the Simonyi Survey Telescope at zenith: the Rubin technical note SMTN-002.
_BANDS = {
    "u": Band("u", 26.52, 23.05),
    "g": Band("g", 28.51, 22.25),
    "r": Band("r", 28.36, 21.20),
    "i": Band("i", 28.17, 20.46),
    "z": Band("z", 27.78, 19.61),
    "y": Band("y", 26.82, 18.60),
}


def band_of(physical_filter: str) -> Band:
    """Return the band of a filter, by the letter that ends its name's first part (``r_57``, ``SDSSr_65mm``).

    A filter without such a letter is taken for one of band r.
    """
    return _BANDS.get(physical_filter.partition("_")[0][-1:].lower(), _BANDS["r"])


@dataclasses.dataclass(frozen=True, slots=True)
class Psf:
    """The point-spread function on one detector: an elliptical Gaussian sampled at pixel centres.

    It is what is in the pixels, so it includes their own extent: a fit of a Gaussian to the pixels, or their
    unweighted second moments, give these very numbers.

    Attributes
    ----------
    fwhm
        Full width at half maximum of the round Gaussian of the same ``(Ixx + Iyy) / 2``, pixels.
    e1, e2
        Ellipticity along the axes and the diagonals of the detector: ``(Ixx - Iyy) / (Ixx + Iyy)`` and
        ``2 Ixy / (Ixx + Iyy)`` of the second moments ``I``.
    """

    fwhm: float
    e1: float
    e2: float

    @property
    def sigma(self) -> float:
        """Standard deviation of the round Gaussian of the same size, pixels."""
        return float(self.fwhm / FWHM_OF_SIGMA)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Stars:
    """Stars on and just outside one detector.

    Attributes
    ----------
    x, y
        Positions, zero-based pixels of the assembled detector in the frame of cameraGeom.
    rate
        Brightness on the axis of the telescope, e-/s.
    """

    x: Floats
    y: Floats
    rate: Floats


def psf_at(detector: CameraDetector, instrument: str, exposure: int, seed: int) -> Psf:
    """Return the point-spread function on a detector.

    The seeing of an exposure is 0.6 to 1.2 arcsec (FWHM) and grows by up to 6 % to the edge of the focal
    plane; all stars of an exposure are drawn out by up to 4 % in one direction of the focal plane, as by an
    error of tracking.

    Parameters
    ----------
    detector
        The detector.
    instrument
        Name of the instrument.
    exposure
        Number of the exposure.
    seed
        Seed of the simulation.
    """
    random = generator(Use.SEEING, seed, instrument, exposure)
    seeing, ellipticity, direction = random.uniform((0.62, 0.01, 0.0), (1.12, 0.04, np.pi))
    radius = np.hypot(detector.x_mm, detector.y_mm) / FOCAL_PLANE_RADIUS_MM
    # A quarter turn changes both signs.
    turn = -1.0 if detector.quarter_turns % 2 else 1.0
    return Psf(
        fwhm=float(seeing * (1.0 + 0.06 * radius**2) / load_camera(instrument).pixel_scale),
        e1=float(turn * ellipticity * np.cos(2 * direction)),
        e2=float(turn * ellipticity * np.sin(2 * direction)),
    )


def stars_on(
    detector: CameraDetector,
    shape: tuple[int, int],
    instrument: str,
    exposure: int,
    seed: int,
    *,
    margin: float,
) -> Stars:
    """Return the stars of an exposure's field on a detector.

    The field covers the focal plane in cells of 256 pixels with 16 stars each, none closer to another than 19
    pixels; 6 of them give 1,000 to 20,000 e-/s (1 % of these thirty times as much), the others 30 to 1,000.

    Parameters
    ----------
    detector
        The detector.
    shape
        Rows and columns of the assembled detector.
    instrument
        Name of the instrument.
    exposure
        Number of the exposure; each exposure points elsewhere.
    seed
        Seed of the simulation.
    margin
        How far outside the detector stars are wanted, pixels.
    """
    rows, columns = shape
    corners_x = np.array([-margin, columns - 1 + margin, -margin, columns - 1 + margin])
    corners_y = np.array([-margin, -margin, rows - 1 + margin, rows - 1 + margin])
    x_mm, y_mm = detector.to_focal_plane(corners_x, corners_y, shape=shape)
    # Stars keep clear of their cells' borders, so these must not always be at the same place of a detector.
    origin = generator(Use.STARS, seed, instrument, exposure).uniform(0.0, _CELL_MM, 2)
    i, j = (np.floor((mm - at) / _CELL_MM).astype(int) for mm, at in zip((x_mm, y_mm), origin, strict=True))
    cells = [
        _cell(column, row, instrument, exposure, seed)
        for row in range(j.min(), j.max() + 1)
        for column in range(i.min(), i.max() + 1)
    ]
    field = np.concatenate(cells, axis=1)
    field[:2] += origin[:, None]
    x, y = detector.from_focal_plane(field[0], field[1], shape=shape)
    near = (x > -margin) & (x < columns - 1 + margin) & (y > -margin) & (y < rows - 1 + margin)
    return Stars(x[near], y[near], field[2][near])


def _cell(i: int, j: int, instrument: str, exposure: int, seed: int) -> Floats:
    """Stars of one cell: x and y on the focal plane, mm, and rate, e-/s."""
    random = generator(Use.STARS, seed, instrument, exposure, i + 2**16, j + 2**16)
    count = _STARS_ALONG_CELL**2
    draws = random.random((4, count))
    places = random.permutation(count)
    step = _CELL_MM / _STARS_ALONG_CELL
    stars = np.empty((3, count))
    stars[0] = i * _CELL_MM + (places % _STARS_ALONG_CELL + 0.15 + 0.7 * draws[0]) * step
    stars[1] = j * _CELL_MM + (places // _STARS_ALONG_CELL + 0.15 + 0.7 * draws[1]) * step
    stars[2, :_BRIGHT_IN_CELL] = _power_law(draws[2, :_BRIGHT_IN_CELL], *_BRIGHT_RATES)
    stars[2, _BRIGHT_IN_CELL:] = _power_law(draws[2, _BRIGHT_IN_CELL:], *_FAINT_RATES)
    stars[2, :_BRIGHT_IN_CELL] *= np.where(draws[3, :_BRIGHT_IN_CELL] < _VERY_BRIGHT, 30.0, 1.0)
    return stars


def _power_law(uniform: Floats, low: float, high: float) -> Floats:
    """Draw from counts that fall as brightness to the power of 0.75 (0.3 dex for each magnitude)."""
    values: Floats = low * (1.0 - uniform * (1.0 - (high / low) ** -_RATE_SLOPE)) ** (-1.0 / _RATE_SLOPE)
    return values


def margin_of(psf: Psf) -> int:
    """Return half the side of a star's stamp, pixels."""
    return int(np.ceil(_STAMP_SIGMAS * psf.sigma))


def add_stars(image: npt.NDArray[np.float32], stars: Stars, fluxes: Floats, psf: Psf) -> None:
    """Add stars to an image.

    Parameters
    ----------
    image
        Electrons of the assembled detector; changed in place.
    stars
        The stars.
    fluxes
        Electrons of each.
    psf
        Their shape.
    """
    half = margin_of(psf)
    rows, columns = image.shape
    left, low = np.rint(stars.x).astype(np.intp) - half, np.rint(stars.y).astype(np.intp) - half
    side = np.arange(2 * half + 1)
    dx = (left[:, None] + side - stars.x[:, None]).astype(np.float32)
    dy = (low[:, None] + side - stars.y[:, None]).astype(np.float32)
    variance, determinant = psf.sigma**2, 1.0 - psf.e1**2 - psf.e2**2
    scale = -0.5 / (variance * determinant)
    stamps = np.multiply(dy[:, :, None], dx[:, None, :] * np.float32(-2.0 * psf.e2 * scale))
    stamps += (np.float32(scale * (1.0 - psf.e1)) * dx**2)[:, None, :]
    stamps += (np.float32(scale * (1.0 + psf.e1)) * dy**2)[:, :, None]
    np.exp(stamps, out=stamps)
    stamps *= (fluxes / (2.0 * np.pi * variance * np.sqrt(determinant))).astype(np.float32)[:, None, None]
    for stamp, x, y in zip(stamps, left.tolist(), low.tolist(), strict=True):
        x0, x1 = max(x, 0), min(x + side.size, columns)
        y0, y1 = max(y, 0), min(y + side.size, rows)
        if x0 < x1 and y0 < y1:
            image[y0:y1, x0:x1] += stamp[y0 - y : y1 - y, x0 - x : x1 - x]
