"""What ``rapid-exec control status`` shows to a person."""

from __future__ import annotations

__all__ = ("print_status",)

import datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..control import StatusReport
from ..model import Policy, printable

_LINES_SHOWN = 8
_MINUTE = 60.0
_HOUR = 3600.0


def print_status(status: StatusReport) -> None:
    """Print a moment of a running executor, what matters most first."""
    console = Console()
    since = _span(status.now - status.started)
    colour = "green" if status.phase == "running" else "yellow"
    phase = f"[bold {colour}]{escape(status.phase)}[/]"
    console.print(
        f"rapid-exec {status.version} (process {status.pid}): {phase}, started {since} ago", highlight=False
    )
    for name, told in (
        ("Policy", _policy(status.settings.policy)),
        ("Gather", _gather(status)),
        ("Workers", _workers(status)),
        ("Backlog", _backlog(status)),
        *((("Registry", registry),) if (registry := _registry(status)) else ()),
        ("Ended", _ended(status)),
        ("Shed", _shed(status)),
        ("Overhead", "-" if status.overhead_ms is None else f"{status.overhead_ms:.0f} ms (median)"),
    ):
        console.print(f"[bold]{name + ':':10}[/]{escape(told)}", highlight=False, soft_wrap=True)
    for trouble in status.troubles:
        console.print(f"[bold red]{escape(trouble)}[/]", highlight=False, soft_wrap=True)
    _print_exposures(status, console)
    _print_failures(status, console)
    _print_refusals(status, console)
    _print_changes(status, console)


def _policy(policy: Policy) -> str:
    parts = [f"mode {policy.mode}", f"pattern {policy.pattern}"]
    if policy.guaranteed.exposures:
        parts.append(f"guaranteed {', '.join(map(str, policy.guaranteed.exposures))}")
    if policy.guaranteed.where:
        parts.append(f"guaranteed where {policy.guaranteed.where}")
    if (down := policy.down_selection) is not None:
        parts.append(
            f"pattern {down.pattern} from {down.above:g} s of waiting work on, until it is {down.below:g} s"
        )
    return "; ".join(parts)


def _gather(status: StatusReport) -> str:
    parts = []
    if status.settings.gather_timeout is not None:
        parts.append(f"{status.settings.gather_timeout:g} s after the first ended detector")
    if status.settings.gather_deadline is not None:
        parts.append(f"at the latest {status.settings.gather_deadline:g} s after the first raw")
    return "; ".join(parts) or "-"


def _workers(status: StatusReport) -> str:
    workers = status.workers
    told = f"{workers.busy} busy of {workers.warm}"
    return told if workers.warm >= workers.wanted else f"{told}; {workers.wanted - workers.warm} not there"


def _backlog(status: StatusReport) -> str:
    backlog = status.backlog
    told = f"{status.running} shard(s) run, {status.uncommitted} item(s) to be registered"
    if not backlog.shards:
        return f"nothing waits; {told}"
    waits = "" if backlog.waits_since is None else f", for {_span(status.now - backlog.waits_since)}"
    return (
        f"{backlog.shards} shard(s) of {backlog.exposures} exposure(s) wait, the oldest "
        f"{backlog.oldest}{waits}; {backlog.seconds:.0f} s of work"
        f"{', exposures are processed in part' if backlog.reduced else ''}; {told}"
    )


def _registry(status: StatusReport) -> str:
    registry = status.registry
    told = []
    if registry.away_since is not None:
        told.append(f"nothing is registered for {_span(status.now - registry.away_since)}: {registry.reason}")
    if registry.spooled:
        told.append(f"{registry.spooled} item(s) wait on disk")
    if registry.full:
        told.append(f"nothing is dispatched: {registry.full}")
    return "; ".join(told)


def _ended(status: StatusReport) -> str:
    parts = [f"{count} {outcome}" for outcome, count in sorted(status.ended.items())]
    if status.refused:
        parts.append(f"{status.refused} file(s) refused")
    return ", ".join(parts) or "nothing yet"


def _shed(status: StatusReport) -> str:
    return "; ".join(f"{count}: {reason}" for reason, count in status.shed.items()) or "nothing"


def _print_exposures(status: StatusReport, console: Console) -> None:
    if not status.exposures:
        console.print("No exposure has come yet.")
        return
    # It fits 80 columns.
    columns = "newest exposures", "kind", "detectors", "done", "failed", "gather", "latency, s"
    table = Table(*columns, box=None, padding=(0, 1, 0, 0))
    table.columns[0].no_wrap = True
    for column in (2, 3, 4, 6):
        table.columns[column].justify = "right"
    for found in status.exposures:
        table.add_row(
            f"{found.instrument} {found.exposure}",
            f"{found.observation_type} {found.physical_filter}",
            f"{found.arrived}/{found.expected}",
            str(found.done),
            Text(str(found.failed), style="red" if found.failed else ""),
            found.gathered,
            "-" if found.latency is None else f"{found.latency:.1f}",
        )
    console.print(table)


def _print_failures(status: StatusReport, console: Console) -> None:
    if not status.failures:
        return
    console.print("[bold]Last failed, UTC; the log and the report have the commands that repeat them[/]")
    for failure in status.failures[:_LINES_SHOWN]:
        _print_line(failure.time, f"{failure.what}: {failure.reason}", console)


def _print_refusals(status: StatusReport, console: Console) -> None:
    if not status.refusals:
        return
    console.print("[bold]Last refused files, UTC[/]")
    for file in status.refusals[:_LINES_SHOWN]:
        _print_line(file.time, f"{printable(file.path)}: {file.reason}", console)
    if (more := status.refused - min(len(status.refusals), _LINES_SHOWN)) > 0:
        console.print(f"  and {more} more: the ledger has each.", highlight=False)


def _print_changes(status: StatusReport, console: Console) -> None:
    if not status.changes:
        console.print("Nothing was changed since the start.")
        return
    console.print("[bold]Last changes, UTC[/]")
    for change in status.changes[:_LINES_SHOWN]:
        refused = f" refused: {change.refused}" if change.refused else ""
        _print_line(change.time, f"{change.who}: {change.what}{refused}", console)


def _print_line(when: float, told: str, console: Console) -> None:
    stamp = datetime.datetime.fromtimestamp(when, datetime.UTC)
    console.print(f"  {stamp:%H:%M:%S}  {escape(told)}", highlight=False, soft_wrap=True)


def _span(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h"
