"""Writes batches to the registry: dimension records, RUNs, raws, products, outcomes, chains."""

from __future__ import annotations

__all__ = ("Registrar", "outcome_dataset_type")

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self
from uuid import UUID

from lsst.daf.butler import (
    Butler,
    ButlerConfig,
    DatasetRef,
    DatasetType,
    FileDataset,
    StorageClassFactory,
)
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.daf.butler.direct_butler import DirectButler

from .._phases import Phase, reached
from ..datastore import LocalWriter, open_datastore, write_under_own_names
from ..model import OutcomeRecord, Shard, Unit
from ..plan import (
    CompiledPipeline,
    RecordStore,
    Step,
    records_from_message,
    refs_by_type,
    register_run,
)
from ._datasets import DatasetRegistrar, Products
from ._dimensions import sync_key, sync_records
from ._export import pipeline_dataset_type
from ._items import Committed, Item, RawItem, RemoveItem, RunItem, ShardItem
from ._made import find_made, find_superseded, remove
from ._moving import Transfer
from ._output_runs import OutputRuns, of_another_pipeline

_LOG = logging.getLogger(__name__)

_JSON = "lsst.daf.butler.formatters.json.JsonFormatter"


def outcome_dataset_type(step: Step) -> DatasetType:
    """Return the dataset type of a step's outcomes.

    Its name says what a shard is: pipelines with steps of one label and other dimensions do not collide.
    """
    dimensions = [step.unit, *(["detector"] if step.per_detector else [])]
    universe = step.dimensions.universe
    name = outcome_name(step.label, step.unit, per_detector=step.per_detector)
    return DatasetType(name, universe.conform(dimensions), "StructuredDataDict")


def outcome_name(step: str, unit: Unit, *, per_detector: bool) -> str:
    """Return the name of the dataset type of a step's outcomes."""
    kind = ("" if unit == "exposure" else f"{unit}_") + ("" if per_detector else "gather_")
    return f"rapid_{step}_{kind}outcome"


class Registrar:
    """The only holder of a writing connection to the registry.

    Parameters
    ----------
    repository
        Butler configuration or root.
    pipelines
        The compiled pipelines, by name.
    records
        Dimension records that do not change with every exposure.
    inputs
        Input collections; the end of the output chain.
    output
        The chain that holds the current RUNs.
    publish
        Names of the dataset types whose files are told when they are committed.
    check_output
        Makes sure that the output is still ours alone; called before anything is written.

    Notes
    -----
    Not for use by several threads at once.
    """

    def __init__(
        self,
        repository: str,
        pipelines: Sequence[CompiledPipeline],
        records: RecordStore,
        inputs: Sequence[str],
        output: str,
        publish: Iterable[str] = (),
        check_output: Callable[[], None] = lambda: None,
    ) -> None:
        butler = Butler.from_config(repository, writeable=True)
        if not isinstance(butler, DirectButler):
            raise TypeError(
                f"{repository}: a {type(butler).__name__} cannot register what is in place already."
            )
        self._butler = butler
        universe = self._butler.dimensions
        config = ButlerConfig(repository)
        storage_classes = StorageClassFactory()
        storage_classes.addFromConfig(config)
        self._records = RecordStore(universe, records.static())
        self._pipelines = {pipeline.name: pipeline for pipeline in pipelines}
        self._outcomes = {
            (pipeline.name, step.label): outcome_dataset_type(step)
            for pipeline in pipelines
            for step in pipeline.steps
        }
        # YAML, the default for dictionaries, takes ten times as long to write.
        as_json = {dataset_type.name: _JSON for dataset_type in self._outcomes.values()}
        self._datastore = open_datastore(config, universe, as_json)
        write_under_own_names(self._datastore)
        self._writer = LocalWriter(self._datastore)
        self._types = {name: found for p in pipelines for name, found in p.dataset_types.items()}
        self._datasets = DatasetRegistrar(self._butler, self._datastore, storage_classes, self._types)
        self._output = output
        self._publish = frozenset(publish)
        self._check_output = check_output
        self._runs = OutputRuns(butler, self._pipelines, inputs, output)
        self._raw_runs: set[str] = set()
        self._synced: set[tuple[str, tuple[object, ...]]] = set()
        self._register_dataset_types()
        self._runs.trim()
        for shard, run in find_superseded(butler, output, self._outcomes, self._runs.partial):
            self._remove(shard, run)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._butler.close()

    def prepare(self, item: Item) -> None:
        """Register what an item needs and others do, too, while it waits for them: its dimension records.

        Raises
        ------
        Exception
            What the registry raised; committing the item will raise it again.
        """
        self._sync_records([item])

    def commit(self, items: Sequence[Item]) -> list[Committed]:
        """Register items, all or none.

        Returns
        -------
        committed
            One for each item, in their order.

        Raises
        ------
        Exception
            What the registry raised; nothing but dimension records and RUNs may have been registered then,
            and of what is made again nothing may be left.
        OutputTakenError
            If the output is another executor's now; nothing was written.
        InputError
            If an item is of a RUN that was never completed, and whose pipeline is none of this run's.
        """
        self._check_output()
        shards = [item for item in items if isinstance(item, ShardItem)]
        raws = [item for item in items if isinstance(item, RawItem)]
        self._sync_records(items)
        for item in items:
            match item:
                case RunItem():
                    if self._runs.is_ours(item):
                        self._runs.ensure(item)
                case ShardItem() | RemoveItem():
                    self._runs.ensure(item.run)
        # A retry of the batch finds them gone, which is no harm.
        replaced = [i.replaces.id for i in shards if i.replaces and i.replaces.run == i.run.run]
        shed = [self._left_by_shedding(item) for item in shards if item.was_shed]
        remove(self._butler, [*replaced, *(dataset for dataset in shed if dataset is not None)])
        for item in items:
            if isinstance(item, RemoveItem):
                for shard in item.shards:
                    self._remove(shard, item.run.run)
                reached(Phase.REMOVED)
        made = self._products(shards)
        products = Products(
            [ref for one in made.values() for ref in one.refs],
            DatastoreRecordData.merge_mappings(*(one.records for one in made.values())),
        )
        self._datasets.register([self._transfer(item) for item in raws], products)
        for item in shards:
            if item.supersedes in self._runs.partial:
                reached(Phase.SUPERSEDED)
                self._remove(item.shard, item.supersedes)
        reached(Phase.BATCH_COMMITTED)
        refs = {key: one.refs for key, one in made.items()}
        now = time.time()
        return [
            Committed(
                item,
                now,
                datasets=len(refs.get(id(item), ())) + isinstance(item, RawItem),
                uris=self._uris(refs.get(id(item), ())),
                init_inputs=self._runs.init_inputs(item) if isinstance(item, RunItem) else ((), {}),
            )
            for item in items
        ]

    def _register_dataset_types(self) -> None:
        """Register the dataset types that are not; each asks the registry several times."""
        registry = self._butler.registry
        there = {dataset_type.name: dataset_type for dataset_type in registry.queryDatasetTypes()}
        wanted = [*self._outcomes.values(), pipeline_dataset_type(self._butler.dimensions)]
        for pipeline in self._pipelines.values():
            wanted.append(pipeline.graph.packages_dataset_type)
            wanted += (node.dataset_type for node in pipeline.graph.dataset_types.values())
        for dataset_type in wanted:
            if there.get(dataset_type.name) != dataset_type:
                registry.registerDatasetType(dataset_type)
                there[dataset_type.name] = dataset_type

    def _sync_records(self, items: Iterable[Item]) -> None:
        """Register the dimension records of exposures that this process has not registered yet."""
        # Items of one exposure share their records, of which a visit has hundreds.
        given = {id(item.records): item.records for item in items if isinstance(item, RawItem | ShardItem)}
        new = [
            (key, record)
            for records in given.values()
            for record in records
            if (key := sync_key(record)) not in self._synced
        ]
        sync_records(self._butler, [record for _, record in new])
        self._synced.update(key for key, _ in new)

    def _dataset_type(self, name: str) -> DatasetType:
        """Return a dataset type in the repository's definition."""
        if (found := self._types.get(name)) is None:
            found = self._types[name] = self._butler.get_dataset_type(name)
        return found

    def _outcome_type(self, shard: Shard) -> DatasetType:
        """Return the dataset type of a shard's outcome."""
        known = self._outcomes.get((shard.pipeline, shard.step))
        if known is not None:
            return known
        return self._butler.get_dataset_type(
            outcome_name(shard.step, shard.unit, per_detector=shard.detector is not None)
        )

    def _left_by_shedding(self, item: ShardItem) -> UUID | None:
        """Return the outcome that a shard left when it was shed, if it is there still."""
        dataset_type = self._outcome_type(item.shard)
        found = self._butler.find_dataset(
            dataset_type.name, item.shard.data_id, collections=item.run.run, dimension_records=False
        )
        return None if found is None or found.id == item.outcome_id else found.id

    def _remove(self, shard: Shard, run: str) -> None:
        """Remove what a gather left in a RUN."""
        pipeline = self._pipelines.get(shard.pipeline)
        if pipeline is None or (shard.pipeline, shard.step) not in self._outcomes:
            raise of_another_pipeline(shard.pipeline, run)
        outcome = self._outcome_type(shard)
        made = find_made(self._butler, pipeline, pipeline.step(shard.step), outcome, shard, run)
        if count := remove(self._butler, (ref.id for ref in made)):
            _LOG.info("%d datasets are removed from %s: %s takes their place.", count, run, shard)

    def _products(self, items: Sequence[ShardItem]) -> dict[int, Products]:
        """Return what each shard made and its outcome, which is written now; by the identity of the item."""
        # Items of one exposure share their records, of which a visit has hundreds.
        records = {id(item.records): item.records for item in items}.values()
        for shared in records:
            self._records.add(shared)
        try:
            return {id(item): self._products_of(item) for item in items}
        finally:
            for shared in records:
                self._records.discard(shared)

    def _products_of(self, item: ShardItem) -> Products:
        names = {output.dataset_type for output in item.outputs}
        by_type = refs_by_type(item.outputs, {n: self._dataset_type(n) for n in names}, self._records)
        outcome = self._outcome(item)
        written = self._write(item.outcome, outcome)
        return Products(
            [*(ref for found in by_type.values() for ref in found), outcome],
            DatastoreRecordData.merge_mappings(records_from_message(item.datastore_records), written),
        )

    def _outcome(self, item: ShardItem) -> DatasetRef:
        dataset_type = self._outcome_type(item.shard)
        data_id = self._records.expand(dataset_type.dimensions, **item.shard.data_id)
        return DatasetRef(dataset_type, data_id, run=item.run.run, id=item.outcome_id)

    def _write(self, outcome: OutcomeRecord, ref: DatasetRef) -> Mapping[str, DatastoreRecordData]:
        """Write an outcome's file; returns its datastore records."""
        content = outcome.model_dump(mode="json")
        if not self._writer.put(content, ref):
            self._datastore.put(content, ref)
        records = self._datastore.export_records([ref])
        self._datastore.forget([ref])
        return records

    def _transfer(self, item: RawItem) -> Transfer:
        if item.ref.run not in self._raw_runs:
            register_run(self._butler, item.ref.run)
            self._raw_runs.add(item.ref.run)
        dataset = FileDataset(path=str(item.path), refs=[item.ref], formatter=item.formatter)
        return Transfer(dataset, item.transfer)

    def _uris(self, refs: Iterable[DatasetRef]) -> dict[str, str]:
        return {
            ref.datasetType.name: self._butler.getURI(ref).ospath
            for ref in refs
            if ref.datasetType.name in self._publish
        }
