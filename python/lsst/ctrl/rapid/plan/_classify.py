"""How the quanta of a step can be made, from what its tasks read; decided when a pipeline is compiled."""

from __future__ import annotations

__all__ = ("Refusal", "classify_step")

from collections.abc import Iterable, Mapping, Sequence

from lsst.daf.butler import DatasetType, DimensionGroup
from lsst.pipe.base import PipelineTaskConnections
from lsst.pipe.base.pipeline_graph import PipelineGraph, ReadEdge, TaskNode
from lsst.pipe.base.prerequisite_helpers import PrerequisiteInfo

from ._steps import InputKind, Planner, Step, StepPart

TRIGGER = "raw"
"""The dataset type whose arrival triggers the work."""

_DETERMINED = ("exposure", "visit", "group", "detector")
"""What an arrival determines, with all that these imply."""

_OF_ONE_EXPOSURE = frozenset({"exposure", "visit", "group", "day_obs"})


class Refusal(ValueError):  # noqa: N818 -- the executor's answer to a pipeline, not a fault
    """A step cannot be run as raws arrive; the message says which task and why."""


def classify_step(
    graph: PipelineGraph,
    step_of: dict[str, str],
    label: str,
    tasks: Sequence[str],
    dimensions: DimensionGroup,
    registered: Iterable[str] | None,
) -> Step:
    """Find where the inputs of a step's tasks come from, and the way of planning that asks least.

    Parameters
    ----------
    graph
        The resolved pipeline graph.
    step_of
        The step of each task.
    label
        The step's label.
    tasks
        Labels of its tasks, in the order in which they run.
    dimensions
        Its sharding dimensions.
    registered
        Names of the repository's dataset types; `None` where there is no repository to ask.

    Raises
    ------
    Refusal
        If it cannot be planned in any of the three ways.
    """
    _check_dimensions(graph, label, tasks, dimensions)
    classifier = _Classifier(graph, step_of, label, dimensions)
    if "day_obs" in dimensions.required:
        classifier.why.append((Planner.BUILDER, "it takes all that is registered of an observing day"))
    for task in tasks:
        classifier.take(graph.tasks[task])
    parts, data_dimensions = _parts(graph, tasks, classifier.inputs)
    if registered is not None:
        _check_registered(classifier.inputs, parts, frozenset(registered))
    planner = max((how for how, _ in classifier.why), key=list(Planner).index, default=Planner.MEMORY)
    return Step(
        label=label,
        dimensions=dimensions,
        tasks=tuple(tasks),
        parts=parts,
        data_dimensions=data_dimensions,
        inputs=classifier.inputs,
        after=frozenset(classifier.after),
        required=frozenset(classifier.required),
        planner=planner,
        reasons=tuple(dict.fromkeys(reason for how, reason in classifier.why if how is planner)),
    )


class _Classifier:
    """What is found of a step, task by task."""

    def __init__(
        self, graph: PipelineGraph, step_of: dict[str, str], label: str, dimensions: DimensionGroup
    ) -> None:
        self._graph = graph
        self._step_of = step_of
        self._label = label
        self._per_group = "group" in dimensions.required
        self._reach = dimensions.universe.conform(_DETERMINED)
        self.inputs: dict[str, InputKind] = {}
        self.after: set[str] = set()
        self.required: set[str] = set()
        self.why: list[tuple[Planner, str]] = []

    def take(self, node: TaskNode) -> None:
        """Take in a task."""
        told = f"task {node.label!r}"
        if not node.dimensions <= self._reach:
            self.why.append(
                (Planner.BUILDER, f"{told} has dimensions {_beyond(node.dimensions, self._reach)}")
            )
        if type(node.get_connections()).adjust_all_quanta is not PipelineTaskConnections.adjust_all_quanta:
            self.why.append((Planner.BUILDER, f"{told} adjusts all of its quanta together"))
        for write in node.outputs.values():
            dimensions = self._graph.dataset_types[write.parent_dataset_type_name].dimensions
            if not dimensions <= self._reach | node.dimensions:
                beyond = _beyond(dimensions, self._reach)
                self.why.append(
                    (Planner.BUILDER, f"{told} writes {write.parent_dataset_type_name!r} per {beyond}")
                )
        info = PrerequisiteInfo(node, self._graph)
        bounded = bool(info.bounds.spatial_connections or info.bounds.temporal_connections)
        connections = node.get_connections()
        for edge in node.iter_all_inputs():
            if edge.is_prerequisite:
                kind = self._prerequisite(node, edge, info, bounded=bounded)
                if kind is InputKind.CALIBRATION and getattr(connections, edge.connection_name).minimum > 0:
                    self.required.add(edge.parent_dataset_type_name)
            else:
                kind = self._regular(node, edge)
            self.inputs[edge.parent_dataset_type_name] = kind
        _check_connections(self._graph, node)

    def _regular(self, node: TaskNode, edge: ReadEdge) -> InputKind:
        name = edge.parent_dataset_type_name
        dimensions = self._graph.dataset_types[name].dimensions
        told = f"task {node.label!r} reads {name!r}"
        if not dimensions <= self._reach | node.dimensions:
            self.why.append((Planner.BUILDER, f"{told} per {_beyond(dimensions, self._reach)}"))
        producer = self._graph.producer_of(name)
        if producer is not None:
            step = self._step_of[producer.label]
            if step == self._label:
                return InputKind.WITHIN
            self.after.add(step)
            return InputKind.EARLIER_STEP
        if name == TRIGGER:
            return InputKind.TRIGGER
        self.why.append((Planner.TRIVIAL, f"{told}, which no task of the pipeline makes"))
        return InputKind.EXISTING

    def _prerequisite(
        self, node: TaskNode, edge: ReadEdge, info: PrerequisiteInfo, *, bounded: bool
    ) -> InputKind:
        """Classify as upstream's finder finds it; see `lsst.pipe.base.prerequisite_helpers`."""
        finder = info.finders[edge.connection_name]
        dimensions = finder.dataset_type_node.dimensions
        told = f"task {node.label!r} looks {edge.parent_dataset_type_name!r} up"
        if finder.lookup_function is not None:
            self.why.append((Planner.TRIVIAL, f"{told} by a function of its own"))
        elif finder.dataset_other_spatial or not (
            dimensions <= finder.constraint_dimensions or finder.dataset_skypix
        ):
            self.why.append((Planner.BUILDER, f"{told} per {_beyond(dimensions, node.dimensions)}"))
        elif finder.dataset_type_node.is_calibration and not node.dimensions.temporal:
            # Upstream's query takes the first collection's, whenever it holds; its finder takes none.
            self.why.append((Planner.BUILDER, f"{told} for a group, which has no time of its own"))
        elif finder.dataset_skypix:
            self.why.append((Planner.TRIVIAL, f"{told} by position on the sky"))
        elif bounded:
            self.why.append((Planner.TRIVIAL, f"{told} within bounds that other connections give"))
        elif _OF_ONE_EXPOSURE & dimensions.required:
            self.why.append((Planner.TRIVIAL, f"{told}, which is there for one exposure only"))
        elif self._per_group:
            self.why.append((Planner.TRIVIAL, f"{told} for the exposures of a group"))
        else:
            return InputKind.CALIBRATION
        return InputKind.PREREQUISITE


def _check_dimensions(
    graph: PipelineGraph, label: str, tasks: Sequence[str], dimensions: DimensionGroup
) -> None:
    if "day_obs" in dimensions.required:
        _check_day(label, tasks, dimensions)
        return
    reach = dimensions.universe.conform(_DETERMINED)
    if not {"exposure", "visit", "group"} & set(dimensions.required) or not dimensions <= reach:
        raise Refusal(
            f"step {label!r} ({', '.join(tasks)}) is sharded by {dimensions}; steps are run per exposure, "
            "visit or group, with or without detector, or per day_obs"
        )
    for task in tasks:
        if not {"exposure", "visit", "group"} & set(graph.tasks[task].dimensions.required):
            raise Refusal(
                f"task {task!r} has dimensions {graph.tasks[task].dimensions}, which are not of one "
                "exposure: its quantum would be the same for many arrivals"
            )
    if "group" in dimensions.required:
        return
    for task in tasks:
        own = graph.tasks[task].dimensions.required
        if "group" in own and not {"exposure", "visit"} & set(own):
            raise Refusal(
                f"step {label!r} is sharded by exposure, but its task {task!r} gathers the exposures of a "
                "group; put it into a step with the dimension group"
            )


def _check_day(label: str, tasks: Sequence[str], dimensions: DimensionGroup) -> None:
    if dimensions != dimensions.universe.conform(["day_obs"]):
        raise Refusal(
            f"step {label!r} ({', '.join(tasks)}) is sharded by {dimensions}; a day_obs is processed as a "
            "whole: leave the other dimensions to its tasks"
        )


def _check_registered(
    inputs: dict[str, InputKind], parts: Iterable[StepPart], registered: frozenset[str]
) -> None:
    constraints = {name for part in parts for name in part.constraints}
    for name, kind in inputs.items():
        if kind is InputKind.EXISTING and name in constraints and name not in registered:
            raise Refusal(
                f"{name!r} is read, which no task of the pipeline makes and the repository does not have"
            )


def _check_connections(graph: PipelineGraph, node: TaskNode) -> None:
    """Refuse what upstream's builder cannot make a quantum of either."""
    connections = node.get_connections()
    seen: dict[str, DatasetType] = {}
    for edge in node.iter_all_inputs():
        adapted = edge.adapt_dataset_type(graph.dataset_types[edge.parent_dataset_type_name].dataset_type)
        if seen.setdefault(adapted.name, adapted) != adapted:
            raise Refusal(
                f"task {node.label!r} reads {adapted.name!r} through two connections with two storage "
                "classes, which a quantum cannot hold"
            )
        if getattr(getattr(connections, edge.connection_name), "deferBinding", False):
            raise Refusal(
                f"task {node.label!r} binds its input {edge.connection_name!r} late, which is not supported"
            )


def _parts(
    graph: PipelineGraph, tasks: Sequence[str], inputs: Mapping[str, InputKind]
) -> tuple[tuple[StepPart, ...], DimensionGroup]:
    """Return the independent parts of a step, as upstream splits its graph, and all their dimensions."""
    step_graph = subgraph(graph, tasks)
    parts = []
    for part in step_graph.split_independent():
        constraints = frozenset(
            name
            for name, node in part.dataset_types.items()
            # Products of earlier steps were planned with them: upstream's query does not look at
            # intermediates.
            if node.is_initial_query_constraint
            and not node.is_prerequisite
            and node.dimensions
            and graph.producer_of(name) is None
        )
        detectors_of = frozenset(
            name
            for name, node in part.dataset_types.items()
            if node.is_initial_query_constraint
            and "detector" in node.dimensions
            and inputs.get(name) in {InputKind.TRIGGER, InputKind.EARLIER_STEP}
        )
        dimensions = part.get_all_dimensions(prerequisites=False)
        existing = frozenset(n for n in part.dataset_types if inputs.get(n) is InputKind.EXISTING)
        parts.append(StepPart(frozenset(part.tasks), constraints, dimensions, detectors_of, existing))
    return tuple(parts), step_graph.get_all_dimensions(prerequisites=False)


def subgraph(graph: PipelineGraph, tasks: Iterable[str]) -> PipelineGraph:
    """Return the resolved graph of some of a resolved graph's tasks, as if there were no others."""
    part = PipelineGraph(universe=graph.universe, data_id=graph.data_id)
    part.add_task_nodes([graph.tasks[label] for label in tasks])
    part.resolve(
        dimensions=graph.universe,
        dataset_types={name: node.dataset_type for name, node in graph.dataset_types.items()},
    )
    return part


def _beyond(dimensions: DimensionGroup, known: DimensionGroup) -> str:
    """Name the dimensions that are not known."""
    return ", ".join(name for name in dimensions.required if name not in known)
