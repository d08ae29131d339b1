"""Arrivals, shards, and how they end."""

from __future__ import annotations

__all__ = ("Arrival", "FileVersion", "Outcome", "OutcomeRecord", "PlannedBy", "Shard", "ShardKey", "Unit")

import dataclasses
import enum
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from ._base import Model
from ._times import Times

type PlannedBy = Literal["memory", "trivial", "builder"]

type Unit = Literal["exposure", "group", "day_obs"]
"""What a shard takes all of, or a detector of."""

type ShardKey = tuple[str, str, int | str, int | None]
"""Step, instrument, exposure or group or day, and detector of a shard."""


@dataclasses.dataclass(frozen=True, slots=True)
class FileVersion:
    """What changes when a file is written anew or replaced.

    Attributes
    ----------
    size
        Bytes.
    modified_ns
        Modification time, UNIX nanoseconds.
    inode
        Number of the file in its file system.
    """

    size: int
    modified_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """Return the version of a file that was looked at."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


@dataclasses.dataclass(frozen=True, slots=True)
class Arrival:
    """A file has announced itself.

    Attributes
    ----------
    path
        The file, absolute.
    file_closed
        When it was whole, UNIX seconds, by its modification time; not after it was seen.
    seen
        When the executor heard of it, UNIX seconds.
    version
        What was seen; `None` if it was gone, or nobody looked.
    """

    path: Path
    file_closed: float
    seen: float
    version: FileVersion | None = None


class Outcome(enum.StrEnum):
    """How an arrival or a shard ends."""

    DONE = "done"
    FAILED = "failed"
    SHED = "shed"
    REFUSED = "refused"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Shard:
    """One step of a pipeline for one data ID of its sharding dimensions: the unit of placement.

    Attributes
    ----------
    pipeline
        Name of the pipeline.
    step
        Label of the step.
    instrument
        Name of the instrument.
    exposure
        Number of the exposure; of a group, of its newest that has come; of a day, of the newest that has
        ended in this run, 0 if none has.
    detector
        Number of the detector; `None` for a gather.
    group
        Name of the group, if the shard is of all exposures of a group.
    others
        Numbers of the group's other exposures, in ascending order.
    partial
        Whether it gathers what has ended so far, detectors of an exposure or exposures of a day, while more
        is still to come: its products go into a RUN of their own.
    revision
        Of a complete gather, how often it was made before: what it made then is removed first.  Of a day, how
        often anything was made of it before in this run.
    day_obs
        The day, if the shard is of all exposures of an observing day.
    """

    pipeline: str
    step: str
    instrument: str
    exposure: int
    detector: int | None = None
    group: str | None = None
    others: tuple[int, ...] = ()
    partial: bool = False
    revision: int = 0
    day_obs: int | None = None

    @property
    def unit(self) -> Unit:
        """What it takes all of, or a detector of."""
        if self.day_obs is not None:
            return "day_obs"
        return "exposure" if self.group is None else "group"

    @property
    def data_id(self) -> Mapping[str, str | int]:
        """The data ID's required values by dimension; a visit is told by its exposure."""
        data_id: dict[str, str | int] = {"instrument": self.instrument}
        if self.detector is not None:
            data_id["detector"] = self.detector
        if self.day_obs is not None:
            data_id["day_obs"] = self.day_obs
        elif self.group is not None:
            data_id["group"] = self.group
        else:
            data_id["exposure"] = self.exposure
        return data_id

    @property
    def exposures(self) -> tuple[int, ...]:
        """Numbers of all exposures that it covers, the newest last; for a day the registry tells."""
        return () if self.day_obs is not None else (*self.others, self.exposure)

    @property
    def key(self) -> ShardKey:
        """Step, instrument, exposure or group or day, and detector: the shard, whatever pipeline runs it."""
        of: int | str = self.exposure if self.group is None else self.group
        if self.day_obs is not None:
            of = f"day_obs={self.day_obs}"
        return self.step, self.instrument, of, self.detector

    def __str__(self) -> str:
        detector = "" if self.detector is None else f" detector {self.detector}"
        of = f"exposure {self.exposure}" if self.group is None else f"group {self.group}"
        if self.day_obs is not None:
            of = f"day_obs {self.day_obs}"
        again = f" (again, {self.revision})" if self.revision and self.day_obs is None else ""
        if self.partial:
            again = " (partial)"
        return f"{self.pipeline}#{self.step} {self.instrument} {of}{detector}{again}"


class OutcomeRecord(Model):
    """What the outcome dataset of a shard holds, so that a restart knows how it ended."""

    outcome: Outcome
    reason: str = ""
    attempts: int
    worker: str | None = None
    planned_by: PlannedBy | None = None
    planned: str = ""
    """The quanta that were planned: a list of upstream's `PredictedQuantumDatasetsModel` as JSON."""
    repeat: str = ""
    """The command that repeats a failed shard with plain ``pipetask``."""
    scratch: str = ""
    """What it left unregistered for later steps, as JSON, so that a restart finds it."""
    gathered: tuple[int, ...] = ()
    """The detectors that a complete gather of an exposure took: a restart knows which came after it."""
    times: Times
