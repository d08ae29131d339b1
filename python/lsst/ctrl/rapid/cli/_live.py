"""The live view in a terminal."""

from __future__ import annotations

__all__ = ("render",)

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..service import ExposureStatus, Status

_ROWS = 12


def render(status: Status) -> Panel:
    """Return what a person sees of a moment of a run."""
    table = Table(
        "exposure",
        "type",
        "filter",
        "pipeline",
        "detectors",
        "done",
        "running",
        "failed",
        "gather",
        "latency, s",
        box=None,
    )
    for column in (4, 5, 6, 7, 9):
        table.columns[column].justify = "right"
    for exposure in status.exposures[-_ROWS:]:
        table.add_row(
            f"{exposure.instrument} {exposure.exposure}",
            exposure.observation_type,
            exposure.physical_filter,
            exposure.pipeline,
            f"{exposure.arrived}/{exposure.expected}",
            Text(str(exposure.done), style="green"),
            str(exposure.running),
            Text(str(exposure.failed), style="red" if exposure.failed else ""),
            exposure.gathered,
            _latency(exposure),
        )
    overhead = "-" if status.overhead_ms is None else f"{status.overhead_ms:.0f} ms"
    parts = [
        status.phase,
        f"{status.elapsed:.0f} s",
        f"workers {status.workers - status.free_workers} busy of {status.workers}",
        f"shards {status.running} running, {status.waiting} waiting, {status.uncommitted} to be registered",
        f"overhead {overhead}",
    ]
    if status.backlog is not None and status.backlog.shards:
        backlog = status.backlog
        parts.append(
            f"backlog {backlog.shards} of {backlog.exposures} exposure(s), {backlog.seconds:.0f} s"
            + (", processed in part" if backlog.reduced else "")
        )
    if status.registry.away_since is not None:
        parts.append(f"nothing can be registered, {status.registry.spooled} kept on disk")
    if status.registry.full:
        parts.append("spool full: nothing is dispatched")
    if status.shed:
        parts.append(f"{status.shed} shed")
    if status.refused:
        parts.append(f"{status.refused} file(s) refused")
    line = Text(" | ".join(parts))
    return Panel(Group(line, table), title="rapid-exec", border_style="cyan")


def _latency(exposure: ExposureStatus) -> str:
    if exposure.first_closed is None or exposure.last_committed is None:
        return "-"
    return f"{exposure.last_committed - exposure.first_closed:.1f}"
