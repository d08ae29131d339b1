"""Background and sources of one image, by SEP."""

from __future__ import annotations

__all__ = ("Background", "Pixels", "detect", "measure_background", "usable_pixels")

import dataclasses
import logging
import math
from typing import Any

import numpy as np
import sep

from lsst.images import MaskedImage

from ._masks import bad_pixels
from ._statistics import robust_statistics, thin

type Array = np.ndarray[Any, Any]

_LOG = logging.getLogger(__name__)

_PIXEL_STACK = 2_000_000
_ATTEMPTS = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Pixels:
    """An image as SEP wants it: finite float32, and what to leave out.

    Attributes
    ----------
    image, variance
        Electrons and electrons squared, shape ``(rows, columns)``; zero where not usable.
    bad
        Where the image is not usable.
    """

    image: Array
    variance: Array
    bad: Array


@dataclasses.dataclass(frozen=True, slots=True)
class Background:
    """The sky of an image.

    Attributes
    ----------
    level, noise
        Typical level and standard deviation of a pixel, electrons; NaN if no pixel is usable.
    subtracted
        The image without it, zero where not usable.
    rms
        Standard deviation at each pixel, electrons.
    """

    level: float
    noise: float
    subtracted: Array
    rms: Array


def usable_pixels(image: MaskedImage, bad_planes: list[str]) -> Pixels:
    """Return copies of the planes of an image in which what must not be used is zero and marked."""
    bad = bad_pixels(image.mask, bad_planes)
    bad |= ~np.isfinite(image.image.array)
    bad |= ~np.isfinite(image.variance.array)
    zero = np.float32(0.0)
    return Pixels(
        np.where(bad, zero, image.image.array).astype(np.float32, copy=False),
        np.where(bad, zero, image.variance.array).astype(np.float32, copy=False),
        bad,
    )


def measure_background(pixels: Pixels, mesh: int) -> Background:
    """Return the sky of an image.

    Parameters
    ----------
    pixels
        The image; not modified.
    mesh
        Side of the boxes in which the sky is measured, pixels; less for a small image.
    """
    image, bad = pixels.image, pixels.bad
    good = image[~bad] if image.size < 250_000 else thin(image)[~thin(bad)]
    level, noise = robust_statistics(good)
    if not noise > 0.0:
        # SEP finds sources everywhere in an image without noise; there is nothing to find.
        return Background(level, noise, np.zeros_like(image), np.zeros_like(image))
    side = int(np.clip(min(image.shape) // 4, 16, mesh))
    background = sep.Background(image, mask=bad, bw=side, bh=side)
    subtracted = image - background.back(dtype=np.float32)
    subtracted[bad] = 0.0
    return Background(
        float(background.globalback),
        float(background.globalrms),
        subtracted,
        background.rms(dtype=np.float32),
    )


def detect(background: Background, bad: Array, threshold: float, min_area: int) -> Array:
    """Return SEP's sources, brightest first.

    Parameters
    ----------
    background
        Sky of the image.
    bad
        Pixels to leave out.
    threshold
        Signal-to-noise ratio of a pixel (after matched filtering) that belongs to a source.
    min_area
        Least number of such pixels.

    Returns
    -------
    sources
        SEP's structured array; empty where there is none, or where nothing could be seen.
    """
    if not background.noise > 0.0:
        return np.empty(0, dtype=[(name, np.float64) for name in _NEEDED])
    sep.set_extract_pixstack(max(sep.get_extract_pixstack(), _PIXEL_STACK))
    error = np.maximum(background.rms, 0.1 * background.noise)
    for attempt in range(_ATTEMPTS):
        try:
            sources = sep.extract(
                background.subtracted, threshold * 2.0**attempt, err=error, mask=bad, minarea=min_area
            )
        except Exception as error_:  # noqa: BLE001  SEP has no other class for its full buffers
            reason = str(error_)
            _LOG.warning("Too crowded at a threshold of %g sigma (%s)", threshold * 2.0**attempt, error_)
        else:
            # Equal fluxes are told apart by place, so that the order is the same everywhere.
            return np.asarray(sources[np.lexsort((sources["x"], sources["y"], -sources["flux"]))])
    raise RuntimeError(
        f"SEP finds too many pixels above the sky even at {threshold * 2.0 ** (_ATTEMPTS - 1):g} sigma: "
        f"{reason}; look at the image, and raise threshold if it is sound."
    )


_NEEDED = ("x", "y", "a", "b", "flux", "peak", "flag")


def typical_sigma(sources: Array) -> float:
    """Return a first guess of the standard deviation of a point source from the brighter sources, pixels."""
    size = np.sqrt(sources["a"] * sources["b"])[:200]
    size = size[np.isfinite(size) & (size > 0.3)]
    return float(np.clip(np.median(size), 0.8, 8.0)) if size.size else math.nan
