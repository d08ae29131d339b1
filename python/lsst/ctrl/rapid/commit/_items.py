"""What is handed to the committer, and what it says when it is done."""

from __future__ import annotations

__all__ = ("Committed", "Item", "RawItem", "RemoveItem", "RunItem", "ShardItem")

import dataclasses
import uuid
from pathlib import Path

from lsst.daf.butler import DatasetRef, DimensionRecord, Formatter, FormatterV2
from lsst.daf.butler._rubin import generate_uuidv7

from ..model import OutcomeRecord, Shard, TransferMode
from ..plan import DatasetMessage, RecordsMessage


@dataclasses.dataclass(frozen=True, slots=True)
class RunItem:
    """A RUN to be made and completed with configs, packages and init-outputs.

    Attributes
    ----------
    run, pipeline, day_obs
        Its name, and of what it is.
    partial
        Whether it takes partial gathers: it is in a chain of its own, and among the inputs of nothing.
    """

    run: str
    pipeline: str
    day_obs: int
    partial: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class RawItem:
    """A raw to be registered, with all dimension records that its exposure gives, the visit's included."""

    ref: DatasetRef
    path: Path
    formatter: type[Formatter | FormatterV2]
    transfer: TransferMode
    records: tuple[DimensionRecord, ...]


def _new_id() -> uuid.UUID:
    """Return an ID for a dataset, in the order of time as upstream makes them."""
    return uuid.UUID(str(generate_uuidv7()))


@dataclasses.dataclass(frozen=True, slots=True)
class ShardItem:
    """An ended shard: its products and its outcome.

    Attributes
    ----------
    records
        All dimension records that its exposure gives: it may be registered before its raws.
    outcome_id
        Dataset ID of its outcome: by it and by those of its products it is known that it is registered
        already, where the answer to a commit was lost.
    replaces
        The outcome of the same shard that an earlier run left when it shed it; it is pruned first.
    was_shed
        Whether this run has left an outcome when it shed the shard; that is pruned first, too.
    supersedes
        Of a complete gather, the RUN whose partial gather of the same exposure is removed once this is
        registered.
    """

    shard: Shard
    run: RunItem
    records: tuple[DimensionRecord, ...]
    outcome: OutcomeRecord
    outputs: tuple[DatasetMessage, ...] = ()
    datastore_records: RecordsMessage = dataclasses.field(default_factory=dict)
    replaces: DatasetMessage | None = None
    was_shed: bool = False
    supersedes: str | None = None
    outcome_id: uuid.UUID = dataclasses.field(default_factory=_new_id)


@dataclasses.dataclass(frozen=True, slots=True)
class RemoveItem:
    """What gathers of an exposure made is to be removed, because they are made again.

    Attributes
    ----------
    shards
        The gathers, of one exposure.
    run
        The RUN that they wrote to.
    """

    shards: tuple[Shard, ...]
    run: RunItem


type Item = RunItem | RawItem | ShardItem | RemoveItem
"""What is handed to the committer."""


@dataclasses.dataclass(frozen=True, slots=True)
class Committed:
    """An item has been dealt with.

    Attributes
    ----------
    item
        The item.
    time
        When it was in the registry, UNIX seconds.
    datasets
        How many datasets were registered with it, the outcome included.
    error
        Why it could not be registered; ``""`` if it was.
    uris
        Files of the registered datasets that are to be published, by the name of their type.
    init_inputs
        Of a RUN: the datasets that its tasks are constructed with, and their datastore records.
    """

    item: Item
    time: float
    datasets: int = 0
    error: str = ""
    uris: dict[str, str] = dataclasses.field(default_factory=dict)
    init_inputs: tuple[tuple[DatasetMessage, ...], RecordsMessage] = ((), {})
