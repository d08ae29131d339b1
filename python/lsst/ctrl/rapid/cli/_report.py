"""``rapid-exec report``: where the time went."""

from __future__ import annotations

__all__ = ("print_summary", "report")

from pathlib import Path

import click
import pydantic
from rich.console import Console
from rich.table import Table

from ..model import InputError, Percentiles, Report, read_file
from ._options import make_place_for

_LARGEST = 1 << 30
"""Bytes of a report that are read: a night of a thousand exposures has a fifth of it."""


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="PNG to draw.  [default: beside FILE]"
)
def report(file: Path, plot: Path | None) -> None:
    """Show where the time of the shards in a report went, and draw it."""
    from ..monitor import phases, plot_latency

    try:
        found = Report.model_validate_json(read_file(file, _LARGEST))
    except pydantic.ValidationError:
        raise InputError(f"{file}: this is not a report of 'rapid-exec run'.") from None
    console = Console()
    print_summary(found, console)
    table = Table("step", "time spent on", "p50, ms", "p99, ms", "shards", box=None)
    before = ""
    for phase in phases(found):
        step = phase.step if phase.step != before else ""
        if step and before:
            table.add_section()
        before = phase.step
        table.add_row(step, phase.name, f"{phase.p50:.1f}", f"{phase.p99:.1f}", str(phase.n))
    for column in table.columns[2:]:
        column.justify = "right"
    console.print(table)
    path = plot or file.with_suffix(".png")
    make_place_for(path, "--plot")
    plot_latency(found, path)
    console.print(f"Drawn in {path}.", soft_wrap=True)


def print_summary(found: Report, console: Console) -> None:
    """Print a report's summary."""
    summary = found.summary
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in summary.shards.items() if count) or "none"
    console.print(f"[bold]{found.pipeline}[/] on {found.repo}, {', '.join(found.instrument)}", soft_wrap=True)
    console.print(
        f"{summary.exposures} exposure(s), shards: {outcomes}; {summary.missing} detector(s) missing, "
        f"{summary.refused_files} file(s) refused; {summary.datasets_committed} datasets registered.",
        soft_wrap=True,
    )
    if summary.unregistered:
        console.print(
            f"[bold]{summary.unregistered} of these shards are not registered yet:[/] the registry was out "
            "of reach. They are kept in the work folder; the next start with it registers them first.",
            soft_wrap=True,
        )
    console.print(
        f"Warm-up {summary.warm_up_seconds:.1f} s (in none of the times below); {found.workers} worker(s)."
    )
    console.print(f"File closed to started:   {_told(summary.latency_ms)}")
    console.print(f"  no worker was free:     {_told(summary.no_worker_free_ms)}")
    console.print(f"  overhead:               {_told(summary.overhead_ms)}")
    console.print(f"File closed to committed: {_told(summary.file_closed_to_committed_ms)}")
    if summary.yield_ms.n:
        console.print(f"Asked to yield to free:   {_told(summary.yield_ms)}")
    for change in found.down_selected:
        what = f"in part ({change.pattern})" if change.reduced else "as usual again"
        console.print(
            f"From {change.exposure} on processed {what}: {change.waiting_seconds:.0f} s of work waited.",
            soft_wrap=True,
        )


def _told(values: Percentiles) -> str:
    if values.p50 is None or values.p99 is None:
        return "nothing was measured"
    return f"p50 {values.p50:.1f} ms, p99 {values.p99:.1f} ms ({values.n} shards)"
