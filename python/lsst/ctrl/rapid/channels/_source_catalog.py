"""The catalogue of sources of one detector: detection, shapes, photometry, choice of PSF stars."""

from __future__ import annotations

__all__ = ("SourceLimits", "empty_catalog", "measure_sources")

import dataclasses
from typing import Any

import astropy.units as u
import numpy as np
import sep
from astropy.table import Table

from lsst.images import MaskedImage

from ._detection import Background, Pixels, detect, typical_sigma
from ._masks import bad_pixels
from ._shapes import GAUSSIAN_FWHM, Shapes, adaptive_moments, fwhm_per_sigma

type Array = np.ndarray[Any, Any]

_COLUMNS: dict[str, tuple[type, u.UnitBase | None, str]] = {
    "x": (np.float64, u.pix, "Zero-based column of the centroid in the assembled detector"),
    "y": (np.float64, u.pix, "Zero-based row of the centroid in the assembled detector"),
    "flux": (np.float64, u.electron, "Signal in a circular aperture, less the sky"),
    "flux_err": (np.float64, u.electron, "Its standard deviation, from the variance plane"),
    "snr": (np.float32, None, "flux / flux_err"),
    "peak": (np.float32, u.electron, "Brightest pixel above the sky"),
    "fwhm": (np.float32, u.arcsec, "Full width at half maximum of a point source of this size"),
    "fwhm_pixels": (np.float32, u.pix, "The same in pixels"),
    "e1": (np.float32, None, "Ellipticity (xx - yy) / (xx + yy) of the adaptive moments, pixel axes"),
    "e2": (np.float32, None, "Ellipticity 2 xy / (xx + yy) of the adaptive moments, pixel axes"),
    "a": (np.float32, u.pix, "Standard deviation along the major axis, adaptive moments"),
    "b": (np.float32, u.pix, "Standard deviation along the minor axis, adaptive moments"),
    "theta": (np.float32, u.rad, "Angle of the major axis from the rows towards increasing y"),
    "flags": (np.int32, None, "Flags of SEP's detection and aperture"),
    "saturated": (np.bool_, None, "Is a pixel near the core saturated?"),
    "psf_star": (np.bool_, None, "Does it count for the PSF?"),
}

_HALF_WIDTHS = (8, 25)
_TYPICAL = 200
"""So many of the brightest sources say how large the aperture must be."""


@dataclasses.dataclass(frozen=True, slots=True)
class SourceLimits:
    """What counts as a source and as a star: see the fields of `QuickSourcesConfig`."""

    threshold: float
    min_area: int
    aperture: float
    max_shapes: int
    star_snr: float
    star_size_range: float


def empty_catalog() -> Table:
    """Return a catalogue without sources, with all columns, units and descriptions."""
    return _table({name: np.empty(0) for name in _COLUMNS})


def measure_sources(
    image: MaskedImage, pixels: Pixels, background: Background, pixel_scale: float, limits: SourceLimits
) -> Table:
    """Return the sources of an image.

    Parameters
    ----------
    image
        Reduced detector, for its mask; not modified.
    pixels, background
        The same made ready, and its sky.
    pixel_scale
        Arcseconds per pixel.
    limits
        What counts.

    Returns
    -------
    catalog
        Brightest (in SEP's isophotal flux) first, with the columns of `empty_catalog`.  Sources whose moments
        do not converge have NaN shapes.
    """
    found = detect(background, pixels.bad, limits.threshold, limits.min_area)
    if len(found) == 0:
        return empty_catalog()
    sigma = typical_sigma(found)
    if not np.isfinite(sigma):
        sigma = 2.0
    shapes = adaptive_moments(
        background.subtracted,
        found["x"][: limits.max_shapes],
        found["y"][: limits.max_shapes],
        sigma=sigma,
        half_width=int(np.clip(np.ceil(4.0 * sigma), *_HALF_WIDTHS)),
    )
    columns = _shape_columns(found, shapes)
    near = max(2, round(1.5 * sigma))
    saturated = _any_near(bad_pixels(image.mask, ["SAT"]), columns["x"], columns["y"], near)
    measured = shapes.sigma[np.isfinite(shapes.sigma)][:_TYPICAL]
    size = float(np.median(measured)) if measured.size else sigma
    flux, error, flags = _photometry(background, pixels, columns, limits.aperture * GAUSSIAN_FWHM * size)
    flags |= found["flag"].astype(np.int32)
    with np.errstate(invalid="ignore", divide="ignore"):
        snr = flux / error

    clean = ~saturated & (flags & (sep.OBJ_MERGED | sep.OBJ_TRUNC | sep.OBJ_SINGU) == 0)
    clean &= ~_any_near(pixels.bad, columns["x"], columns["y"], 2 * near)
    star = _choose_stars(shapes, clean[: len(shapes.x)] & (snr[: len(shapes.x)] >= limits.star_snr), limits)
    ratio = fwhm_per_sigma(shapes, star)
    fwhm = _padded(shapes.sigma * ratio, len(found))
    return _table(
        columns
        | {"flux": flux, "flux_err": error, "snr": snr, "peak": found["peak"], "flags": flags}
        | {"fwhm": fwhm * pixel_scale, "fwhm_pixels": fwhm}
        | {"saturated": saturated, "psf_star": _padded(star, len(found))}
    )


def _shape_columns(found: Array, shapes: Shapes) -> dict[str, Array]:
    n = len(found)
    measured = _padded(np.isfinite(shapes.x), n)
    major, minor = shapes.axes
    return {
        "x": np.where(measured, _padded(shapes.x, n), found["x"]),
        "y": np.where(measured, _padded(shapes.y, n), found["y"]),
        "e1": _padded(shapes.e1, n),
        "e2": _padded(shapes.e2, n),
        "a": _padded(major, n),
        "b": _padded(minor, n),
        "theta": _padded(shapes.position_angle, n),
    }


def _padded(values: Array, size: int) -> Array:
    """Return the values followed by "not measured" for the sources that were too many."""
    missing = False if values.dtype == np.bool_ else np.nan
    return np.concatenate([values, np.full(size - len(values), missing)])


def _photometry(
    background: Background, pixels: Pixels, columns: dict[str, Array], radius: float
) -> tuple[Array, Array, Array]:
    flux, error, flags = sep.sum_circle(
        background.subtracted,
        columns["x"],
        columns["y"],
        radius,
        var=pixels.variance,
        mask=pixels.bad,
        subpix=5,
    )
    return flux, error, np.asarray(flags, dtype=np.int32)


def _any_near(where: Array, x: Array, y: Array, reach: int) -> Array:
    """Return for each position whether a pixel within ``reach`` rows and columns of it is set."""
    if not where.any():
        return np.zeros(len(x), dtype=np.bool_)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(where, reach), (2 * reach + 1, 2 * reach + 1))
    row = np.clip(np.rint(y).astype(np.intp), 0, where.shape[0] - 1)
    column = np.clip(np.rint(x).astype(np.intp), 0, where.shape[1] - 1)
    return np.asarray(windows[row, column].any(axis=(1, 2)))


def _choose_stars(shapes: Shapes, bright: Array, limits: SourceLimits) -> Array:
    """Return which of the bright sources have the size that most of them have."""
    sigma = shapes.sigma
    candidates = bright & np.isfinite(sigma)
    if not candidates.any():
        return np.asarray(candidates)
    typical = _densest(np.log(sigma[candidates]), limits.star_size_range)
    with np.errstate(invalid="ignore"):
        return np.asarray(candidates & (np.abs(np.log(sigma) - typical) < limits.star_size_range))


def _densest(values: Array, width: float) -> float:
    """Return the median of the values in the most populated window of this width."""
    ordered = np.sort(values)
    last = np.searchsorted(ordered, ordered + width, side="right")
    first = int(np.argmax(last - np.arange(len(ordered))))
    return float(np.median(ordered[first : last[first]]))


def _table(columns: dict[str, Array]) -> Table:
    table = Table()
    for name, (dtype, unit, description) in _COLUMNS.items():
        table[name] = np.asarray(columns[name]).astype(dtype)
        table[name].unit = unit
        table[name].description = description
    return table
