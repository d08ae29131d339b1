"""What a worker keeps from one shard to the next, and how it runs one."""

from __future__ import annotations

__all__ = ("WorkerSetup",)

import dataclasses
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from uuid import UUID

from lsst.daf.butler import (
    ButlerConfig,
    DatasetRef,
    DatasetType,
    FileDataset,
    StorageClassFactory,
)
from lsst.daf.butler.datastore import Datastore
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.daf.butler.datastores.fileDatastore import FileDatastore
from lsst.pipe.base import TaskFactory
from lsst.utils import doImportType
from lsst.utils.introspection import get_full_type_name

from ..datastore import (
    LocalWriter,
    add_files,
    open_datastore,
    write_as_scratch,
    write_under_own_names,
)
from ..model import LogSettings
from ..plan import (
    CompiledPipeline,
    DatasetMessage,
    InputKind,
    PlannedQuantum,
    RecordStore,
    ShardInputs,
    describe_quanta,
    instantiate,
    read_identities,
    records_from_json,
    records_from_message,
    records_to_message,
)
from ._butler import ObjectCache, ShardButler
from ._execution import execute_quanta
from ._explicit import QuantaRequest
from ._messages import NO_QUANTA, FirstReads, RawMessage, ShardRequest, ShardResponse
from ._refs import all_refs, registered

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class WorkerSetup:
    """What every worker is given once.

    Attributes
    ----------
    repository
        Butler configuration or root.
    pipelines
        The compiled pipelines; those without steps take explicit quanta only.
    static_records
        Dimension records that do not change with every exposure, serialised.
    shared
        Names of the dataset types whose objects no task modifies.
    cache_bytes
        Memory for calibrations, bytes.
    scratch
        Names of the dataset types that are written where nothing is registered.
    log
        What is logged, and where.
    first_reads
        What is read while the worker is warmed.
    """

    repository: str
    pipelines: tuple[CompiledPipeline, ...]
    static_records: tuple[str, ...]
    shared: frozenset[str]
    cache_bytes: float
    scratch: frozenset[str] = frozenset()
    log: LogSettings = dataclasses.field(default_factory=LogSettings)
    first_reads: FirstReads = dataclasses.field(default_factory=FirstReads)


@dataclasses.dataclass(frozen=True)
class _Work:
    """Quanta to run.

    Attributes
    ----------
    pipeline
        Name of their pipeline.
    planned
        The quanta, in their order.
    cached
        Names of the dataset types whose objects are kept.
    before
        How an attempt at them yielded.
    asked
        Whether they have been asked to stop.
    """

    pipeline: str
    planned: Sequence[PlannedQuantum]
    cached: frozenset[str]
    before: ShardResponse | None
    asked: Callable[[], bool]


class WorkerState:
    """Everything that outlives a shard.

    Parameters
    ----------
    setup
        What the worker was given.

    Notes
    -----
    Not for use by several threads at once.
    """

    def __init__(self, setup: WorkerSetup) -> None:
        self._pipelines = {pipeline.name: pipeline for pipeline in setup.pipelines}
        self._dataset_types = {pipeline.name: pipeline.dataset_types for pipeline in setup.pipelines}
        self._calibrations = {pipeline.name: _calibrations(pipeline) for pipeline in setup.pipelines}
        universe = next(pipeline.graph.universe for pipeline in setup.pipelines)
        assert universe is not None, "A compiled pipeline is resolved."
        config = ButlerConfig(setup.repository)
        formatters = {name: found for p in setup.pipelines for name, found in _formatters(p).items()}
        self._datastore = open_datastore(config, universe, formatters)
        self._datastore._set_trust_mode(True)  # noqa: SLF001 -- what QuantumBackedButler.initialize does
        types = {name: found for known in self._dataset_types.values() for name, found in known.items()}
        write_under_own_names(self._datastore)
        write_as_scratch(self._datastore, (types[name] for name in setup.scratch))
        self._writer = LocalWriter(self._datastore)
        self._storage_classes = StorageClassFactory()
        self._storage_classes.addFromConfig(config)
        self._records = RecordStore(universe, records_from_json(setup.static_records, universe))
        self._shared = setup.shared
        self._cache = ObjectCache(setup.cache_bytes)
        self._known: set[UUID] = set()
        self._task_factory = TaskFactory()
        for pipeline in setup.pipelines:
            for node in pipeline.graph.dataset_types.values():
                _import_what_is_used(node.dataset_type, self._datastore, self._storage_classes)
        self._build_cameras()
        self._read_first(setup.first_reads)

    def _build_cameras(self) -> None:
        """Build the cameras of instruments whose classes have them; readers of raws share what is built."""
        for record in self._records.static():
            if record.definition.name != "instrument":
                continue
            try:
                instrument = doImportType(record.class_name)()
                if (build := getattr(instrument, "getCamera", None)) is not None:
                    build()
            except Exception:  # noqa: BLE001 -- nothing may need it; a shard that does tells
                _LOG.info("The camera of %s cannot be built.", record.dataId["instrument"], exc_info=True)

    def _read_first(self, wanted: FirstReads) -> None:
        """Read datasets as tasks do; calibrations stay in memory.  A shard tells what cannot be read."""
        new_records = records_from_json(wanted.dimension_records, self._records.universe)
        self._records.add(new_records)
        stored = records_from_message(wanted.datastore_records)
        for message in wanted.datasets:
            for name, pipeline in self._pipelines.items():
                if (dataset_type := self._dataset_types[name].get(message.dataset_type)) is None:
                    continue
                temporary: list[DatasetRef] = []
                try:
                    ref = message.to_ref(dataset_type, self._records)
                    if dataset_type.name not in self._calibrations[name]:
                        temporary.append(ref)
                    self._import_records([ref.id], stored)
                    butler = self._butler(name, [ref.id], [], self._calibrations[name])
                    for storage_class in _read_as(pipeline, dataset_type):
                        butler.get(ref, storageClass=storage_class)
                except Exception:  # noqa: BLE001 -- it may be gone, and the worker is none the worse
                    _LOG.info("%s cannot be read in advance.", message, exc_info=True)
                finally:
                    self._forget(temporary)
        self._records.discard(new_records)

    def _butler(
        self,
        pipeline: str,
        inputs: Iterable[UUID],
        outputs: Iterable[UUID],
        cached: frozenset[str],
        repeated: Set[UUID] = frozenset(),
    ) -> ShardButler:
        """Return a butler for quanta of a pipeline."""
        return ShardButler(
            inputs,
            outputs,
            self._records.universe,
            self._datastore,
            self._storage_classes,
            self._dataset_types[pipeline],
            cached=cached,
            shared=self._shared,
            cache=self._cache,
            writer=self._writer,
            repeated=repeated,
        )

    def run(self, request: ShardRequest, started: float, asked: Callable[[], bool]) -> ShardResponse:
        """Make a shard's quanta and run them.

        Parameters
        ----------
        request
            The shard.
        started
            When it reached this worker, UNIX seconds.
        asked
            Whether it has been asked to stop.
        """
        new_records = records_from_json(request.dimension_records, self._records.universe)
        self._records.add(new_records)
        temporary: list[DatasetRef] = []
        try:
            planned = self._plan(request, temporary)
            if planned is None:
                return ShardResponse(
                    ok=False, reason=f"{request.shard} has no inputs.", started=started, finished=time.time()
                )
            step = self._pipelines[request.pipeline].step(request.step)
            cached = frozenset(step.reads(InputKind.CALIBRATION))
            what = _Work(request.pipeline, planned, cached, request.before, asked)
            response = self._run(what, temporary, started)
            update = {"planned_by": "memory", "planned": describe_quanta(planned)}
            if not planned:
                update["reason"] = NO_QUANTA
            return response.model_copy(update=update)
        finally:
            self._forget(temporary)
            self._records.discard(new_records)

    def run_quanta(self, request: QuantaRequest, started: float, asked: Callable[[], bool]) -> ShardResponse:
        """Run quanta that were planned elsewhere.

        Parameters
        ----------
        request
            The quanta.
        started
            When they reached this worker, UNIX seconds.
        asked
            Whether they have been asked to stop.
        """
        temporary: list[DatasetRef] = []
        # Every input that exists comes with its record; a file without one is left from a process that died.
        self._datastore._set_trust_mode(False)  # noqa: SLF001
        try:
            planned = self._take(request, temporary)
            cached = self._calibrations[request.pipeline]
            what = _Work(request.pipeline, planned, cached, request.before, asked)
            return self._run(
                what, temporary, started, raise_on_partial_outputs=request.raise_on_partial_outputs
            )
        finally:
            self._datastore._set_trust_mode(True)  # noqa: SLF001
            self._forget(temporary)

    def _plan(self, request: ShardRequest, temporary: list[DatasetRef]) -> list[PlannedQuantum] | None:
        """Make a shard's quanta; `None` if it has no inputs."""
        pipeline = self._pipelines[request.pipeline]
        step = pipeline.step(request.step)
        dataset_types = self._dataset_types[request.pipeline]
        calibrations = frozenset(step.reads(InputKind.CALIBRATION))
        refs = request.refs(dataset_types, self._records)
        temporary += [ref for name, found in refs.items() if name not in calibrations for ref in found]
        records = records_from_message(request.datastore_records)
        by_id = {ref.id: ref for found in refs.values() for ref in found}
        unregistered = [(message, by_id[message.dataset.id]) for message in request.raws]
        self._import_records(by_id.keys() - {message.dataset.id for message, _ in unregistered}, records)
        if unregistered:
            records = DatastoreRecordData.merge_mappings(records, self._add_raws(unregistered))
        inputs = ShardInputs(refs, records, request.detectors)
        identities = None if request.before is None else read_identities(request.before.planned)
        planned = instantiate(
            pipeline.graph, step, request.shard, request.run, inputs, self._records, identities
        )
        return planned if planned or any(refs.values()) else None

    def _take(self, request: QuantaRequest, temporary: list[DatasetRef]) -> list[PlannedQuantum]:
        """Return the quanta of a request, their inputs known to the datastore."""
        tasks = self._pipelines[request.pipeline].graph.tasks
        dataset_types = self._dataset_types[request.pipeline]
        planned = [PlannedQuantum(given.id, tasks[given.label], given.quantum) for given in request.quanta]
        refs = {
            ref.id: registered(ref, dataset_types)
            for ref in (
                *all_refs(p.quantum.inputs.values() for p in planned),
                *(ref for p in planned for ref in p.quantum.initInputs.values()),
            )
        }
        calibrations = self._calibrations[request.pipeline]
        temporary += [ref for ref in refs.values() if ref.datasetType.name not in calibrations]
        records = DatastoreRecordData.merge_mappings(
            records_from_message(request.datastore_records), *(p.quantum.datastore_records for p in planned)
        )
        self._import_records(refs.keys(), records)
        self._add_raws((message, refs[message.dataset.id]) for message in request.raws)
        return planned

    def _run(
        self,
        work: _Work,
        temporary: list[DatasetRef],
        started: float,
        *,
        raise_on_partial_outputs: bool = True,
    ) -> ShardResponse:
        """Run quanta whose inputs the datastore knows; what they wrote is added to ``temporary``."""
        planned = work.planned
        before = work.before or ShardResponse(ok=True, started=started, finished=started)
        earlier = self._recall(work, before)
        temporary += earlier
        readers = Counter(
            ref_id for p in planned for ref_id in {r.id for r in all_refs([p.quantum.inputs.values()])}
        )
        butler = self._butler(
            work.pipeline,
            readers.keys() | {ref.id for p in planned for ref in p.quantum.initInputs.values()},
            {ref.id for ref in all_refs(p.quantum.outputs.values() for p in planned)},
            work.cached,
            {ref_id for ref_id, count in readers.items() if count > 1},
        )
        executed = execute_quanta(
            planned,
            butler,
            self._task_factory,
            ended=before.reports,
            asked=work.asked,
            raise_on_partial_outputs=raise_on_partial_outputs,
        )
        temporary += butler.written
        written = [*earlier, *butler.written]
        reason = before.reason or executed.reason
        return ShardResponse(
            ok=not reason,
            reason=reason,
            yielded=executed.yielded,
            storage=executed.storage,
            started=before.started,
            finished=time.time(),
            quanta=(*before.quanta, *executed.times),
            reports=(*before.reports, *executed.reports),
            outputs=tuple(DatasetMessage.of(ref) for ref in written),
            datastore_records=records_to_message(self._datastore.export_records(written)),
        )

    def _recall(self, work: _Work, before: ShardResponse) -> list[DatasetRef]:
        """Have the datastore know what an attempt that yielded has written, and return it."""
        ended = [report.quantumId for report in before.reports]
        if ended != [quantum.id for quantum in work.planned[: len(ended)]]:
            raise RuntimeError("These are not the quanta of the attempt that yielded.")
        there = {output.id for output in before.outputs}
        self._datastore.import_records(records_from_message(before.datastore_records))
        outputs = all_refs(quantum.quantum.outputs.values() for quantum in work.planned)
        dataset_types = self._dataset_types[work.pipeline]
        return [registered(ref, dataset_types) for ref in outputs if ref.id in there]

    def _import_records(self, ids: Iterable[UUID], records: Mapping[str, DatastoreRecordData]) -> None:
        """Tell the datastore where the inputs are; calibrations stay known, so that they are told once."""
        new = set(ids) - self._known
        subsets = {name: data.subset(new) for name, data in records.items()}
        self._datastore.import_records({name: data for name, data in subsets.items() if data is not None})
        self._known |= new

    def _add_raws(self, raws: Iterable[tuple[RawMessage, DatasetRef]]) -> Mapping[str, DatastoreRecordData]:
        """Tell the datastore where the raws are."""
        return add_files(
            self._datastore,
            [
                FileDataset(path=message.path, refs=[ref], formatter=message.formatter)
                for message, ref in raws
            ],
        )

    def _forget(self, refs: list[DatasetRef]) -> None:
        self._datastore.forget(refs)
        self._known.difference_update(ref.id for ref in refs)


def _calibrations(pipeline: CompiledPipeline) -> frozenset[str]:
    """Return the names of the calibrations that a pipeline's tasks look up: each serves many quanta."""
    return frozenset(
        edge.parent_dataset_type_name
        for node in pipeline.graph.tasks.values()
        for edge in node.prerequisite_inputs.values()
        if pipeline.graph.dataset_types[edge.parent_dataset_type_name].dataset_type.isCalibration()
    )


def _read_as(pipeline: CompiledPipeline, dataset_type: DatasetType) -> set[str]:
    """Return the names of the storage classes as which tasks read a dataset type whole."""
    return {
        edge.storage_class_name
        for node in pipeline.graph.tasks.values()
        for edge in node.iter_all_inputs()
        if edge.dataset_type_name == dataset_type.name
    }


def _formatters(pipeline: CompiledPipeline) -> dict[str, str]:
    """Return the formatters that tasks bring along for what they write, by the names of the dataset types.

    A dataset type that is registered with another storage class than the task's is the site's own affair.
    """
    return {
        edge.parent_dataset_type_name: get_full_type_name(formatter)
        for node in pipeline.graph.tasks.values()
        for connection, formatter in getattr(node.task_class, "output_formatters", {}).items()
        if (edge := node.outputs.get(connection)) is not None
        and edge.storage_class_name
        == pipeline.graph.dataset_types[edge.parent_dataset_type_name].storage_class_name
    }


def _import_what_is_used(
    dataset_type: DatasetType, datastore: Datastore, storage_classes: StorageClassFactory
) -> None:
    """Import what a first read or write of this type would import: Python types, formatters, converters."""
    storage_class = dataset_type.storageClass
    try:
        storage_class.can_convert(storage_classes.getStorageClass("StructuredDataDict"))
    except ImportError:
        _LOG.debug("The Python type of %s is not here.", storage_class)
        return
    for store in getattr(datastore, "datastores", [datastore]):
        if isinstance(store, FileDatastore):
            store.formatterFactory.getFormatterClass(dataset_type)
