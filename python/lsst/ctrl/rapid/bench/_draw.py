"""A suite's result in pictures."""

from __future__ import annotations

__all__ = ("draw_plots",)

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ._model import Chart, Curve, Row, Series, SuiteResult
from ._render import format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#33658a", "#d1495b", "#2a9d8f", "#edae49", "#6d597a", "#5c677d", "#8ab17d", "#000000")
_MARKERS = "osD^vPX*"
_LOG_FROM = 20.0
"""Bars whose values differ by more than this factor are drawn on a logarithmic axis."""

_MOST_TICKS = 8


def draw_plots(result: SuiteResult, folder: Path) -> list[Path]:
    """Draw bars for each column of the table, and the charts.

    Parameters
    ----------
    result
        The result.
    folder
        Where the PNG files are written; it is made.

    Returns
    -------
    written
        The files, named after suite and column or chart.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for heading in dict.fromkeys(heading for row in result.rows for heading in row.columns):
        bars = {_label(row): row.columns[heading] for row in result.rows if heading in row.columns}
        written.append(folder / f"{result.suite}-{_slug(heading)}.png")
        _save(_draw_bars(f"{result.suite}: {heading}", bars), written[-1])
    for chart in result.charts:
        written.append(folder / f"{result.suite}-{_slug(chart.name)}.png")
        _save(_draw_chart(chart), written[-1])
    return written


def _draw_bars(title: str, bars: Mapping[str, Series]) -> Figure:
    figure, axes = _figure(1.2 + 0.42 * len(bars))
    series = list(bars.values())
    medians = [one.median for one in series]
    places = range(len(bars))
    axes.barh(places, medians, xerr=_spread(series), color=_COLOURS[0], height=0.7, ecolor="black", capsize=3)
    axes.set_yticks(places, bars)
    axes.invert_yaxis()
    least, most = min(one.low for one in series), max(one.high for one in series)
    if least > 0 and most > _LOG_FROM * least:
        axes.set_xscale("log")
        axes.set_xlim(least / 2, most * 3)
    else:
        axes.set_xlim(min(0.0, least), 1.15 * most or 1.0)
    for place, one in zip(places, series, strict=True):
        axes.annotate(
            format_number(one.median),
            (one.high, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_xlabel(series[0].unit)
    axes.set_title(title)
    return figure


def _draw_chart(chart: Chart) -> Figure:
    figure, axes = _figure(5.0)
    for index, curve in enumerate(chart.curves):
        _draw_curve(axes, curve, index)
    if chart.log_x:
        _scale_places(axes, chart.curves)
    if chart.log_y:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    axes.set_title(chart.title)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _draw_curve(axes: Axes, curve: Curve, index: int) -> None:
    axes.errorbar(
        curve.x,
        [one.median for one in curve.y],
        yerr=_spread(curve.y),
        label=curve.label,
        color=_COLOURS[index % len(_COLOURS)],
        marker=_MARKERS[index % len(_MARKERS)],
        capsize=3,
    )


def _scale_places(axes: Axes, curves: Sequence[Curve]) -> None:
    """Make the horizontal axis logarithmic, with a place for nothing, and write at it what was measured."""
    places = sorted({x for curve in curves for x in curve.x})
    above = [x for x in places if x > 0]
    if len(above) < len(places):
        axes.set_xscale("symlog", linthresh=min(above, default=1.0))
    else:
        axes.set_xscale("log")
    if len(places) <= _MOST_TICKS:
        axes.set_xticks(places, [f"{x:,.6g}" for x in places])
        axes.minorticks_off()


def _spread(series: Sequence[Series]) -> list[list[float]]:
    return [[one.median - one.low for one in series], [one.high - one.median for one in series]]


def _figure(height: float) -> tuple[Figure, Axes]:
    # Only pictures need this import.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=110)


def _label(row: Row) -> str:
    return f"{row.what}, {row.where}" if row.where else row.what


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
