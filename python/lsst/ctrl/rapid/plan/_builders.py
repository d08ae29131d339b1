"""Quanta of a shard made by upstream's graph builders, for what cannot be made from memory."""

from __future__ import annotations

__all__ = ("NoQuantaError", "build_from_memory", "build_from_queries")

from collections.abc import Iterator, Mapping, Sequence

from lsst.daf.butler import Butler, DatasetRef, MissingDatasetTypeError
from lsst.pipe.base.all_dimensions_quantum_graph_builder import AllDimensionsQuantumGraphBuilder
from lsst.pipe.base.pipeline_graph import PipelineGraph, TaskNode
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
from lsst.pipe.base.quantum_graph_builder import QuantumGraphBuilder
from lsst.pipe.base.quantum_graph_skeleton import DatasetKey, QuantumGraphSkeleton, QuantumKey

from ..model import Shard
from ._compile import CompiledPipeline
from ._quanta import PlannedQuantum, ShardInputs
from ._records import DataIds, RecordStore
from ._scope import Scope
from ._steps import InputKind, Step


class NoQuantaError(LookupError):
    """Upstream's builder found nothing to do for a shard; the message says what it looked for."""


def build_from_memory(
    compiled: CompiledPipeline,
    step: Step,
    shard: Shard,
    run: str,
    inputs: ShardInputs,
    records: RecordStore,
    butler: Butler,
    collections: Sequence[str],
) -> list[PlannedQuantum]:
    """Make a shard's quanta by upstream's builder, from data IDs and datasets in memory.

    Single inputs are looked up in the repository with upstream's own finders.  Nothing of the shard needs to
    be committed, its raw included, unless a task's own lookup function asks for it.

    Parameters
    ----------
    compiled, step, shard, run, inputs, records
        As for `instantiate`.
    butler
        The repository; it is only read.
    collections
        Input collections, searched in this order.

    Returns
    -------
    quanta
        In the order in which they must run, without those that have no work to do.

    Raises
    ------
    LookupError
        If a dimension record is missing, or a visit is needed and none is defined.
    Exception
        What upstream's builder raises, for example for a prerequisite that is missing.
    """
    found = {name: list(refs) for name, refs in inputs.refs.items()}
    data_ids = DataIds(records)
    scopes: dict[frozenset[str], Scope] = {}
    for part in step.parts:
        scope = Scope.of(part, shard, inputs.refs, records, inputs.detectors)
        for name in part.existing:
            found[name] = _existing(compiled, name, scope, data_ids, butler, collections)
        scopes[part.tasks] = scope.constrained(part.constraints, found)
    builder = _ShardGraphBuilder(
        compiled.step_graph(step.label),
        butler,
        step=step,
        scopes=scopes,
        refs=found,
        data_ids=data_ids,
        input_collections=[run, *collections],
        output_run=run,
    )
    return _planned(builder.finish(attach_datastore_records=True).assemble(), compiled, step)


def build_from_queries(
    compiled: CompiledPipeline,
    step: Step,
    shard: Shard,
    run: str,
    records: RecordStore,
    butler: Butler,
    collections: Sequence[str],
) -> list[PlannedQuantum]:
    """Make a shard's quanta by `AllDimensionsQuantumGraphBuilder`: it sees only what is committed.

    Parameters
    ----------
    compiled, step, shard, run, records, butler, collections
        As for `build_from_memory`; raws and products of earlier steps must be in the registry.

    Raises
    ------
    NoQuantaError
        If upstream's builder finds no data IDs at all: something that the shard reads is missing.
    """
    values: dict[str, object] = {"shard_instrument": shard.instrument}
    where = ["instrument = shard_instrument"]
    dimensions = step.data_dimensions
    if shard.day_obs is not None:
        values["shard_day"] = shard.day_obs
        where.append("day_obs = shard_day")
    elif "exposure" in dimensions:
        values["shard_exposures"] = list(shard.exposures)
        where.append("exposure IN (shard_exposures)")
    elif "visit" in dimensions:
        visits = [v for exposure in shard.exposures for v in records.visits(shard.instrument, exposure)]
        if not visits:
            raise LookupError(f"No visit is defined for {shard}.")
        values["shard_visits"] = visits
        where.append("visit IN (shard_visits)")
    else:
        values["shard_group"] = shard.group
        where.append("group = shard_group")
    if shard.detector is not None:
        values["shard_detector"] = shard.detector
        where.append("detector = shard_detector")

    def builder() -> AllDimensionsQuantumGraphBuilder:
        return AllDimensionsQuantumGraphBuilder(
            compiled.step_graph(step.label),
            butler,
            where=" AND ".join(where),
            bind=values,
            input_collections=[run, *collections],
            output_run=run,
        )

    planned = _planned(builder().finish(attach_datastore_records=True).assemble(), compiled, step)
    if not planned and not _has_data_ids(builder(), compiled.step_graph(step.label)):
        raise NoQuantaError(
            f"upstream's graph builder found no quanta for {shard} in {', '.join([run, *collections])}; "
            f"{', '.join(sorted(step.inputs)) or 'its inputs'} may be missing there"
        )
    return planned


class _ShardGraphBuilder(QuantumGraphBuilder):
    """Upstream's builder with all of its hooks, on data IDs from memory instead of a query.

    Upstream's `TrivialQuantumGraphBuilder` does the same for one data ID of each dimension group; this one
    also serves gathers, whose inputs have many.
    """

    def __init__(
        self,
        graph: PipelineGraph,
        butler: Butler,
        *,
        step: Step,
        scopes: Mapping[frozenset[str], Scope],
        refs: Mapping[str, Sequence[DatasetRef]],
        data_ids: DataIds,
        input_collections: Sequence[str],
        output_run: str,
    ) -> None:
        super().__init__(graph, butler, input_collections=input_collections, output_run=output_run)
        self._scopes = scopes
        self._refs = refs
        self._by_key = {
            (name, ref.dataId.required_values): ref for name, found in refs.items() for ref in found
        }
        self._data_ids = data_ids
        self._cached = frozenset(step.reads(InputKind.CALIBRATION))

    def process_subgraph(self, subgraph: PipelineGraph) -> QuantumGraphSkeleton:
        skeleton = QuantumGraphSkeleton(subgraph.tasks)
        scope = self._scopes[frozenset(subgraph.tasks)]
        for node in subgraph.tasks.values():
            for key, rows in scope.by_data_id(node.dimensions):
                quantum = skeleton.add_quantum_node(node.label, self._data_ids.expand(node.dimensions, key))
                for read in node.inputs.values():
                    for dataset in self._nodes(subgraph, read.parent_dataset_type_name, rows, skeleton):
                        skeleton.add_input_edge(quantum, dataset)
                for write in node.iter_all_outputs():
                    for dataset in self._nodes(subgraph, write.parent_dataset_type_name, rows, skeleton):
                        skeleton.add_output_edge(quantum, dataset)
                self._add_cached(subgraph, node, rows, skeleton, quantum)
            self._prepare_finders(node)
        return skeleton

    def _prepare_finders(self, node: TaskNode) -> None:
        """Leave to upstream's finders only what is not known in memory, and what is committed."""
        finders = self.prerequisite_info[node.label].finders
        for connection, finder in list(finders.items()):
            dimensions = finder.dataset_type_node.dimensions
            if finder.dataset_type_node.name in self._cached:
                del finders[connection]
            elif finder.dataset_skypix:
                # A query that also names the group finds nothing before that is committed.
                names = finder.constraint_dimensions.names & dimensions.names
                finder.constraint_dimensions = self.universe.conform(names)

    def _nodes(
        self, subgraph: PipelineGraph, name: str, rows: Scope, skeleton: QuantumGraphSkeleton
    ) -> Iterator[DatasetKey]:
        """Yield the nodes of a dataset type for all data IDs, with the datasets that are there already."""
        dimensions = subgraph.dataset_types[name].dimensions
        overall = subgraph.producer_of(name) is None
        for key in rows.keys(dimensions):
            node = skeleton.add_dataset_node(name, self._data_ids.expand(dimensions, key))
            if overall and (ref := self._by_key.get((name, key))) is not None:
                skeleton.set_dataset_ref(ref, node)
            yield node

    def _add_cached(
        self,
        subgraph: PipelineGraph,
        node: TaskNode,
        rows: Scope,
        skeleton: QuantumGraphSkeleton,
        quantum: QuantumKey,
    ) -> None:
        for read in node.prerequisite_inputs.values():
            name = read.parent_dataset_type_name
            if name not in self._cached:
                continue
            for key in rows.keys(subgraph.dataset_types[name].dimensions):
                if (ref := self._by_key.get((name, key))) is not None:
                    skeleton.add_input_edge(quantum, skeleton.add_prerequisite_node(ref))


def _existing(
    compiled: CompiledPipeline,
    name: str,
    scope: Scope,
    data_ids: DataIds,
    butler: Butler,
    collections: Sequence[str],
) -> list[DatasetRef]:
    """Look up the datasets of a type that no task of the pipeline makes."""
    dataset_type = compiled.graph.dataset_types[name].dataset_type
    wanted = [data_ids.expand(dataset_type.dimensions, key) for key in scope.keys(dataset_type.dimensions)]
    if not wanted:
        return []
    try:
        if not dataset_type.dimensions:
            ref = butler.find_dataset(dataset_type, collections=list(collections))
            return [] if ref is None else [ref]
        with butler.query() as query:
            found = query.join_data_coordinates(wanted).datasets(dataset_type, list(collections))
            by_id = {data_id.required_values: data_id for data_id in wanted}
            return [ref.expanded(by_id[ref.dataId.required_values]) for ref in found]
    except MissingDatasetTypeError:
        return []


def _has_data_ids(builder: QuantumGraphBuilder, graph: PipelineGraph) -> bool:
    """Tell whether there would be quanta if none were left out for want of work."""
    return any(builder.process_subgraph(part).has_any_quanta for part in graph.split_independent())


def _planned(graph: PredictedQuantumGraph, compiled: CompiledPipeline, step: Step) -> list[PlannedQuantum]:
    """Return a graph's quanta, each after those whose outputs it reads."""
    quanta = graph.build_execution_quanta()
    return [
        PlannedQuantum(quantum_id, compiled.graph.tasks[label], quanta[quantum_id])
        for label in step.tasks
        for quantum_id in graph.quanta_by_task.get(label, {}).values()
    ]
