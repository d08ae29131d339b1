"""What goes to a worker and what comes back: JSON, so that nothing of a task must be unpickled."""

from __future__ import annotations

__all__ = (
    "NO_QUANTA",
    "FirstReads",
    "RawMessage",
    "ShardRequest",
    "ShardResponse",
    "StorageFault",
    "WarmUp",
)

from collections.abc import Mapping

import pydantic

from lsst.daf.butler import DatasetRef, DatasetType
from lsst.pipe.base.quantum_reports import QuantumReport

from ..model import Model, PlannedBy, QuantumTimes, Shard
from ..plan import DatasetMessage, RecordsMessage, RecordStore, refs_by_type

NO_QUANTA = "it had no quanta: its tasks found no work, or what they read is not there"
"""Reason of a shard that is done without having run anything."""


class RawMessage(Model):
    """A raw and the file that holds it, which the worker reads in place."""

    dataset: DatasetMessage
    path: str
    formatter: str


class StorageFault(Model):
    """Nothing could be written, which is no fault of the shard that wanted to."""

    reason: str
    """What the operating system says, and the path."""
    folder: str


class ShardResponse(Model):
    """How a shard ended on its worker.

    Attributes
    ----------
    ok
        Whether all went well.
    reason
        The first failure.
    yielded
        Whether it was asked to stop and quanta are left: not an end.  A request that has this response as its
        ``before`` runs the rest, on any worker.
    storage
        Why nothing could be written, if that ended it: then it may be run again from its beginning.
    planned_by
        Who made the quanta, if the worker did.
    planned
        The quanta that the worker made, as `lsst.ctrl.rapid.plan.describe_quanta` gives them.
    started, finished
        UNIX seconds.
    quanta
        Times of the quanta that ran.
    reports
        Upstream's report of each quantum, also of those that were not run because one before them failed.
    outputs
        What was written, also before a failure.
    datastore_records
        Records of the outputs, by datastore.
    """

    ok: bool
    reason: str = ""
    yielded: bool = False
    storage: StorageFault | None = None
    planned_by: PlannedBy | None = None
    planned: str = ""
    started: float
    finished: float
    quanta: tuple[QuantumTimes, ...] = ()
    reports: tuple[QuantumReport, ...] = ()
    outputs: tuple[DatasetMessage, ...] = ()
    datastore_records: RecordsMessage = pydantic.Field(default_factory=dict)


class ShardRequest(Model):
    """A shard to run, with all that the worker needs to know: it asks no database."""

    pipeline: str
    step: str
    instrument: str
    exposure: int
    detector: int | None
    group: str | None = None
    others: tuple[int, ...] = ()
    day_obs: int | None = None
    detectors: tuple[int, ...] = ()
    """Those of a gather of which a raw has come."""
    run: str
    dimension_records: tuple[str, ...]
    raws: tuple[RawMessage, ...]
    inputs: tuple[DatasetMessage, ...]
    datastore_records: RecordsMessage
    collections: tuple[str, ...] = ()
    """Where the head looks for inputs beside the RUN and the run's inputs."""
    before: ShardResponse | None = None
    """How an attempt at the very same request yielded; what it has done is not done again."""

    @property
    def shard(self) -> Shard:
        """The shard."""
        return Shard(
            self.pipeline,
            self.step,
            self.instrument,
            self.exposure,
            self.detector,
            self.group,
            self.others,
            day_obs=self.day_obs,
        )

    def refs(
        self, dataset_types: Mapping[str, DatasetType], records: RecordStore
    ) -> dict[str, list[DatasetRef]]:
        """Return everything that the shard reads, raws included, by the name of the dataset type.

        Raises
        ------
        LookupError
            If a dimension record is not known.
        """
        return refs_by_type((*self.inputs, *(raw.dataset for raw in self.raws)), dataset_types, records)


class FirstReads(Model):
    """Datasets that a worker reads while it is warmed: what the first of a kind costs is paid then."""

    datasets: tuple[DatasetMessage, ...] = ()
    dimension_records: tuple[str, ...] = ()
    """Those that the data IDs need beside the static ones, serialised."""
    datastore_records: RecordsMessage = pydantic.Field(default_factory=dict)


class WarmUp(Model):
    """A worker's answer to being warmed up."""

    ok: bool
    reason: str = ""
    pid: int
    host: str
    seconds: float
