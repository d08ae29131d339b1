"""Plots of the focal plane, drawn without any state of matplotlib's."""

from __future__ import annotations

__all__ = ("Stretch", "Whisker", "plot_focal_plane", "plot_psf_plane")

import dataclasses
import enum
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.visualization import ZScaleInterval
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import AsinhNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lsst.ctrl.rapid.instruments import Camera

from ._focal_plane import Bounds, detector_bounds
from ._observation import Observation
from ._statistics import robust_statistics, thin

_PAPER = "#0d0f14"
_INK = "#d8dce6"
_FAINT = "#5b6376"
_RAFT = "#3f8fc4"
_FEW_DETECTORS = 30
"""Up to so many detectors there is room for a text in each."""


class Stretch(enum.StrEnum):
    """How pixel values become grey levels."""

    ASINH = "asinh"
    ZSCALE = "zscale"


@dataclasses.dataclass(frozen=True, slots=True)
class Whisker:
    """Ellipticity at a place of the focal plane: its size, and its direction in radians from x towards y."""

    x_mm: float
    y_mm: float
    ellipticity: float
    angle: float


def plot_focal_plane(
    picture: np.ndarray[Any, Any],
    bounds: Bounds,
    camera: Camera,
    *,
    shown: Sequence[int],
    present: Collection[int],
    observation: Observation,
    unit: u.UnitBase | None,
    stretch: Stretch,
    above_sky: bool,
) -> Figure:
    """Draw a mosaic of the focal plane.

    Parameters
    ----------
    picture
        The mosaic, least x and y first, NaN where there is nothing.
    bounds
        What it shows, millimetres.
    camera, observation
        Whose picture it is.
    shown, present
        Detectors that have room in it, and those of them that there is an image of; the others are hatched.
    unit
        Of the mosaic, per pixel.
    stretch
        How values become grey levels.
    above_sky
        Has the sky been subtracted?
    """
    figure, axes = _canvas(bounds)
    norm = _norm(picture, stretch)
    image = axes.imshow(
        picture,
        origin="lower",
        extent=(bounds.x_min, bounds.x_max, bounds.y_min, bounds.y_max),
        cmap="gray",
        norm=norm,
        interpolation="antialiased",
    )
    _draw_frame(axes, camera, shown, present)
    _draw_compass(axes, camera, observation)
    per_pixel = f"{_unit_text(unit)} per pixel" + (" above the sky" if above_sky else "")
    _colour_bar(figure, axes, image, per_pixel)
    _title(axes, observation, f"{len(present)} of {len(shown)} detectors")
    return figure


def plot_psf_plane(
    fwhm: Mapping[int, float],
    whiskers: Sequence[Whisker],
    camera: Camera,
    *,
    shown: Sequence[int],
    observation: Observation,
    subtitle: str,
) -> Figure:
    """Draw the size and the shape of the stars over the focal plane.

    Parameters
    ----------
    fwhm
        FWHM of each detector that has stars, arcsec.
    whiskers
        Ellipticities to draw.
    camera, observation
        Whose stars they are.
    shown
        Detectors that have room in it; those without a FWHM are hatched.
    subtitle
        Second half of the title.
    """
    bounds = Bounds.hull(detector_bounds(camera[number]) for number in shown)
    figure, axes = _canvas(bounds)
    colours = ScalarMappable(norm=_fwhm_norm(list(fwhm.values())), cmap="viridis")
    for number, value in fwhm.items():
        slot = detector_bounds(camera[number])
        axes.add_patch(
            Rectangle(
                (slot.x_min, slot.y_min),
                slot.width,
                slot.height,
                facecolor=tuple(colours.to_rgba(np.array([value]))[0]),
                lw=0,
            )
        )
        if len(shown) <= _FEW_DETECTORS:
            axes.text(
                slot.x_min + 0.05 * slot.width,
                slot.y_min + 0.05 * slot.height,
                f'{value:.2f}"',
                color="white",
                fontsize=9,
            )
    _draw_frame(axes, camera, shown, fwhm.keys())
    _draw_whiskers(axes, bounds, whiskers)
    _draw_compass(axes, camera, observation)
    _colour_bar(figure, axes, colours, "FWHM of the stars, arcsec")
    _title(axes, observation, subtitle)
    return figure


def _canvas(bounds: Bounds) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(11.0, 10.0), dpi=120, facecolor=_PAPER, layout="compressed")
    axes = figure.add_subplot(facecolor=_PAPER)
    margin = 0.02 * max(bounds.width, bounds.height)
    axes.set_xlim(bounds.x_min - margin, bounds.x_max + margin)
    axes.set_ylim(bounds.y_min - margin, bounds.y_max + margin)
    axes.set_aspect("equal")
    axes.set_xlabel("focal plane x, mm", color=_INK)
    axes.set_ylabel("focal plane y, mm", color=_INK)
    axes.tick_params(colors=_INK)
    for spine in axes.spines.values():
        spine.set_color(_FAINT)
    return figure, axes


def _norm(picture: np.ndarray[Any, Any], stretch: Stretch) -> Normalize:
    values = thin(picture, 400_000)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return Normalize(0.0, 1.0)
    if stretch is Stretch.ZSCALE:
        low, high = ZScaleInterval().get_limits(values)
        return Normalize(float(low), float(max(high, low + 1e-3)))
    median, sigma = robust_statistics(values)
    sigma = max(sigma, 1e-3)
    high = max(float(np.percentile(values, 99.8)), median + 10.0 * sigma)
    return AsinhNorm(linear_width=2.0 * sigma, vmin=median - 1.5 * sigma, vmax=high)


def _fwhm_norm(values: list[float]) -> Normalize:
    if not values:
        return Normalize(0.5, 1.5)
    low, high = np.percentile(values, (2.0, 98.0))
    widen = max(0.0, 0.1 - (high - low)) / 2.0
    return Normalize(float(low - widen), float(high + widen))


def _draw_frame(axes: Axes, camera: Camera, shown: Sequence[int], present: Collection[int]) -> None:
    """Draw what is not data: missing detectors, the rafts' outlines and names."""
    rafts: dict[str, list[Bounds]] = defaultdict(list)
    for number in shown:
        slot = detector_bounds(camera[number])
        rafts[camera[number].raft].append(slot)
        if number not in present:
            axes.add_patch(
                Rectangle(
                    (slot.x_min, slot.y_min),
                    slot.width,
                    slot.height,
                    facecolor="none",
                    edgecolor=_FAINT,
                    hatch="///",
                    lw=0.5,
                )
            )
    for name, slots in rafts.items():
        hull = Bounds.hull(slots)
        axes.add_patch(
            Rectangle(
                (hull.x_min, hull.y_min), hull.width, hull.height, facecolor="none", edgecolor=_RAFT, lw=1.0
            )
        )
        axes.annotate(
            name,
            (hull.x_min, hull.y_max),
            xytext=(3, -3),
            textcoords="offset points",
            color=_RAFT,
            fontsize=9,
            fontweight="bold",
            va="top",
            bbox={"facecolor": _PAPER, "edgecolor": "none", "alpha": 0.6, "pad": 1.0},
        )


_COMPASS = (0.94, 0.94)
"""Where the compass stands, in parts of the axes."""
_COMPASS_ARROW = 36.0
"""Length of its arrows, points."""


def _draw_compass(axes: Axes, camera: Camera, observation: Observation) -> None:
    """Draw where north and east are, if the exposure's rotation is known."""
    if observation.sky_angle is None:
        return
    for name, (x, y) in camera.optics.compass(observation.sky_angle).items():
        axes.annotate(
            name,
            _COMPASS,
            xytext=(_COMPASS_ARROW * x, _COMPASS_ARROW * y),
            xycoords="axes fraction",
            textcoords="offset points",
            arrowprops={"arrowstyle": "<-", "color": _INK, "lw": 1.2, "shrinkA": 0.0, "shrinkB": 0.0},
            color=_INK,
            fontsize=10,
            ha="center",
            va="center",
            bbox={"facecolor": _PAPER, "edgecolor": "none", "alpha": 0.6, "pad": 1.0},
        )


_WHISKER_SCALE = 0.1
"""An ellipticity of this size is drawn as long as a thirtieth of the picture."""


def _draw_whiskers(axes: Axes, bounds: Bounds, whiskers: Sequence[Whisker]) -> None:
    full = max(bounds.width, bounds.height) / 30.0
    lines = []
    for whisker in whiskers:
        half = 0.5 * full * whisker.ellipticity / _WHISKER_SCALE
        dx, dy = half * np.cos(whisker.angle), half * np.sin(whisker.angle)
        lines.append([(whisker.x_mm - dx, whisker.y_mm - dy), (whisker.x_mm + dx, whisker.y_mm + dy)])
    axes.add_collection(LineCollection(lines, colors="white", linewidths=1.2))
    axes.annotate(
        f"e = {_WHISKER_SCALE:g} is {full:.2g} mm long",
        (1.0, 0.0),
        xycoords="axes fraction",
        xytext=(-6, 6),
        textcoords="offset points",
        color=_INK,
        fontsize=9,
        ha="right",
        bbox={"facecolor": _PAPER, "edgecolor": "none", "alpha": 0.7, "pad": 2.0},
    )


def _colour_bar(figure: Figure, axes: Axes, mappable: ScalarMappable, label: str) -> None:
    bar = figure.colorbar(mappable, ax=axes, fraction=0.04, pad=0.01)
    bar.set_label(label, color=_INK)
    bar.ax.tick_params(colors=_INK, which="both")
    bar.outline.set_edgecolor(_FAINT)


def _title(axes: Axes, observation: Observation, ending: str) -> None:
    words = [observation.instrument, str(observation.exposure)]
    words += [word for word in (observation.observation_type, observation.physical_filter) if word]
    if observation.exposure_time is not None:
        words.append(f"{observation.exposure_time:g} s")
    axes.set_title("   ".join([*words, ending]), color=_INK, fontsize=12)


def _unit_text(unit: u.UnitBase | None) -> str:
    if unit is None:
        return "counts"
    return "ADU" if unit == u.adu else "e⁻" if unit == u.electron else str(unit)
