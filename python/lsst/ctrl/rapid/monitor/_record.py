"""Collects how each shard ended, and makes the report of a run."""

from __future__ import annotations

__all__ = ("RunFacts", "RunRecord", "write_report")

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..model import (
    DownSelected,
    Model,
    Outcome,
    OverheadParts,
    Percentiles,
    RefusedFile,
    Report,
    Shard,
    ShardReport,
    Summary,
    Times,
)
from ._files import whole_file
from ._free import FreeWorkerClock
from ._shelf import ShardShelf


class RunFacts(Model):
    """What is known of a run from its start."""

    version: str
    repo: str
    pipeline: str
    instrument: tuple[str, ...]
    inputs: tuple[str, ...]
    output: str
    workers: int
    started: float


class RunRecord:
    """Everything that ended in a run.

    Parameters
    ----------
    facts
        What is known from the start.
    folder
        Where a file may be made for what memory need not hold; it has no name, and goes with the process.

    Attributes
    ----------
    runs
        The RUNs that were written.
    shed
        Number of shards that were shed.
    unregistered
        Number of shards that ended and wait in the spool when the run ends.
    """

    def __init__(self, facts: RunFacts, folder: Path | None = None) -> None:
        self.facts = facts
        self.clock = FreeWorkerClock()
        self.warm_up_seconds = 0.0
        self._missing: dict[tuple[str, int], int] = {}
        self.runs: list[str] = []
        self.shed = 0
        self.unregistered = 0
        self._shards = ShardShelf(folder)
        self._refused: list[RefusedFile] = []
        self._yield_ms: list[float] = []
        self._down_selected: list[DownSelected] = []

    def ended(self, shard: Shard, report: ShardReport) -> None:
        """Remember how a shard ended, replacing what was remembered of it before."""
        if report.outcome is Outcome.SHED and self._shards.get(shard) is None:
            self.shed += 1
        self._shards.put(shard, report)

    def shard(self, shard: Shard) -> ShardReport:
        """Return how a shard ended that is not registered, or has just been."""
        found = self._shards.get(shard)
        assert found is not None, "It has ended, not long ago."
        return found

    def published(self, shard: Shard, when: float) -> None:
        """Remember when a shard's products were published."""
        if (found := self._shards.get(shard)) is not None:
            times = found.times.model_copy(update={"published": when})
            self._shards.put(shard, found.model_copy(update={"times": times}))

    def count_missing(self, shard: Shard, missing: Collection[int]) -> None:
        """Remember which expected detectors an exposure's gather went without."""
        self._missing[shard.instrument, shard.exposure] = len(missing)

    def refused(self, file: RefusedFile) -> None:
        """Remember a file that was refused."""
        self._refused.append(file)

    def yielded(self, seconds: float) -> None:
        """Remember how long it took until a worker was free whose shard had been asked to stop."""
        self._yield_ms.append(1e3 * seconds)

    def down_selected(self, change: DownSelected) -> None:
        """Remember that exposures are processed in part from now on, or whole again."""
        self._down_selected.append(change)

    def ran_in(self, run: str) -> None:
        """Remember a RUN that was written."""
        if run not in self.runs:
            self.runs.append(run)

    @property
    def outcomes(self) -> Mapping[Outcome, int]:
        """Number of shards by outcome so far."""
        return Counter(report.outcome for report in self._shards.all().values())

    def overhead(self, times: Times) -> OverheadParts | None:
        """Return where the time until a shard's start went, in parts that add up."""
        if times.file_closed is None or times.started is None:
            return None
        latency = times.started - times.file_closed
        waited = self.clock.none_free(times.file_closed, times.dispatched or times.started)
        return OverheadParts(
            latency_ms=1e3 * latency, no_worker_free_ms=1e3 * waited, overhead_ms=1e3 * (latency - waited)
        )

    def report(self, *, ended: float, interrupted: bool) -> Report:
        """Return the report."""
        ended_shards = self._shards.all()
        shards = tuple(report for _, report in sorted(ended_shards.items(), key=_by_time))
        outcomes = Counter(report.outcome for report in shards)
        first = [shard for shard in shards if "detector" in shard.data_id and shard.overhead is not None]
        committed = [
            1e3 * (shard.times.committed - shard.times.file_closed)
            for shard in first
            if shard.times.committed is not None and shard.times.file_closed is not None
        ]
        exposures = {(shard.instrument, number) for shard in ended_shards for number in shard.exposures}
        parts = [shard.overhead for shard in first if shard.overhead is not None]
        return Report(
            **self.facts.model_dump(exclude={"started"}),
            started=self.facts.started,
            ended=ended,
            runs=tuple(self.runs),
            interrupted=interrupted,
            summary=Summary(
                exposures=len(exposures),
                shards={o: outcomes.get(o, 0) for o in Outcome if o != Outcome.REFUSED},
                missing=sum(self._missing.values()),
                refused_files=len(self._refused),
                datasets_committed=sum(shard.datasets for shard in shards),
                warm_up_seconds=self.warm_up_seconds,
                overhead_ms=_percentiles(part.overhead_ms for part in parts),
                latency_ms=_percentiles(part.latency_ms for part in parts),
                no_worker_free_ms=_percentiles(part.no_worker_free_ms for part in parts),
                file_closed_to_committed_ms=_percentiles(committed),
                yield_ms=_percentiles(self._yield_ms),
                unregistered=self.unregistered,
            ),
            shards=shards,
            refused=tuple(self._refused),
            down_selected=tuple(self._down_selected),
        )


def write_report(report: Report, path: Path) -> None:
    """Write a report; a reader sees the old file or the new one, never a part."""
    with whole_file(path) as temporary:
        temporary.write_text(report.model_dump_json(indent=1))


def _percentiles(values: Iterable[float]) -> Percentiles:
    found: Sequence[float] = sorted(values)
    if not found:
        return Percentiles()
    p50, p99 = np.percentile(found, [50, 99])
    return Percentiles(p50=float(p50), p99=float(p99), n=len(found))


def _by_time(item: tuple[Shard, ShardReport]) -> tuple[float, str, int, int]:
    shard, report = item
    return (
        report.times.finished or 0.0,
        shard.step,
        shard.exposure,
        -1 if shard.detector is None else shard.detector,
    )
