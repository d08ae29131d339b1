"""Quanta that were planned elsewhere, on their way to a worker."""

from __future__ import annotations

__all__ = ("ExplicitQuantum", "QuantaRequest")

import dataclasses
from uuid import UUID

from lsst.daf.butler import Quantum

from ..plan import RecordsMessage
from ._messages import RawMessage, ShardResponse


@dataclasses.dataclass(frozen=True)
class ExplicitQuantum:
    """A quantum to run as it is.

    Attributes
    ----------
    id
        Its identity in logs, provenance and reports.
    label
        Label of its task in the pipeline graph.
    quantum
        Upstream's quantum.  Its data IDs have their records, its init-inputs are filled, and the datastore
        records of overall inputs are attached, as in a graph that a builder made with them: inputs without
        one are looked for before the task runs.
    """

    id: UUID
    label: str
    quantum: Quantum


@dataclasses.dataclass(frozen=True)
class QuantaRequest:
    """Quanta to run one after another on one worker.

    Attributes
    ----------
    pipeline
        Name of their compiled pipeline in the `WorkerSetup`.
    quanta
        The quanta, each after those whose outputs it reads.
    raws
        Raws among their inputs that the registry does not know yet.
    datastore_records
        Records of inputs besides those attached to the quanta: datasets that earlier requests made.
    raise_on_partial_outputs
        Whether a task that annotates its error as partial success has failed, as for upstream's executor.
    before
        How an attempt at the very same quanta yielded; what it has done is not done again.

    Notes
    -----
    It is pickled, as the set-up is, and for the same reason it may be: the head of this very run makes it.
    A quantum holds data IDs, dimension records and task classes, which have no other complete form.
    """

    pipeline: str
    quanta: tuple[ExplicitQuantum, ...]
    raws: tuple[RawMessage, ...] = ()
    datastore_records: RecordsMessage = dataclasses.field(default_factory=dict)
    raise_on_partial_outputs: bool = True
    before: ShardResponse | None = None
