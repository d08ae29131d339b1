"""The report of a run: the one schema that the executor writes and every reader reads."""

from __future__ import annotations

__all__ = (
    "DownSelected",
    "OverheadParts",
    "Percentiles",
    "RefusedFile",
    "RemovedGather",
    "Report",
    "ShardReport",
    "Summary",
)

import time
from pathlib import Path
from typing import Literal, Self

from ._base import Model
from ._printable import path_text, printable
from ._shard import FileVersion, Outcome, PlannedBy
from ._times import Times


class Percentiles(Model):
    """Median and tail of a quantity; `None` where nothing was measured."""

    p50: float | None = None
    p99: float | None = None
    n: int = 0


class OverheadParts(Model):
    """Where the time from ``file_closed`` to ``started`` of one shard went, milliseconds.

    ``latency_ms = no_worker_free_ms + overhead_ms``.
    """

    latency_ms: float
    no_worker_free_ms: float
    overhead_ms: float


class ShardReport(Model):
    """One ended shard."""

    pipeline: str
    step: str
    data_id: dict[str, str | int]
    outcome: Outcome
    partial: bool = False
    """Whether it gathered what had ended, while detectors were still to come."""
    revision: int = 0
    """Of a complete gather, how often it had been made before."""
    reason: str = ""
    attempt: int = 1
    worker: str | None = None
    planned_by: PlannedBy | None = None
    run: str | None = None
    datasets: int = 0
    repeat: str = ""
    """The command that repeats a failed shard with plain ``pipetask``."""
    overhead: OverheadParts | None = None
    times: Times


class RefusedFile(Model):
    """A file that is not a raw that we handle."""

    path: str
    r"""Bytes of it that are not UTF-8 are written as ``\xff``."""
    reason: str
    time: float
    """UNIX seconds."""
    size: int | None = None
    """Bytes, where it could be looked at."""
    modified_ns: int | None = None
    """Modification time, UNIX nanoseconds."""
    second_to: str | None = None
    """The file of the same raw that came before it, where that is the reason."""

    @classmethod
    def of(
        cls, path: Path, reason: str, version: FileVersion | None = None, second_to: Path | None = None
    ) -> Self:
        """Return a line for a file, refused now."""
        size, modified = (None, None) if version is None else (version.size, version.modified_ns)
        return cls(
            path=path_text(path),
            reason=printable(reason),
            time=time.time(),
            size=size,
            modified_ns=modified,
            second_to=None if second_to is None else path_text(second_to),
        )

    def is_same(self, other: RefusedFile) -> bool:
        """Tell whether it is the same version of a file, refused for the same reason."""
        return (
            self.size is not None
            and (self.path, self.reason, self.size, self.modified_ns)
            == (other.path, other.reason, other.size, other.modified_ns)
        )  # fmt: skip


class RemovedGather(Model):
    """Products of a gather that were removed because it was made again."""

    removed: str
    """The shard."""
    run: str
    time: float


class DownSelected(Model):
    """Exposures are processed in part from now on, or whole again."""

    time: float
    exposure: int
    """The first for which it holds."""
    reduced: bool
    pattern: str
    """Its detectors."""
    waiting_seconds: float
    """How long all that waited would have kept the workers busy, as far as was known."""


class Summary(Model):
    """The run in a few numbers."""

    exposures: int
    shards: dict[Outcome, int]
    """Number of shards by outcome."""
    missing: int
    """Expected detectors that never came, over all exposures."""
    refused_files: int
    datasets_committed: int
    warm_up_seconds: float
    """From start to the first worker that could take a shard; in no latency below."""
    overhead_ms: Percentiles
    """``started - file_closed`` less the time without a free worker, of the shards that a raw triggered."""
    latency_ms: Percentiles
    """``started - file_closed`` of the same shards."""
    no_worker_free_ms: Percentiles
    """The part of it in which no worker was free."""
    file_closed_to_committed_ms: Percentiles
    """The same shards from ``file_closed`` to ``committed``."""
    yield_ms: Percentiles = Percentiles()
    """From when a shard of an older exposure was asked to stop until its worker was free."""
    unregistered: int = 0
    """Of the shards above, those that are not registered yet, because the registry was away at the end: they
    are in the spool of the work folder, and have no ``committed`` time."""


class Report(Model):
    """A run of the executor.

    Written when the run ends, to the run's folder and where ``--report`` says.
    """

    schema_version: Literal[1] = 1
    version: str
    """Version of this package."""
    repo: str
    pipeline: str
    instrument: tuple[str, ...]
    inputs: tuple[str, ...]
    """Input collections, in the order in which they are searched."""
    output: str
    """The chain that holds the current RUNs."""
    runs: tuple[str, ...]
    """The RUNs that were written."""
    started: float
    ended: float
    workers: int
    interrupted: bool = False
    """Whether the run was told to stop; what had arrived may then not have ended."""
    given_up: int = 0
    """Shards that still ran when its time to stop was over: without an outcome, so a restart does them."""
    summary: Summary
    shards: tuple[ShardReport, ...]
    refused: tuple[RefusedFile, ...] = ()
    down_selected: tuple[DownSelected, ...] = ()
    """When exposures began to be processed in part because of the load, and when whole again."""
