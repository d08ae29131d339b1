"""Pictures of a report."""

from __future__ import annotations

__all__ = ("plot_latency",)

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..model import Outcome, Report
from ._files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {Outcome.DONE: "#2a9d8f", Outcome.FAILED: "#d1495b", Outcome.SHED: "#9aa0a6"}


def plot_latency(report: Report, path: Path) -> None:
    """Draw when each shard ran on which worker, and the distribution of overhead and latency.

    Parameters
    ----------
    report
        The report.
    path
        The PNG file to write.
    """
    # Only a report draws; a run must not wait for this import.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    timeline, overhead, latency = figure.subplot_mosaic(
        [["a", "a"], ["b", "c"]], height_ratios=[1.2, 1]
    ).values()
    _draw_timeline(timeline, report)
    parts = [shard.overhead for shard in report.shards if shard.overhead is not None]
    _draw_histogram(
        overhead,
        [part.overhead_ms for part in parts],
        "overhead: file closed to started, ms\n(no free worker left out)",
    )
    committed = [
        1e3 * (shard.times.committed - shard.times.file_closed)
        for shard in report.shards
        if shard.times.committed is not None
        and shard.times.file_closed is not None
        and shard.overhead is not None
    ]
    _draw_histogram(latency, committed, "file closed to committed, ms")
    figure.suptitle(
        f"{report.pipeline}: {report.summary.exposures} exposure(s), "
        + ", ".join(f"{n} {outcome}" for outcome, n in report.summary.shards.items())
    )
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _draw_timeline(axes: Axes, report: Report) -> None:
    workers = sorted({shard.worker for shard in report.shards if shard.worker})
    for outcome, colour in _COLOURS.items():
        bars = [
            (
                workers.index(shard.worker),
                shard.times.started - report.started,
                shard.times.finished - shard.times.started,
            )
            for shard in report.shards
            if shard.outcome is outcome and shard.worker and shard.times.started and shard.times.finished
        ]
        if bars:
            rows, begins, widths = zip(*bars, strict=True)
            axes.barh(
                rows,
                widths,
                left=begins,
                color=colour,
                height=0.8,
                label=str(outcome),
                edgecolor="white",
                lw=0.2,
            )
    axes.set_yticks(range(len(workers)), workers)
    axes.set_xlabel("seconds since the start")
    axes.set_title("shards on their workers")
    if axes.containers:
        axes.legend(loc="upper left", ncols=3, fontsize="small")


def _draw_histogram(axes: Axes, values: list[float], label: str) -> None:
    if values:
        low = max(min(values), 0.1)
        bins = np.geomspace(low, max(max(values), 2 * low), 50).tolist()
        axes.hist(np.clip(values, low, None), bins=bins, color="#33658a")
        axes.set_xscale("log")
        axes.axvline(float(np.median(values)), color="k", lw=1)
        axes.set_title(
            f"median {np.median(values):.1f}, 99 % {np.percentile(values, 99):.1f} (n = {len(values)})"
        )
    axes.set_xlabel(label)
    axes.set_ylabel("shards")
