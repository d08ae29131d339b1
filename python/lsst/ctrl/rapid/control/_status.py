"""What a running executor tells of itself."""

from __future__ import annotations

__all__ = (
    "BacklogLine",
    "Change",
    "ClusterReport",
    "DetectorLoad",
    "ExposureLine",
    "FailureLine",
    "RegistryLine",
    "StatusReport",
    "WorkersLine",
)

import dataclasses
from collections.abc import Mapping

import pydantic

from ..model import Model, RefusedFile
from ._messages import LiveSettings


class Change(Model):
    """Something that somebody changed, or tried to."""

    time: float
    """UNIX seconds."""
    who: str
    what: str
    refused: str = ""
    """Why it was not done; empty if it was."""


class ExposureLine(Model):
    """How far an exposure is."""

    instrument: str
    exposure: int
    pipeline: str
    observation_type: str
    physical_filter: str
    expected: int
    arrived: int
    done: int
    failed: int
    """Detectors."""
    gathered: str
    """``waits``, ``runs``, or how its gather ended; ``earlier`` if an earlier run ended it, ``none`` if there
    is nothing to gather."""
    latency: float | None = None
    """Seconds from the end of its first file to its latest registration."""


class FailureLine(Model):
    """A shard that failed."""

    time: float
    """UNIX seconds."""
    what: str
    """Pipeline, step and data ID."""
    reason: str
    repeat: str = ""
    """The command that repeats it with plain ``pipetask``."""


class BacklogLine(Model):
    """What could run and waits for a worker."""

    shards: int = 0
    exposures: int = 0
    oldest: int | None = None
    """Number of the oldest exposure of which something waits."""
    waits_since: float | None = None
    """When what has waited longest became ready, UNIX seconds."""
    seconds: float = 0.0
    """How long all of it would keep the workers busy, as far as is known."""
    reduced: bool = False
    """Whether exposures are processed in part because of it."""


class RegistryLine(Model):
    """How the registry is."""

    away_since: float | None = None
    """Since when nothing can be registered, UNIX seconds; `None` if something can."""
    spooled: int = 0
    """Shards and raws that wait for it on disk."""
    full: str = ""
    """Why the spool takes no more, so that nothing is dispatched; empty while it does."""
    reason: str = ""
    """Why nothing can be registered; empty while something can."""


class WorkersLine(Model):
    """The worker processes."""

    wanted: int
    warm: int
    busy: int


class StatusReport(Model):
    """A moment of a running executor."""

    version: str
    pid: int
    phase: str
    paused: bool
    started: float
    """UNIX seconds."""
    now: float
    """UNIX seconds."""
    settings: LiveSettings
    exposures: tuple[ExposureLine, ...] = ()
    """The latest, newest first."""
    backlog: BacklogLine = BacklogLine()
    running: int = 0
    uncommitted: int = 0
    """Shards and raws that are not registered yet."""
    registry: RegistryLine = RegistryLine()
    ended: dict[str, int] = pydantic.Field(default_factory=dict)
    """Number of shards by outcome, of this run."""
    shed: dict[str, int] = pydantic.Field(default_factory=dict)
    """Number of shards by the reason why they were shed."""
    failures: tuple[FailureLine, ...] = ()
    """The latest of this run, newest first; the report has all."""
    refused: int = 0
    """Files."""
    refusals: tuple[RefusedFile, ...] = ()
    """The latest of them, newest first; the ledger has all."""
    troubles: tuple[str, ...] = ()
    """What goes wrong now and needs somebody, a line each."""
    workers: WorkersLine
    overhead_ms: float | None = None
    changes: tuple[Change, ...] = ()
    """The latest, newest first."""


@dataclasses.dataclass(frozen=True, slots=True)
class DetectorLoad:
    """What there is to do of a detector.

    Attributes
    ----------
    running
        Whether a shard of it runs.
    waiting
        How many wait for a worker.
    """

    running: bool = False
    waiting: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class ClusterReport:
    """What the workers do, detector by detector.

    Attributes
    ----------
    phase
        As a person reads it.
    detectors
        By instrument and number, all that are processed.
    gathers
        Of all exposures together.
    workers
        The worker processes.
    uncommitted
        Shards and raws that are not registered yet.
    ended
        Whether the run is over.
    """

    phase: str
    detectors: Mapping[str, Mapping[int, DetectorLoad]]
    gathers: DetectorLoad
    workers: WorkersLine
    uncommitted: int
    ended: bool = False
