"""Products that are on disk, as workers leave them, and that no registry knows yet."""

from __future__ import annotations

__all__ = ("ProductMaker", "Products", "content_of")

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from lsst.daf.butler import (
    ButlerConfig,
    ButlerLogRecords,
    DatasetRef,
    DatasetType,
    QuantumBackedButler,
    StorageClassFactory,
)
from lsst.daf.butler._standalone_datastore import instantiate_standalone_datastore
from lsst.pipe.base import TaskMetadata

from ..commit import RawItem, Registrar, RunItem, ShardItem
from ..model import Arrival, Outcome, OutcomeRecord, Shard, Times, observing_day
from ..plan import DatasetMessage, PipelineSource, RecordStore, compile_pipeline, records_to_message
from ._raws import INSTRUMENT, TinyRaw
from ._site import INPUTS, Repository, make_ingestor, pipeline_file

_AMPLIFIERS = 16


@dataclass(frozen=True)
class Products:
    """Products of an exposure's raws.

    Attributes
    ----------
    raws
        What registers the raws with our committer.
    shards
        What registers the products with it.
    butler
        What upstream transfers the products from.
    refs
        The products, their data IDs with all records.
    """

    raws: Sequence[RawItem]
    shards: Sequence[ShardItem]
    butler: QuantumBackedButler
    refs: Sequence[DatasetRef]

    @property
    def datasets(self) -> int:
        """How many datasets the committer registers: raws, products and outcomes."""
        return len(self.raws) + len(self.refs) + len(self.shards)


class ProductMaker:
    """Writes what the two tiny tasks would have written.

    Parameters
    ----------
    repository
        Whose files they are.

    Notes
    -----
    All methods must be called from one thread, as those of a worker.
    """

    def __init__(self, repository: Repository) -> None:
        self._root = str(repository.root)
        config = ButlerConfig(self._root)
        with repository.open() as butler:
            self._pipeline = compile_pipeline(PipelineSource(pipeline_file()), butler)
            self._records = RecordStore.from_butler(butler, [INSTRUMENT])
            self._ingestor = make_ingestor(butler)
            self._universe = butler.dimensions
        self._datastore, self._database = instantiate_standalone_datastore(config, self._universe)
        self._storage_classes = StorageClassFactory()
        self._storage_classes.addFromConfig(config)
        self._types: list[DatasetType] = [
            self._pipeline.dataset_types[edge.parent_dataset_type_name]
            for node in self._pipeline.graph.tasks.values()
            for edge in node.iter_all_outputs()
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.dispose()

    def registrar(self, output: str) -> Registrar:
        """Return the writer of a run of the executor; for the committer's thread."""
        records = RecordStore(self._universe, self._records.static())
        return Registrar(self._root, [self._pipeline], records, [INPUTS], output)

    def run_item(self, run: str) -> RunItem:
        """Return what has a RUN made."""
        return RunItem(run, self._pipeline.name, observing_day(time.time()))

    def make(self, raws: Sequence[TinyRaw], run: str) -> Products:
        """Write the products of an exposure.

        Parameters
        ----------
        raws
            Of one exposure.
        run
            The RUN that they belong to.
        """
        items, shards, refs = [], [], []
        for raw in raws:
            ready = self._ingestor.read(Arrival(raw.path, 0.0, 0.0))
            self._records.add(ready.to_register)
            items.append(RawItem(ready.ref, raw.path, ready.formatter, "direct", ready.to_register))
            mine = [self._write(one, raw, run) for one in self._types]
            shards.append(
                ShardItem(
                    shard=Shard(self._pipeline.name, "step1a", INSTRUMENT, raw.exposure, raw.detector),
                    run=RunItem(run, self._pipeline.name, raw.day_obs),
                    records=ready.to_register,
                    outcome=OutcomeRecord(outcome=Outcome.DONE, attempts=1, times=Times(ready=time.time())),
                    outputs=tuple(DatasetMessage.of(ref) for ref in mine),
                    datastore_records=records_to_message(self._datastore.export_records(mine)),
                )
            )
            refs += mine
        butler = QuantumBackedButler(
            [],
            [ref.id for ref in refs],
            self._universe,
            self._datastore,
            self._storage_classes,
            dataset_types=self._pipeline.dataset_types,
        )
        return Products(items, shards, butler, refs)

    def _write(self, dataset_type: DatasetType, raw: TinyRaw, run: str) -> DatasetRef:
        data_id = self._records.expand(
            dataset_type.dimensions, instrument=INSTRUMENT, exposure=raw.exposure, detector=raw.detector
        )
        ref = DatasetRef(dataset_type, data_id, run=run)
        self._datastore.put(content_of(dataset_type), ref)
        return ref


def content_of(dataset_type: DatasetType) -> Any:
    """Return something that a dataset of this type can be."""
    match dataset_type.storageClass_name:
        case "NumpyArray":
            return np.zeros(_AMPLIFIERS, np.float32)
        case "ButlerLogRecords":
            return ButlerLogRecords.from_records([])
        case "TaskMetadata":
            return TaskMetadata()
        case _:
            return {"mean": 0.0, "std": 0.0}
