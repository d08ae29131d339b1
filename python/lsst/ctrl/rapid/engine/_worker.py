"""What lives in a worker process: one actor that holds everything warm and runs one shard at a time."""

from __future__ import annotations

__all__ = ("ShardActor", "WorkerSetup")

import dataclasses
import logging
import os
import pickle
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from lsst.daf.butler import (
    ButlerConfig,
    DatasetRef,
    DatasetType,
    FileDataset,
    StorageClassFactory,
)
from lsst.daf.butler._standalone_datastore import instantiate_standalone_datastore
from lsst.daf.butler.cli.cliLog import CliLog
from lsst.daf.butler.datastore import Datastore
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.daf.butler.datastores.fileDatastore import FileDatastore
from lsst.pipe.base import ExecutionResources, TaskFactory
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

from ..model import QuantumTimes
from ..plan import (
    CompiledPipeline,
    DatasetMessage,
    InputKind,
    PlannedQuantum,
    RecordStore,
    ShardInputs,
    instantiate,
    records_from_json,
    records_from_message,
    records_to_message,
    refs_by_type,
)
from ._butler import ObjectCache, ShardButler
from ._messages import RawMessage, ShardRequest, ShardResponse, WarmUp

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class WorkerSetup:
    """What every worker is given once.

    Attributes
    ----------
    repository
        Butler configuration or root.
    pipelines
        The compiled pipelines.
    static_records
        Dimension records that do not change with every exposure, serialised.
    shared
        Names of the dataset types whose objects no task modifies.
    cache_bytes
        Memory for calibrations, bytes.
    """

    repository: str
    pipelines: tuple[CompiledPipeline, ...]
    static_records: tuple[str, ...]
    shared: frozenset[str]
    cache_bytes: float


class ShardActor:
    """The actor of a worker process.

    Parameters
    ----------
    setup
        A pickled `WorkerSetup`.

    Notes
    -----
    Methods never raise and return bytes: an exception or result that cannot be unpickled would hang the
    caller.  The state is built in `warm`, in the thread that runs all methods: the actor is constructed in
    another one, and the datastore's in-memory database is bound to its thread.
    """

    def __init__(self, setup: bytes) -> None:
        self._setup = setup
        self._state: _WorkerState | None = None

    def warm(self) -> bytes:
        """Build the state: imports, datastore, plans.

        Returns
        -------
        answer
            A `WarmUp`, serialised.
        """
        start = time.monotonic()
        reason = ""
        try:
            _initialise_logging()
            self._state = _WorkerState(pickle.loads(self._setup))  # noqa: S301 -- made by the head of this very run
        except BaseException as err:  # noqa: BLE001 -- see the class
            reason = f"{type(err).__name__}: {err}"
        answer = WarmUp(
            ok=not reason,
            reason=reason,
            pid=os.getpid(),
            host=socket.gethostname(),
            seconds=time.monotonic() - start,
        )
        return answer.model_dump_json().encode()

    def run(self, request: bytes) -> bytes:
        """Run a shard.

        Parameters
        ----------
        request
            A `ShardRequest`, serialised.

        Returns
        -------
        answer
            A `ShardResponse`, serialised.  What was written before a failure is in it.
        """
        started = time.time()
        try:
            assert self._state is not None, "A worker is warmed before it is given shards."
            response = self._state.run(ShardRequest.model_validate_json(request), started)
        except BaseException as err:  # noqa: BLE001 -- see the class
            response = ShardResponse(ok=False, reason=_explain(err), started=started, finished=time.time())
        return response.model_dump_json().encode()


class _WorkerState:
    """Everything that outlives a shard."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._pipelines = {pipeline.name: pipeline for pipeline in setup.pipelines}
        self._dataset_types = {pipeline.name: pipeline.dataset_types for pipeline in setup.pipelines}
        universe = next(pipeline.graph.universe for pipeline in setup.pipelines)
        assert universe is not None, "A compiled pipeline is resolved."
        config = ButlerConfig(setup.repository)
        self._datastore, self._database = instantiate_standalone_datastore(config, universe)
        self._datastore._set_trust_mode(True)  # noqa: SLF001 -- what QuantumBackedButler.initialize does
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

    def run(self, request: ShardRequest, started: float) -> ShardResponse:
        shard, pipeline = request.shard, self._pipelines[request.pipeline]
        step = pipeline.step(request.step)
        dataset_types = self._dataset_types[request.pipeline]
        new_records = records_from_json(request.dimension_records, self._records.universe)
        self._records.add(new_records)
        calibrations = frozenset(step.reads(InputKind.CALIBRATION))
        temporary: list[DatasetRef] = []
        try:
            refs = refs_by_type(request.inputs, dataset_types, self._records)
            temporary += [ref for name, found in refs.items() if name not in calibrations for ref in found]
            records = records_from_message(request.datastore_records)
            self._import_records(refs, records)
            raws = self._ingest_raws(request.raws, dataset_types)
            temporary += raws
            if raws:
                refs.setdefault(raws[0].datasetType.name, []).extend(raws)
                records = DatastoreRecordData.merge_mappings(records, self._datastore.export_records(raws))
            inputs = ShardInputs(refs, records)
            planned = instantiate(pipeline.graph, step, shard, request.run, inputs, self._records)
            if not planned and not any(refs.values()):
                return ShardResponse(
                    ok=False, reason=f"{shard} has no inputs.", started=started, finished=time.time()
                )
            butler = ShardButler(
                {ref.id for ref in _all(p.quantum.inputs.values() for p in planned)}
                | {ref.id for p in planned for ref in p.quantum.initInputs.values()},
                {ref.id for ref in _all(p.quantum.outputs.values() for p in planned)},
                self._records.universe,
                self._datastore,
                self._storage_classes,
                dataset_types,
                cached=calibrations,
                shared=self._shared,
                cache=self._cache,
            )
            quanta, reason = _execute(planned, butler, self._task_factory)
            written = butler.written
            temporary += written
            return ShardResponse(
                ok=not reason,
                reason=reason,
                planned_by="memory",
                started=started,
                finished=time.time(),
                quanta=tuple(quanta),
                outputs=tuple(DatasetMessage.of(ref) for ref in written),
                datastore_records=records_to_message(self._datastore.export_records(written)),
            )
        finally:
            self._forget(temporary)
            self._records.discard(new_records)

    def _import_records(
        self, refs: Mapping[str, Sequence[DatasetRef]], records: Mapping[str, DatastoreRecordData]
    ) -> None:
        """Tell the datastore where the inputs are; calibrations stay known, so that they are told once."""
        ids = {ref.id for found in refs.values() for ref in found}
        new = ids - self._known
        subsets = {name: data.subset(new) for name, data in records.items()}
        self._datastore.import_records({name: data for name, data in subsets.items() if data is not None})
        self._known |= ids

    def _ingest_raws(
        self, messages: Sequence[RawMessage], dataset_types: Mapping[str, DatasetType]
    ) -> list[DatasetRef]:
        """Tell the datastore where the raws are."""
        datasets = [
            FileDataset(
                path=message.path,
                refs=[message.dataset.to_ref(dataset_types[message.dataset.dataset_type], self._records)],
                formatter=message.formatter,
            )
            for message in messages
        ]
        if datasets:
            self._datastore.ingest(*datasets, transfer="direct")
        return [ref for dataset in datasets for ref in dataset.refs]

    def _forget(self, refs: list[DatasetRef]) -> None:
        self._datastore.forget(refs)
        self._known.difference_update(ref.id for ref in refs)


def _execute(
    planned: list[PlannedQuantum], butler: ShardButler, task_factory: TaskFactory
) -> tuple[list[QuantumTimes], str]:
    """Run quanta one after another; a failure stops only those that read what it should have made.

    Returns
    -------
    times
        Of each quantum that ran.
    reason
        The first failure, or ``""``.
    """
    executor = SingleQuantumExecutor(
        butler=butler,
        task_factory=task_factory,
        assume_no_existing_outputs=True,
        resources=ExecutionResources(num_cores=1),
    )
    times: list[QuantumTimes] = []
    blocked: set[UUID] = set()
    reason = ""
    for quantum in planned:
        outputs = {ref.id for ref in _all([quantum.quantum.outputs.values()])}
        if blocked & {ref.id for ref in _all([quantum.quantum.inputs.values()])}:
            blocked |= outputs
            continue
        start = time.time()
        try:
            executor.execute(quantum.node, quantum.quantum, quantum_id=quantum.id)
        except Exception as err:  # noqa: BLE001 -- any failure of a task is its outcome
            blocked |= outputs
            reason = reason or f"{quantum.node.label}: {_explain(err)}"
        times.append(QuantumTimes(label=quantum.node.label, start=start, end=time.time()))
    return times, reason


def _explain(err: BaseException) -> str:
    """Return why a quantum failed.

    A task whose constructor raises surfaces upstream as an `UnboundLocalError`; the truth is in its context.
    """
    if isinstance(err, UnboundLocalError) and err.__context__ is not None:
        err = err.__context__
    return f"{type(err).__name__}: {err}"


def _all(groups: Iterable[Iterable[Iterable[DatasetRef]]]) -> Iterable[DatasetRef]:
    return (ref for group in groups for refs in group for ref in refs)


def _initialise_logging() -> None:
    """Set logging up as ``pipetask`` does: log datasets capture the root logger; terminals get nothing."""
    CliLog.initLog(longlog=False, log_tty=False)


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
