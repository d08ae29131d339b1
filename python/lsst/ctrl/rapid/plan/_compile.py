"""A pipeline compiled against a repository: steps, and where each input comes from."""

from __future__ import annotations

__all__ = ("CompiledPipeline", "InputKind", "Step", "compile_pipeline", "load_pipeline")

import dataclasses
import enum
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from lsst.daf.butler import Butler, DatasetType, DimensionGroup
from lsst.pipe.base import Pipeline, PipelineTaskConnections
from lsst.pipe.base.pipeline_graph import PipelineGraph, ReadEdge, TaskNode
from lsst.pipe.base.prerequisite_helpers import PrerequisiteInfo

from ..model import InputError
from ._runs import payload_hash

_LOG = logging.getLogger(__name__)

TRIGGER = "raw"
"""The dataset type whose arrival triggers the work."""


class InputKind(enum.StrEnum):
    """Where an input of a task comes from."""

    TRIGGER = "trigger"
    WITHIN = "within the shard"
    EARLIER_STEP = "from an earlier step"
    CALIBRATION = "calibration"


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of a pipeline.

    Attributes
    ----------
    label
        Its label in the pipeline's ``steps:``.
    dimensions
        Its sharding dimensions.
    tasks
        Labels of its tasks, each after those whose outputs it reads.
    inputs
        Kind of each dataset type that its tasks read, init-inputs aside.
    after
        Labels of the steps whose outputs it reads.
    required
        Names of the calibration types that a task cannot run without.
    """

    label: str
    dimensions: DimensionGroup
    tasks: tuple[str, ...]
    inputs: Mapping[str, InputKind]
    after: frozenset[str]
    required: frozenset[str] = frozenset()

    @property
    def per_detector(self) -> bool:
        """Whether a shard is one detector; otherwise it is a gather of a whole exposure."""
        return "detector" in self.dimensions.names

    def reads(self, kind: InputKind) -> list[str]:
        """Return the names of the dataset types of one kind, in alphabetical order."""
        return sorted(name for name, found in self.inputs.items() if found is kind)


@dataclasses.dataclass(frozen=True)
class CompiledPipeline:
    """A pipeline resolved against a repository.

    Attributes
    ----------
    name
        The pipeline file's stem.
    graph
        Upstream's pipeline graph, resolved.
    steps
        The steps in the order in which they run.
    hash
        Short hash of the pipeline, its configs and its payloads' versions.
    """

    name: str
    graph: PipelineGraph
    steps: tuple[Step, ...]
    hash: str

    def step(self, label: str) -> Step:
        """Return a step by its label."""
        return next(step for step in self.steps if step.label == label)

    @property
    def dataset_types(self) -> Mapping[str, DatasetType]:
        """The repository's definition of every dataset type, for `lsst.daf.butler.QuantumBackedButler`."""
        return {name: node.dataset_type for name, node in self.graph.dataset_types.items()}

    @property
    def init_inputs(self) -> frozenset[str]:
        """Names of the dataset types that tasks are constructed with."""
        return frozenset(
            edge.parent_dataset_type_name
            for node in self.graph.tasks.values()
            for edge in node.init.iter_all_inputs()
        )

    @property
    def calibrations(self) -> list[DatasetType]:
        """The calibration types that the tasks read, in the repository's definition."""
        names = {name for step in self.steps for name in step.reads(InputKind.CALIBRATION)}
        return [self.graph.dataset_types[name].dataset_type for name in sorted(names)]


def load_pipeline(path: Path) -> PipelineGraph:
    """Load a pipeline's YAML and import its tasks, without a repository.

    Raises
    ------
    InputError
        If it cannot be loaded.
    """
    try:
        return Pipeline.from_uri(str(path)).to_graph()
    except Exception as err:
        raise InputError(f"{path}: the pipeline cannot be loaded: {type(err).__name__}: {err}") from err


def compile_pipeline(path: Path, butler: Butler) -> CompiledPipeline:
    """Compile a pipeline against a repository; nothing is written.

    Parameters
    ----------
    path
        The pipeline's YAML file; ``file.yaml#label`` is not taken here.
    butler
        The repository.

    Raises
    ------
    InputError
        If the pipeline cannot be loaded or resolved, or has a step or an input that cannot be planned from
        memory; the message names it.
    """
    graph = load_pipeline(path)
    try:
        graph.resolve(butler.registry)
    except Exception as err:
        raise InputError(f"{path}: the pipeline cannot be resolved: {type(err).__name__}: {err}") from err
    members = _step_members(graph, path.name)
    step_of = {label: step for step, labels in members.items() for label in labels}
    universe = butler.dimensions
    steps = []
    for label, tasks in members.items():
        dimensions = (
            graph.steps.get_dimensions(label) if label in graph.steps else universe.conform(_INFERRED[label])
        )
        _check_dimensions(path, label, dimensions, [graph.tasks[task] for task in tasks])
        inputs = {
            edge.parent_dataset_type_name: _classify(path, graph, step_of, label, graph.tasks[task], edge)
            for task in tasks
            for edge in graph.tasks[task].iter_all_inputs()
        }
        after = frozenset(_producing_steps(graph, step_of, inputs))
        required = frozenset(name for task in tasks for name in _required(graph.tasks[task]))
        steps.append(Step(label, dimensions, tuple(tasks), inputs, after, required))
    return CompiledPipeline(path.stem, graph, tuple(_in_order(path, steps)), payload_hash(graph))


_INFERRED = {"detector_step": ("exposure", "detector"), "exposure_step": ("exposure",)}


def _step_members(graph: PipelineGraph, name: str) -> dict[str, list[str]]:
    """Return the labels of each step's tasks, in the order in which they run."""
    if len(graph.steps):
        return {label: [t for t in graph.tasks if t in graph.task_subsets[label]] for label in graph.steps}
    inferred: dict[str, list[str]] = {}
    for label, node in graph.tasks.items():
        step = "detector_step" if "detector" in node.dimensions.names else "exposure_step"
        inferred.setdefault(step, []).append(label)
    _LOG.info("%s has no steps; inferred from its tasks' dimensions: %s.", name, inferred)
    return inferred


def _check_dimensions(path: Path, label: str, dimensions: DimensionGroup, tasks: Iterable[TaskNode]) -> None:
    reachable = dimensions.universe.conform(["exposure", "detector"])
    if "exposure" not in dimensions.names or not dimensions <= reachable:
        raise InputError(
            f"{path}: step {label!r} is sharded by {dimensions}; steps are run for (exposure, detector) "
            "or (exposure)."
        )
    for node in tasks:
        if not node.dimensions <= reachable:
            raise InputError(
                f"{path}: task {node.label!r} has dimensions {node.dimensions}, which an exposure and its "
                "detectors do not determine; it cannot be run as raws arrive."
            )
        if type(node.get_connections()).adjust_all_quanta is not PipelineTaskConnections.adjust_all_quanta:
            raise InputError(
                f"{path}: task {node.label!r} adjusts all of its quanta together, which takes the whole "
                "graph; it cannot be run as raws arrive."
            )


def _required(node: TaskNode) -> Iterable[str]:
    """Yield the prerequisites that a task cannot run without."""
    connections = node.get_connections()
    for edge in node.prerequisite_inputs.values():
        if getattr(connections, edge.connection_name).minimum > 0:
            yield edge.parent_dataset_type_name


def _classify(
    path: Path, graph: PipelineGraph, step_of: Mapping[str, str], step: str, node: TaskNode, edge: ReadEdge
) -> InputKind:
    name = edge.parent_dataset_type_name
    if edge.is_prerequisite:
        finder = PrerequisiteInfo(node, graph).finders[edge.connection_name]
        dimensions = finder.dataset_type_node.dimensions
        constrained = dimensions <= node.dimensions
        if finder.lookup_function or finder.dataset_skypix or finder.dataset_other_spatial or not constrained:
            raise InputError(
                f"{path}: task {node.label!r} looks {name!r} up in a way that cannot be answered from memory "
                "(a lookup function, a spatial join or dimensions that its quantum does not have)."
            )
        return InputKind.CALIBRATION
    producer = graph.producer_of(name)
    if producer is not None:
        return InputKind.WITHIN if step_of[producer.label] == step else InputKind.EARLIER_STEP
    if name == TRIGGER:
        return InputKind.TRIGGER
    raise InputError(
        f"{path}: task {node.label!r} reads {name!r}, which no task of the pipeline makes; only "
        f"{TRIGGER!r} arrives."
    )


def _producing_steps(
    graph: PipelineGraph, step_of: Mapping[str, str], inputs: Mapping[str, InputKind]
) -> Iterable[str]:
    for name, kind in inputs.items():
        if kind is InputKind.EARLIER_STEP:
            producer = graph.producer_of(name)
            assert producer is not None, "An input from an earlier step has a producer."
            yield step_of[producer.label]


def _in_order(path: Path, steps: list[Step]) -> list[Step]:
    """Return steps so that each is after those that it reads from."""
    ordered: list[Step] = []
    left = list(steps)
    while left:
        done = {step.label for step in ordered}
        ready = [step for step in left if step.after <= done]
        if not ready:
            raise InputError(
                f"{path}: steps {', '.join(s.label for s in left)} read each other's outputs in a circle."
            )
        ordered += ready
        left = [step for step in left if step not in ready]
    return ordered
