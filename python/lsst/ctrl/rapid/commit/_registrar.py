"""Writes batches to the registry: dimension records, RUNs, raws, products, outcomes, chains."""

from __future__ import annotations

__all__ = ("Registrar", "outcome_dataset_type")

import logging
import sys
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from lsst.daf.butler import (
    Butler,
    ButlerConfig,
    CollectionType,
    DatasetRef,
    DatasetType,
    FileDataset,
    QuantumBackedButler,
    StorageClassFactory,
)
from lsst.daf.butler._standalone_datastore import instantiate_standalone_datastore
from lsst.daf.butler.registry import ConflictingDefinitionError, MissingCollectionError
from lsst.pipe.base.pipeline_graph import PipelineGraph
from lsst.utils.packages import Packages

from ..plan import (
    CompiledPipeline,
    DatasetMessage,
    RecordsMessage,
    RecordStore,
    Step,
    records_from_message,
    records_to_message,
    refs_by_type,
)
from ._dimensions import sync_key, sync_records
from ._export import PIPELINE_DATASET, pipeline_dataset_type, pipeline_record
from ._items import Committed, RawItem, RunItem, ShardItem

_LOG = logging.getLogger(__name__)


def outcome_dataset_type(step: Step) -> DatasetType:
    """Return the dataset type of a step's outcomes.

    Its name says what a shard is: pipelines with steps of one label and other dimensions do not collide.
    """
    kind = ("group_" if step.per_group else "") + ("" if step.per_detector else "gather_")
    dimensions = ["group" if step.per_group else "exposure", *(["detector"] if step.per_detector else [])]
    universe = step.dimensions.universe
    name = f"rapid_{step.label}_{kind}outcome"
    return DatasetType(name, universe.conform(dimensions), "StructuredDataDict")


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

    Notes
    -----
    All methods must be called from one thread: the datastore without a registry, through which products
    enter the repository, keeps its records in a database of the thread that made it.
    """

    def __init__(
        self,
        repository: str,
        pipelines: Sequence[CompiledPipeline],
        records: RecordStore,
        inputs: Sequence[str],
        output: str,
        publish: Iterable[str] = (),
    ) -> None:
        self._butler = Butler.from_config(repository, writeable=True)
        universe = self._butler.dimensions
        config = ButlerConfig(repository)
        self._datastore, self._database = instantiate_standalone_datastore(config, universe)
        self._datastore._set_trust_mode(True)  # noqa: SLF001 -- what QuantumBackedButler.initialize does
        self._storage_classes = StorageClassFactory()
        self._storage_classes.addFromConfig(config)
        self._records = RecordStore(universe, records.static())
        self._pipelines = {pipeline.name: pipeline for pipeline in pipelines}
        self._outcomes = {
            (pipeline.name, step.label): outcome_dataset_type(step)
            for pipeline in pipelines
            for step in pipeline.steps
        }
        self._inputs = tuple(inputs)
        self._output = output
        self._publish = frozenset(publish)
        self._runs: set[str] = set()
        self._versions: tuple[frozenset[str], Packages] | None = None
        self._synced: set[tuple[str, tuple[object, ...]]] = set()
        self._register_dataset_types()
        self._trim_output()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._database.dispose()
        self._butler.close()

    def commit(self, items: Sequence[RunItem | RawItem | ShardItem]) -> list[Committed]:
        """Register items, all or none.

        Returns
        -------
        committed
            One for each item, in their order.

        Raises
        ------
        Exception
            What the registry raised; nothing but dimension records and RUNs may have been registered then.
        """
        shards = [item for item in items if isinstance(item, ShardItem)]
        raws = [item for item in items if isinstance(item, RawItem)]
        self._sync_records(items)
        for run in [
            item if isinstance(item, RunItem) else item.run for item in items if not isinstance(item, RawItem)
        ]:
            self._ensure_run(run)
        self._prune([item.replaces for item in shards if item.replaces and item.replaces.run == item.run.run])
        refs = {id(item): self._refs(item) for item in shards}
        everything = [ref for found in refs.values() for ref in found]
        try:
            with self._butler.transaction():
                self._ingest(raws)
                if everything:
                    self._transfer(everything)
        finally:
            self._datastore.forget(everything)
        now = time.time()
        return [
            Committed(
                item,
                now,
                datasets=len(refs.get(id(item), ())) + isinstance(item, RawItem),
                uris=self._uris(refs.get(id(item), ())),
                init_inputs=self._init_inputs(item) if isinstance(item, RunItem) else ((), {}),
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

    def _sync_records(self, items: Iterable[RunItem | RawItem | ShardItem]) -> None:
        """Register the dimension records of exposures that this process has not registered yet."""
        # Items of one exposure share their records, of which a visit has hundreds.
        given = {id(item.records): item.records for item in items if not isinstance(item, RunItem)}
        new = [
            (key, record)
            for records in given.values()
            for record in records
            if (key := sync_key(record)) not in self._synced
        ]
        sync_records(self._butler, [record for _, record in new])
        self._synced.update(key for key, _ in new)

    def _ensure_run(self, item: RunItem) -> None:
        """Make a RUN, complete it for ``pipetask`` and put it into the chains."""
        if item.run in self._runs:
            return
        self._butler.collections.register(item.run, CollectionType.RUN)
        # Without default collections: through a chain, versions would be compared with those of another RUN.
        writer = self._butler.clone(run=item.run, collections=None)
        graph = self._pipelines[item.pipeline].graph
        graph.write_configs(writer)
        self._write_packages(item.run, graph, writer)
        # Tasks may be constructed with what is in the input collections.
        graph.write_init_outputs(self._butler.clone(run=item.run, collections=[item.run, *self._inputs]))
        if self._butler.find_dataset(PIPELINE_DATASET, collections=item.run) is None:
            writer.put(pipeline_record(graph, self._inputs, self._output), PIPELINE_DATASET)
        self._prepend(f"{self._output}/{item.day_obs}", item.run)
        self._prepend(self._output, item.run, end=self._inputs)
        self._runs.add(item.run)
        _LOG.info("RUN %s is ready.", item.run)

    def _write_packages(self, run: str, graph: PipelineGraph, writer: Butler) -> None:
        """Record the versions of all packages; a RUN that was begun with others keeps what it was begun with.

        Those that matter are in the RUN's name; no night ends because another package was updated.
        """
        if self._butler.find_dataset(graph.packages_dataset_type, collections=run) is None:
            writer.put(self._packages(), graph.packages_dataset_type)
            return
        try:
            graph.write_packages(writer)
        except ConflictingDefinitionError as err:
            _LOG.warning("RUN %s was begun with other versions, which stay on record: %s", run, err)

    def _packages(self) -> Packages:
        """Return the versions of what is imported; finding them out reads the files of every package."""
        imported = frozenset(name.partition(".")[0] for name in tuple(sys.modules))
        if self._versions is None or self._versions[0] != imported:
            self._versions = imported, Packages.fromSystem()
        return self._versions[1]

    def _init_inputs(self, item: RunItem) -> tuple[tuple[DatasetMessage, ...], RecordsMessage]:
        """Find what the tasks of a RUN are constructed with: made with it, or in the input collections."""
        refs = []
        for name in sorted(self._pipelines[item.pipeline].init_inputs):
            ref = self._butler.find_dataset(name, collections=[item.run, *self._inputs])
            if ref is None:
                raise LookupError(f"{item.pipeline}: there is no {name}, which a task is constructed with.")
            refs.append(ref)
        exported = self._butler._datastore.export_records(refs)  # noqa: SLF001 -- as upstream's builder
        return tuple(DatasetMessage.of(ref) for ref in refs), records_to_message(exported)

    def _prepend(self, chain: str, run: str, end: Sequence[str] = ()) -> None:
        try:
            children = list(self._butler.collections.get_info(chain).children)
        except MissingCollectionError:
            self._butler.collections.register(chain, CollectionType.CHAINED)
            children = []
        wanted = [run, *(child for child in children if child != run and child not in end), *end]
        if wanted != children:
            self._butler.collections.redefine_chain(chain, wanted)

    def _trim_output(self) -> None:
        """Leave in the output chain the RUNs of its newest day; others stay in the chains of their days."""
        try:
            children = self._butler.collections.get_info(self._output).children
        except MissingCollectionError:
            return
        days = {child: self._day(child) for child in children}
        newest = max((day for day in days.values() if day), default="")
        kept = [child for child in children if not days[child] or days[child] == newest]
        if kept != list(children):
            self._butler.collections.redefine_chain(self._output, kept)

    def _day(self, run: str) -> str:
        prefix = f"{self._output}/"
        return run.removeprefix(prefix).partition("/")[0] if run.startswith(prefix) else ""

    def _prune(self, refs: Sequence[DatasetRef]) -> None:
        """Remove outcomes that are replaced; a retry of the batch finds them gone, which is no harm."""
        there = [ref for ref in refs if self._butler.get_dataset(ref.id) is not None]
        if there:
            self._butler.pruneDatasets(there, disassociate=True, unstore=True, purge=True)

    def _refs(self, item: ShardItem) -> list[DatasetRef]:
        """Return a shard's products and outcome, known to the datastore that has no registry."""
        self._records.add(item.records)
        try:
            dataset_types = self._pipelines[item.shard.pipeline].dataset_types
            refs = [
                ref
                for found in refs_by_type(item.outputs, dataset_types, self._records).values()
                for ref in found
            ]
            self._datastore.forget(refs)
            self._datastore.import_records(records_from_message(item.datastore_records))
            refs.append(self._put_outcome(item))
        finally:
            self._records.discard(item.records)
        return refs

    def _put_outcome(self, item: ShardItem) -> DatasetRef:
        dataset_type = self._outcomes[item.shard.pipeline, item.shard.step]
        data_id = self._records.expand(dataset_type.dimensions, **item.shard.data_id)
        ref = DatasetRef(dataset_type, data_id, run=item.run.run)
        butler = self._limited([], [ref])
        butler.put(item.outcome.model_dump(mode="json"), ref)
        return ref

    def _limited(self, inputs: Iterable[DatasetRef], outputs: Iterable[DatasetRef]) -> QuantumBackedButler:
        types: dict[str, DatasetType] = {}
        for pipeline in self._pipelines.values():
            types.update(pipeline.dataset_types)
        return QuantumBackedButler(
            [ref.id for ref in inputs],
            [ref.id for ref in outputs],
            self._butler.dimensions,
            self._datastore,
            self._storage_classes,
            dataset_types=types,
        )

    def _ingest(self, raws: Sequence[RawItem]) -> None:
        by_transfer: dict[str, list[FileDataset]] = {}
        for item in raws:
            dataset = FileDataset(path=str(item.path), refs=[item.ref], formatter=item.formatter)
            by_transfer.setdefault(item.transfer, []).append(dataset)
        for run in {item.ref.run for item in raws} - self._runs:
            self._butler.collections.register(run, CollectionType.RUN)
            self._runs.add(run)
        for transfer, datasets in by_transfer.items():
            self._butler.ingest(*datasets, transfer=transfer, skip_existing=True)

    def _transfer(self, refs: Sequence[DatasetRef]) -> None:
        transferred = self._butler.transfer_from(self._limited([], refs), refs)
        if len(transferred) != len(refs):
            missing = {ref.id for ref in refs} - {ref.id for ref in transferred}
            raise FileNotFoundError(
                f"{len(missing)} product(s) have no file any more: "
                + "; ".join(str(ref) for ref in refs if ref.id in missing)
            )

    def _uris(self, refs: Iterable[DatasetRef]) -> dict[str, str]:
        return {
            ref.datasetType.name: self._butler.getURI(ref).ospath
            for ref in refs
            if ref.datasetType.name in self._publish
        }
