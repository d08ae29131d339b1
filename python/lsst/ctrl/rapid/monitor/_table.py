"""Where the time of a shard goes, as a table."""

from __future__ import annotations

__all__ = ("Phase", "phases")

import dataclasses
from collections.abc import Iterable

import numpy as np

from ..model import Report, ShardReport


@dataclasses.dataclass(frozen=True, slots=True)
class Phase:
    """One part of the time of a step's shards.

    Attributes
    ----------
    step
        Label of the step.
    name
        What the time was spent on.
    p50, p99
        Median and 99th percentile, milliseconds.
    n
        Number of shards.
    """

    step: str
    name: str
    p50: float
    p99: float
    n: int


def phases(report: Report) -> list[Phase]:
    """Return where the time of the shards of each step went, in the order in which it passes."""
    steps = list(dict.fromkeys(shard.step for shard in report.shards))
    return [phase for step in steps for phase in _of_step(step, [s for s in report.shards if s.step == step])]


def _of_step(step: str, shards: list[ShardReport]) -> Iterable[Phase]:
    spans: dict[str, list[float]] = {}

    def add(name: str, begin: float | None, end: float | None) -> None:
        if begin is not None and end is not None:
            spans.setdefault(name, []).append(1e3 * (end - begin))

    for shard in shards:
        times = shard.times
        add("file closed to seen", times.file_closed, times.seen)
        add("seen to ready", times.seen, times.ready)
        add("ready to dispatched", times.ready, times.dispatched)
        if shard.overhead is not None:
            spans.setdefault("no worker was free", []).append(shard.overhead.no_worker_free_ms)
        add("dispatched to started", times.dispatched, times.started)
        if times.quanta:
            add("started to first quantum", times.started, times.quanta[0].start)
        for quantum in times.quanta:
            add(quantum.label, quantum.start, quantum.end)
        if times.quanta:
            add("last quantum to finished", times.quanta[-1].end, times.finished)
        add("finished to committed", times.finished, times.committed)
        add("committed to published", times.committed, times.published)
        add("file closed to committed", times.file_closed, times.committed)
    for name, values in spans.items():
        p50, p99 = np.percentile(values, [50, 99])
        yield Phase(step, name, float(p50), float(p99), len(values))
