"""A pipeline compiled against a repository: its steps, and how the quanta of each are made."""

from __future__ import annotations

__all__ = ("CompiledPipeline", "compile_graph", "compile_pipeline", "load_pipeline")

import dataclasses
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lsst.daf.butler import Butler, DatasetType, DimensionUniverse
from lsst.pex.config import Config
from lsst.pipe.base.pipeline_graph import PipelineGraph

from ..model import InputError, did_you_mean
from ._classify import Refusal, classify_step, subgraph
from ._infer import infer_steps
from ._runs import payload_hash
from ._source import FieldOverride, PipelineSource
from ._steps import InputKind, Step

_LOG = logging.getLogger(__name__)


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
    source
        Where it was read from; `None` for what was never a file.
    declared_steps
        Whether the steps are the pipeline's own; otherwise they were inferred.
    """

    name: str
    graph: PipelineGraph
    steps: tuple[Step, ...]
    hash: str
    source: PipelineSource | None = None
    declared_steps: bool = True

    def step(self, label: str) -> Step:
        """Return a step by its label."""
        return next(step for step in self.steps if step.label == label)

    def step_graph(self, label: str) -> PipelineGraph:
        """Return the resolved graph of one step's tasks, as if there were no others."""
        return subgraph(self.graph, self.step(label).tasks)

    @property
    def arrival_steps(self) -> tuple[Step, ...]:
        """The steps of which an arrival makes shards: those of exposures and groups, and not of days."""
        return tuple(step for step in self.steps if not step.per_day)

    @property
    def day_steps(self) -> tuple[Step, ...]:
        """The steps that take all exposures of an observing day."""
        return tuple(step for step in self.steps if step.per_day)

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
    def overall_init_inputs(self) -> frozenset[str]:
        """Names of those of the `init_inputs` that no task of the pipeline makes."""
        return frozenset(name for name in self.init_inputs if self.graph.producer_of(name) is None)

    @property
    def calibrations(self) -> list[DatasetType]:
        """The cached prerequisites of all tasks, in the repository's definition."""
        names = {name for step in self.steps for name in step.reads(InputKind.CALIBRATION)}
        return [self.graph.dataset_types[name].dataset_type for name in sorted(names)]


def load_pipeline(source: PipelineSource) -> PipelineGraph:
    """Load a pipeline's YAML and import its tasks, without a repository.

    Raises
    ------
    InputError
        If it cannot be loaded.
    """
    pipeline = source.read()
    try:
        return pipeline.to_graph()
    except Exception as err:
        nearest = _nearest_field(source)
        raise InputError(
            f"{source}: the pipeline cannot be loaded: {type(err).__name__}: {err}{nearest}"
        ) from err


def _nearest_field(source: PipelineSource) -> str:
    """Return what may be meant by the first override of a field that there is not; empty if there is none."""
    fields = [override for override in source.overrides if isinstance(override, FieldOverride)]
    try:
        tasks = dataclasses.replace(source, overrides=()).read().to_graph().tasks if fields else {}
    except Exception:  # noqa: BLE001 -- it is the pipeline itself that is wrong
        return ""
    for override in fields:
        config: Any = tasks[override.label].config if override.label in tasks else None
        for name in override.field.split("."):
            if not isinstance(config, Config):
                break
            if name not in config:
                return did_you_mean(name, config.keys())
            config = getattr(config, name)
    return ""


def compile_pipeline(source: PipelineSource, butler: Butler | None) -> CompiledPipeline:
    """Compile a pipeline against a repository; nothing is written.

    Parameters
    ----------
    source
        The pipeline.
    butler
        The repository; without one dataset types are as the pipeline declares them.

    Raises
    ------
    InputError
        If the pipeline cannot be loaded or resolved, or has a step that cannot be run as raws arrive; the
        message names it.
    """
    graph = load_pipeline(source)
    try:
        if butler is None:
            graph.resolve(dimensions=DimensionUniverse(), dataset_types={})
        else:
            graph.resolve(butler.registry)
    except Exception as err:
        raise InputError(f"{source}: the pipeline cannot be resolved: {type(err).__name__}: {err}") from err
    registered = None
    if butler is not None:
        registered = {dataset_type.name for dataset_type in butler.registry.queryDatasetTypes()}
    return compile_graph(graph, source, registered)


def compile_graph(
    graph: PipelineGraph, source: PipelineSource, registered: Collection[str] | None
) -> CompiledPipeline:
    """Compile a resolved pipeline graph.

    Parameters
    ----------
    graph
        The graph.
    source
        Where it was read from.
    registered
        Names of the repository's dataset types; `None` where there is no repository.

    Raises
    ------
    InputError
        If a step cannot be run as raws arrive.
    """
    try:
        steps, declared = _steps(graph, source, registered)
    except Refusal as err:
        raise InputError(
            f"{source}: it cannot be run as raws arrive: {err}. What cannot may still be run with "
            "pipetask, or from a graph with 'rapid-exec run-graph'."
        ) from None
    return CompiledPipeline(source.name, graph, steps, payload_hash(graph), source, declared)


def _steps(
    graph: PipelineGraph, source: PipelineSource, registered: Collection[str] | None
) -> tuple[tuple[Step, ...], bool]:
    """Return the steps in the order in which they run, and whether they are the pipeline's own."""
    members = {
        label: ([t for t in graph.tasks if t in graph.task_subsets[label]], graph.steps.get_dimensions(label))
        for label in graph.steps
    }
    declared = bool(members)
    if not declared:
        members = infer_steps(graph)
        told = "; ".join(f"{label}: {', '.join(tasks)}" for label, (tasks, _) in members.items())
        _LOG.info("%s has no steps; inferred from its tasks' dimensions: %s.", source, told)
    step_of = {task: label for label, (tasks, _) in members.items() for task in tasks}
    steps = [
        classify_step(graph, step_of, label, tasks, dimensions, registered)
        for label, (tasks, dimensions) in members.items()
    ]
    if all(step.per_day for step in steps):
        raise Refusal(
            f"steps {', '.join(s.label for s in steps)} take what others make of the exposures of a day_obs, "
            "and there are no others"
        )
    return tuple(_in_order(steps)), declared


def _in_order(steps: Sequence[Step]) -> list[Step]:
    """Return steps so that each is after those that it reads from."""
    ordered: list[Step] = []
    left = list(steps)
    while left:
        done = {step.label for step in ordered}
        ready = [step for step in left if step.after <= done]
        if not ready:
            raise Refusal(f"steps {', '.join(s.label for s in left)} read each other's outputs in a circle")
        ordered += ready
        left = [step for step in left if step not in ready]
    by_label = {step.label: step for step in ordered}
    for step in ordered:
        for before in step.after:
            if _extent(by_label[before]) > _extent(step):
                own, other = _EXTENTS[_extent(step)], _EXTENTS[_extent(by_label[before])]
                raise Refusal(
                    f"step {step.label!r} of {own} reads from step {before!r} of {other}, which may end only "
                    "when other exposures have come"
                )
    return ordered


_EXTENTS = ("an exposure", "its group", "its day_obs")


def _extent(step: Step) -> int:
    """Return the place in `_EXTENTS` of what a step's shard takes."""
    return 2 if step.per_day else 1 if step.per_group else 0
