"""Sizes and shapes of many sources at once: adaptive moments, and the profile that turns them into a FWHM."""

from __future__ import annotations

__all__ = ("GAUSSIAN_FWHM", "Shapes", "adaptive_moments", "fwhm_per_sigma")

import dataclasses
import math
from typing import Any

import numpy as np

type Floats = np.ndarray[Any, np.dtype[np.float64]]

GAUSSIAN_FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian in units of its standard deviation."""

_ITERATIONS = 30
_TOLERANCE = 1e-3
_CHUNK = 512
_FARTHEST = 3.0
"""A centroid that moves further than this from its detection has gone to another source, pixels."""


@dataclasses.dataclass(frozen=True, slots=True)
class Shapes:
    """Adaptive moments of sources; arrays of shape ``(n,)``, NaN where the iteration did not end well.

    Attributes
    ----------
    x, y
        Zero-based centroids, pixels.
    xx, xy, yy
        Second moments of the Gaussian that matches the source, square pixels.
    stamps
        Background-subtracted pixels about the centroids, shape ``(n, side * side)``.
    corner_x, corner_y
        Zero-based position of the first pixel of each stamp.
    """

    x: Floats
    y: Floats
    xx: Floats
    xy: Floats
    yy: Floats
    stamps: Floats
    corner_x: Floats
    corner_y: Floats

    @property
    def sigma(self) -> Floats:
        """Fourth root of the determinant of the moments, pixels."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.sqrt(np.sqrt(self.xx * self.yy - self.xy**2)))

    @property
    def e1(self) -> Floats:
        """Ellipticity along the rows, ``(xx - yy) / (xx + yy)``."""
        return np.asarray((self.xx - self.yy) / (self.xx + self.yy))

    @property
    def e2(self) -> Floats:
        """Ellipticity along the diagonal, ``2 xy / (xx + yy)``."""
        return np.asarray(2.0 * self.xy / (self.xx + self.yy))

    @property
    def position_angle(self) -> Floats:
        """Angle of the major axis from the rows towards increasing y, radians."""
        return np.asarray(0.5 * np.arctan2(2.0 * self.xy, self.xx - self.yy))

    @property
    def axes(self) -> tuple[Floats, Floats]:
        """Standard deviations along the major and minor axes, pixels."""
        mean = 0.5 * (self.xx + self.yy)
        half = np.hypot(0.5 * (self.xx - self.yy), self.xy)
        return np.sqrt(mean + half), np.sqrt(np.maximum(mean - half, 0.0))


def adaptive_moments(
    pixels: np.ndarray[Any, Any], x: Floats, y: Floats, *, sigma: float, half_width: int
) -> Shapes:
    """Measure sources with an elliptical Gaussian weight that is matched to each.

    Parameters
    ----------
    pixels
        Background-subtracted image, shape ``(rows, columns)``; pixels that cannot be used are zero.
    x, y
        First guesses of the centroids, zero-based pixels.
    sigma
        First guess of the sources' standard deviation, pixels.
    half_width
        Pixels on either side of a source that are looked at; four sigma is ample.

    Notes
    -----
    The weight's moments ``M`` are those of the source when the weighted moments are ``M / 2``, since the
    product of two equal Gaussians has half their variance (Bernstein & Jarvis 2002, AJ 123, 583, section
    3.1).  Both the moments and the offset of the centroid are therefore doubled in each iteration.
    """
    side = 2 * half_width + 1
    padded = np.pad(np.asarray(pixels, dtype=np.float32), half_width)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    column = np.clip(np.rint(x).astype(np.intp), 0, pixels.shape[1] - 1)
    row = np.clip(np.rint(y).astype(np.intp), 0, pixels.shape[0] - 1)
    # A window's index in the padded image is the unpadded index of its centre.
    stamps = windows[row, column].reshape(len(x), side * side).astype(np.float64)

    moments = np.full((len(x), 5), np.nan)
    for start in range(0, len(x), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        offset_x, offset_y = x[chunk] - column[chunk], y[chunk] - row[chunk]
        moments[chunk] = _iterate(stamps[chunk], offset_x, offset_y, sigma, half_width)
    cx, cy, xx, xy, yy = moments.T
    corner_x, corner_y = (column - half_width).astype(np.float64), (row - half_width).astype(np.float64)
    return Shapes(column + cx, row + cy, xx, xy, yy, stamps, corner_x, corner_y)


def _grid(half_width: int) -> tuple[Floats, Floats]:
    dy, dx = np.mgrid[-half_width : half_width + 1, -half_width : half_width + 1].astype(np.float64)
    return dx.ravel(), dy.ravel()


def _iterate(stamps: Floats, x: Floats, y: Floats, sigma: float, half_width: int) -> Floats:
    """Return centroid (from the stamp's centre) and moments of each stamp, shape ``(n, 5)``."""
    dx, dy = _grid(half_width)
    basis = np.stack([np.ones_like(dx), dx, dy, dx * dx, dx * dy, dy * dy])
    n = len(stamps)
    state = np.column_stack([x, y, np.full(n, sigma**2), np.zeros(n), np.full(n, sigma**2)])
    active = np.arange(n)
    for _ in range(_ITERATIONS):
        old = state[active]
        weight = np.exp(np.minimum(_log_weight(old) @ basis, 0.0))
        weight *= stamps[active]
        new = _matched(weight @ basis.T, old)
        sound = _is_sound(new, x[active], y[active], half_width)
        new[~sound] = np.nan
        state[active] = new
        moved = np.abs(new - old).max(axis=1) > _TOLERANCE * sigma
        active = active[sound & moved]
        if active.size == 0:
            break
    return np.asarray(state)


def _log_weight(state: Floats) -> Floats:
    """Return the polynomial in (1, x, y, xx, xy, yy) of the logarithm of each Gaussian weight."""
    x, y, xx, xy, yy = state.T
    determinant = xx * yy - xy * xy
    a, b, c = yy / determinant, -xy / determinant, xx / determinant
    constant = -0.5 * (a * x * x + 2.0 * b * x * y + c * y * y)
    return np.column_stack([constant, a * x + b * y, b * x + c * y, -0.5 * a, -b, -0.5 * c])


def _matched(sums: Floats, old: Floats) -> Floats:
    """Return centroids and moments of the next weight from the weighted sums over the basis."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        _, mx, my, mxx, mxy, myy = (sums / sums[:, :1]).T
        moments = [2.0 * (mxx - mx * mx), 2.0 * (mxy - mx * my), 2.0 * (myy - my * my)]
        centre = [2.0 * mx - old[:, 0], 2.0 * my - old[:, 1]]
    return np.where(sums[:, :1] > 0.0, np.column_stack(centre + moments), np.nan)


def _is_sound(state: Floats, x: Floats, y: Floats, half_width: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    cx, cy, xx, xy, yy = state.T
    with np.errstate(invalid="ignore"):
        near = np.hypot(cx - x, cy - y) < _FARTHEST
        size = (xx > 0.1) & (yy > 0.1) & (xx < half_width**2) & (yy < half_width**2)
        return np.asarray(near & size & (xx * yy - xy * xy > 1e-2))


_RATIOS = np.arange(1.6, 2.9, 0.01)
_BETAS = np.array([1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 4.765, 6.0, 9.0, 15.0, 40.0])
_BIN = 0.15
_MIN_PIXELS = 3


def fwhm_per_sigma(shapes: Shapes, stars: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    """Return the FWHM of a point source in units of its adaptive sigma, from the profile of the given stars.

    Parameters
    ----------
    shapes
        Sources.
    stars
        Which of them are good, bright, point-like.

    Returns
    -------
    ratio
        Near `GAUSSIAN_FWHM`, less for profiles with wings; that of a Gaussian when there are no stars.

    Notes
    -----
    Adaptive moments overstate the FWHM of a profile with wings if it is taken for a Gaussian.  The stars'
    pixels, scaled by size, shape and brightness, lie on one curve; a Moffat function (whose exponent may be
    that of nearly a Gaussian) on a constant is fitted to it by least squares, by trial of exponent and width.
    """
    radius2, value = _stacked_profile(shapes, stars)
    if radius2.size < 6:
        return GAUSSIAN_FWHM
    beta, ratio = (grid.ravel() for grid in np.meshgrid(_BETAS, _RATIOS, indexing="ij"))
    alpha2 = (0.5 * ratio) ** 2 / (2.0 ** (1.0 / beta) - 1.0)
    model = (1.0 + radius2 / alpha2[:, np.newaxis]) ** -beta[:, np.newaxis]
    # The best amplitude and constant of each trial leave 1 - r^2 of the variance.
    model -= model.mean(axis=1, keepdims=True)
    centred = value - value.mean()
    explained = (model @ centred) ** 2 / (model * model).sum(axis=1)
    return float(ratio[np.argmax(explained)])


def _stacked_profile(shapes: Shapes, stars: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[Floats, Floats]:
    """Return squared radius (in sigma) and brightness of the stars' common profile, binned in radius."""
    if not stars.any():
        return np.empty(0), np.empty(0)
    pixels = shapes.stamps[stars]
    half_width = (math.isqrt(pixels.shape[1]) - 1) // 2
    gx, gy = _grid(half_width)
    dx = gx + (shapes.corner_x[stars] + half_width - shapes.x[stars])[:, np.newaxis]
    dy = gy + (shapes.corner_y[stars] + half_width - shapes.y[stars])[:, np.newaxis]
    xx, xy, yy = (moment[stars][:, np.newaxis] for moment in (shapes.xx, shapes.xy, shapes.yy))
    determinant = xx * yy - xy * xy
    radius2 = (yy * dx * dx - 2.0 * xy * dx * dy + xx * dy * dy) / determinant
    weight = np.exp(-0.5 * radius2)
    amplitude = (weight * pixels).sum(axis=1, keepdims=True) / (weight * weight).sum(axis=1, keepdims=True)

    radius2, value = radius2.ravel(), (pixels / amplitude).ravel()
    index = (np.sqrt(radius2) / _BIN).astype(np.intp)
    bins = [np.flatnonzero(index == number) for number in range(int(4.0 / _BIN))]
    kept = [members for members in bins if members.size >= _MIN_PIXELS]
    return (
        np.array([radius2[members].mean() for members in kept]),
        np.array([np.median(value[members]) for members in kept]),
    )
