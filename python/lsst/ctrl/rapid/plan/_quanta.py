"""Quanta of a shard made from memory, equal to those that upstream's graph builder makes."""

from __future__ import annotations

__all__ = ("Identities", "PlannedQuantum", "ShardInputs", "instantiate")

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from lsst.daf.butler import DataCoordinate, DatasetRef, DatasetType, NamedKeyDict, Quantum
from lsst.daf.butler._rubin import generate_uuidv7
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.pipe.base import NoWorkFound
from lsst.pipe.base.connections import AdjustQuantumHelper
from lsst.pipe.base.pipeline_graph import PipelineGraph, TaskNode

from ..model import Shard
from ._records import DataIds, RecordStore
from ._scope import Key, Scope
from ._steps import Step

type _RefsByType = Mapping[str, Sequence[DatasetRef]]


@dataclasses.dataclass(frozen=True)
class ShardInputs:
    """What a shard reads that is there before it starts.

    Attributes
    ----------
    refs
        Datasets by the name of their type, in the repository's definition, with expanded data IDs: the
        trigger, those of earlier steps, calibrations and init-inputs.
    records
        Datastore records of all of them, by datastore.
    detectors
        Those of a gather of which a raw has come.
    """

    refs: _RefsByType
    records: Mapping[str, DatastoreRecordData] = dataclasses.field(default_factory=dict)
    detectors: Sequence[int] = ()


@dataclasses.dataclass(frozen=True)
class Identities:
    """Who quanta and their outputs are, so that the same ones can be made again.

    Attributes
    ----------
    quanta
        IDs of quanta, by the task's label and the data ID's full values.
    outputs
        IDs of what they write, by the dataset type's name and the data ID's full values.
    """

    quanta: Mapping[tuple[str, Key], UUID]
    outputs: Mapping[tuple[str, Key], UUID]


@dataclasses.dataclass(frozen=True)
class PlannedQuantum:
    """A quantum to run.

    Attributes
    ----------
    id
        Its identity in logs and provenance.
    node
        Its task in the pipeline graph.
    quantum
        Upstream's quantum.
    """

    id: UUID
    node: TaskNode
    quantum: Quantum


def instantiate(
    graph: PipelineGraph,
    step: Step,
    shard: Shard,
    run: str,
    inputs: ShardInputs,
    records: RecordStore,
    identities: Identities | None = None,
) -> list[PlannedQuantum]:
    """Make a shard's quanta, in the order in which they must run.

    Parameters
    ----------
    graph
        The resolved pipeline graph.
    step
        The shard's step.
    shard
        What to make quanta for.
    run
        Name of the output RUN.
    inputs
        What is there already.
    records
        Dimension records of the shard's data ID and of its inputs.
    identities
        Those of the same shard's quanta when they were made before; what is not among them is new.

    Returns
    -------
    quanta
        Without those that have no work to do, as upstream's builder drops them together with their outputs.

    Raises
    ------
    FileNotFoundError
        If a prerequisite is missing; the message names it and the data ID.
    LookupError
        If a dimension record is missing, or a visit is needed and none is defined.
    """
    known = _Known(graph, inputs.refs, records, identities or _NEW)
    scopes: dict[str, Scope] = {}
    for part in step.parts:
        scope = Scope.of(part, shard, inputs.refs, records, inputs.detectors)
        scopes |= dict.fromkeys(part.tasks, scope.constrained(part.constraints, inputs.refs))
    planned = []
    for label in step.tasks:
        node = graph.tasks[label]
        for key, rows in scopes[label].by_data_id(node.dimensions):
            data_id = known.data_ids.expand(node.dimensions, key)
            helper = AdjustQuantumHelper(
                inputs=known.inputs(node, rows), outputs=known.new_outputs(node, rows, run)
            )
            try:
                helper.adjust_in_place(node.get_connections(), label, data_id)
            except NoWorkFound:
                continue
            if not any(helper.outputs.values()):
                continue
            known.add_outputs(node, helper)
            quantum = Quantum(
                taskName=node.task_class_name,
                taskClass=node.task_class,
                dataId=data_id,
                initInputs=known.init_inputs(node),
                inputs=helper.inputs,
                outputs=helper.outputs,
                datastore_records=_subset(inputs.records, helper.inputs.values()),
            )
            planned.append(PlannedQuantum(known.quantum_id(node, data_id), node, quantum))
    return planned


_NEW = Identities({}, {})


class _Known:
    """Datasets that are there or will be made, by type and data ID."""

    def __init__(
        self, graph: PipelineGraph, refs: _RefsByType, records: RecordStore, identities: Identities
    ) -> None:
        self._graph = graph
        self._identities = identities
        self.data_ids = DataIds(records)
        self._refs: dict[str, dict[Key, DatasetRef]] = {
            name: {ref.dataId.required_values: ref for ref in found} for name, found in refs.items()
        }

    def quantum_id(self, node: TaskNode, data_id: DataCoordinate) -> UUID:
        """Return a quantum's ID."""
        return self._identities.quanta.get((node.label, data_id.full_values)) or generate_uuidv7()

    def inputs(self, node: TaskNode, rows: Scope) -> NamedKeyDict[DatasetType, Sequence[DatasetRef]]:
        """Return a quantum's inputs as declared: components and storage classes adapted, sorted."""
        adapted: NamedKeyDict[DatasetType, Sequence[DatasetRef]] = NamedKeyDict()
        for edge in node.iter_all_inputs():
            name = edge.parent_dataset_type_name
            whole = self._graph.dataset_types[name].dataset_type
            there = self._refs.get(name, {})
            keys = rows.keys(whole.dimensions) if there else ()
            found = sorted(there[key] for key in keys if key in there)
            # A second connection of the same type reads the same datasets; that they agree is known since
            # the pipeline was compiled.
            adapted[edge.adapt_dataset_type(whole)] = [edge.adapt_dataset_ref(ref) for ref in found]
        return adapted

    def new_outputs(
        self, node: TaskNode, rows: Scope, run: str
    ) -> NamedKeyDict[DatasetType, Sequence[DatasetRef]]:
        """Return new references for all outputs, log and metadata included, as declared."""
        outputs: NamedKeyDict[DatasetType, Sequence[DatasetRef]] = NamedKeyDict()
        for edge in node.iter_all_outputs():
            dataset_type = self._graph.dataset_types[edge.parent_dataset_type_name].dataset_type
            dimensions, ids = dataset_type.dimensions, self._identities.outputs
            data_ids = (self.data_ids.expand(dimensions, key) for key in rows.keys(dimensions))
            refs = sorted(
                DatasetRef(dataset_type, found, run=run, id=ids.get((dataset_type.name, found.full_values)))
                for found in data_ids
            )
            outputs[edge.adapt_dataset_type(dataset_type)] = [edge.adapt_dataset_ref(ref) for ref in refs]
        return outputs

    def add_outputs(self, node: TaskNode, helper: AdjustQuantumHelper) -> None:
        """Make the outputs that were not adjusted away inputs of the tasks that follow."""
        for edge in node.iter_all_outputs():
            dataset_type = self._graph.dataset_types[edge.parent_dataset_type_name].dataset_type
            kept = helper.outputs[edge.adapt_dataset_type(dataset_type).name]
            there = self._refs.setdefault(dataset_type.name, {})
            there.update({ref.dataId.required_values: _generalized(ref, dataset_type) for ref in kept})

    def init_inputs(self, node: TaskNode) -> NamedKeyDict[DatasetType, DatasetRef]:
        """Return what a task is constructed with."""
        found: NamedKeyDict[DatasetType, DatasetRef] = NamedKeyDict()
        for edge in node.init.iter_all_inputs():
            name = edge.parent_dataset_type_name
            if not self._refs.get(name):
                raise LookupError(f"Task {node.label!r} is constructed with {name!r}, which is not there.")
            [ref] = self._refs[name].values()
            adapted = edge.adapt_dataset_ref(ref)
            found[adapted.datasetType] = adapted
        return found


def _generalized(ref: DatasetRef, dataset_type: DatasetType) -> DatasetRef:
    if ref.datasetType == dataset_type:
        return ref
    return ref.overrideStorageClass(dataset_type.storageClass)


def _subset(
    records: Mapping[str, DatastoreRecordData], inputs: Iterable[Sequence[DatasetRef]]
) -> dict[str, DatastoreRecordData]:
    """Return the records of a quantum's overall inputs, so that nothing asks whether they exist."""
    ids = {ref.id for refs in inputs for ref in refs}
    found = {}
    for datastore, data in records.items():
        if (subset := data.subset(ids)) is not None:
            found[datastore] = subset
    return found
