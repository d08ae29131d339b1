"""Quanta of a shard made from memory, equal to those that upstream's graph builder makes."""

from __future__ import annotations

__all__ = ("PlannedQuantum", "ShardInputs", "instantiate")

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
from ._compile import Step
from ._records import RecordStore

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
    """

    refs: _RefsByType
    records: Mapping[str, DatastoreRecordData] = dataclasses.field(default_factory=dict)


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
    graph: PipelineGraph, step: Step, shard: Shard, run: str, inputs: ShardInputs, records: RecordStore
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

    Returns
    -------
    quanta
        Without those that have no work to do, as upstream's builder drops them together with their outputs.

    Raises
    ------
    FileNotFoundError
        If a prerequisite is missing; the message names it and the data ID.
    LookupError
        If a dimension record is missing.
    """
    refs: dict[str, list[DatasetRef]] = {name: list(found) for name, found in inputs.refs.items()}
    planned = []
    for label in step.tasks:
        node = graph.tasks[label]
        for data_id in _data_ids(node, shard, refs, records):
            helper = AdjustQuantumHelper(
                inputs=_adapted_inputs(graph, node, data_id, refs),
                outputs=_new_outputs(graph, node, data_id, run),
            )
            try:
                helper.adjust_in_place(node.get_connections(), label, data_id)
            except NoWorkFound:
                continue
            if not any(helper.outputs.values()):
                continue
            _keep_outputs(graph, node, helper, refs)
            quantum = Quantum(
                taskName=node.task_class_name,
                taskClass=node.task_class,
                dataId=data_id,
                initInputs=_init_inputs(node, refs),
                inputs=helper.inputs,
                outputs=helper.outputs,
                datastore_records=_subset(inputs.records, helper.inputs.values()),
            )
            planned.append(PlannedQuantum(generate_uuidv7(), node, quantum))
    return planned


def _data_ids(
    node: TaskNode, shard: Shard, refs: _RefsByType, records: RecordStore
) -> Iterable[DataCoordinate]:
    """Yield the data IDs of a task's quanta: one, or one for each detector that a gather has inputs of."""
    if shard.detector is not None or "detector" not in node.dimensions.names:
        yield records.expand(node.dimensions, **shard.data_id)
        return
    detectors = {
        ref.dataId["detector"]
        for edge in node.inputs.values()
        for ref in refs.get(edge.parent_dataset_type_name, ())
        if "detector" in ref.dataId.dimensions.names
    }
    for detector in sorted(detectors):
        yield records.expand(node.dimensions, **shard.data_id, detector=detector)


def _adapted_inputs(
    graph: PipelineGraph, node: TaskNode, data_id: DataCoordinate, refs: _RefsByType
) -> NamedKeyDict[DatasetType, Sequence[DatasetRef]]:
    """Return a quantum's inputs as declared: components and storage classes adapted, sorted."""
    adapted: NamedKeyDict[DatasetType, Sequence[DatasetRef]] = NamedKeyDict()
    for edge in node.iter_all_inputs():
        name = edge.parent_dataset_type_name
        dataset_type = edge.adapt_dataset_type(graph.dataset_types[name].dataset_type)
        present = adapted.keys().get(dataset_type.name)
        if present is None:
            found = sorted(ref for ref in refs.get(name, ()) if _agree(ref.dataId, data_id))
            adapted[dataset_type] = [edge.adapt_dataset_ref(ref) for ref in found]
        elif present != dataset_type:
            raise NotImplementedError(
                f"Task {node.label!r} reads {dataset_type.name!r} through two connections with two storage "
                "classes, which a quantum cannot hold."
            )
    return adapted


def _new_outputs(
    graph: PipelineGraph, node: TaskNode, data_id: DataCoordinate, run: str
) -> NamedKeyDict[DatasetType, Sequence[DatasetRef]]:
    """Return new references for all outputs, log and metadata included, as the connections declare them."""
    outputs: NamedKeyDict[DatasetType, Sequence[DatasetRef]] = NamedKeyDict()
    for edge in node.iter_all_outputs():
        dataset_type = graph.dataset_types[edge.parent_dataset_type_name].dataset_type
        ref = DatasetRef(dataset_type, data_id.subset(dataset_type.dimensions), run=run)
        outputs[edge.adapt_dataset_type(dataset_type)] = [edge.adapt_dataset_ref(ref)]
    return outputs


def _keep_outputs(
    graph: PipelineGraph, node: TaskNode, helper: AdjustQuantumHelper, refs: dict[str, list[DatasetRef]]
) -> None:
    """Make the outputs that were not adjusted away inputs of the tasks that follow."""
    for edge in node.iter_all_outputs():
        dataset_type = graph.dataset_types[edge.parent_dataset_type_name].dataset_type
        kept = helper.outputs[edge.adapt_dataset_type(dataset_type).name]
        refs.setdefault(dataset_type.name, []).extend(_generalized(ref, dataset_type) for ref in kept)


def _generalized(ref: DatasetRef, dataset_type: DatasetType) -> DatasetRef:
    if ref.datasetType == dataset_type:
        return ref
    return ref.overrideStorageClass(dataset_type.storageClass)


def _init_inputs(node: TaskNode, refs: _RefsByType) -> NamedKeyDict[DatasetType, DatasetRef]:
    found: NamedKeyDict[DatasetType, DatasetRef] = NamedKeyDict()
    for edge in node.init.iter_all_inputs():
        name = edge.parent_dataset_type_name
        if not refs.get(name):
            raise LookupError(f"Task {node.label!r} is constructed with {name!r}, which is not there.")
        [ref] = refs[name]
        adapted = edge.adapt_dataset_ref(ref)
        found[adapted.datasetType] = adapted
    return found


def _agree(a: DataCoordinate, b: DataCoordinate) -> bool:
    """Tell whether two data IDs have the same values for every dimension that both have."""
    return all(a[name] == b[name] for name in a.dimensions.names & b.dimensions.names)


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
