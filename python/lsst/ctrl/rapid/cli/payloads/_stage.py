"""A small repository of simulated exposures, and which pipeline each is for."""

from __future__ import annotations

__all__ = ("Companion", "Stage", "make_stage", "plan_companions")

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from lsst.daf.butler import Butler, DimensionRecord
from lsst.pipe.base.pipeline_graph import PipelineGraph

from ...instruments import load_camera
from ...model import InputError
from ...plan import PipelineSource, Selector, load_pipeline, read_choices
from ...simulator import ImageType, SimulationConfig, simulate
from .._demo import make_embedded_repository
from .._repository import register_raws
from .._simulate import simulation_config

_SCALE = "1/16"
_START = "2026-01-16T04:00:00"
"""Not now: a test takes the same raws whenever it is run."""
_DEFAULT_DETECTORS = 2


@dataclasses.dataclass(frozen=True)
class Companion:
    """A pipeline, and the exposures that it is for.

    Attributes
    ----------
    source
        Where it is read from.
    selects
        Which exposures those are.
    graph
        What it consists of.
    steps
        Labels of the steps to run, in their order; one empty label where it runs whole.
    """

    source: PipelineSource
    selects: Selector
    graph: PipelineGraph
    steps: Sequence[str]

    @property
    def name(self) -> str:
        """Its name in collections and reports."""
        return self.source.name

    def tasks(self, step: str) -> Sequence[str]:
        """Return the labels of a step's tasks."""
        members = self.graph.task_subsets[step] if step else self.graph.tasks
        return [label for label in self.graph.tasks if label in members]


@dataclasses.dataclass(frozen=True)
class Stage:
    """A repository with simulated raws and calibrations.

    Attributes
    ----------
    repository
        Its folder.
    instrument
        Name of the instrument.
    exposures
        Dimension records by element, of each exposure.
    """

    repository: Path
    instrument: str
    exposures: Sequence[dict[str, DimensionRecord]]

    @property
    def inputs(self) -> str:
        """The collection of raws and calibrations."""
        return f"{self.instrument}/defaults"

    def kinds(self) -> Iterable[str]:
        """Return the kinds of exposure that there are, in alphabetical order."""
        return sorted({str(records["exposure"].observation_type) for records in self.exposures})

    def has_exposure_for(self, companion: Companion) -> bool:
        """Tell whether a companion's expression selects one of the exposures."""
        return any(companion.selects(records) for records in self.exposures)


def plan_companions(pipeline: PipelineSource, only: Collection[str] = ()) -> Sequence[Companion]:
    """Load a pipeline and its companions, in the order of ``X.rapid.yaml``.

    Parameters
    ----------
    pipeline
        The pipeline.
    only
        Labels of steps: these alone are run, with those that they read from; all when empty.

    Raises
    ------
    lsst.ctrl.rapid.model.InputError
        If one of them cannot be read, or none has such a step.
    """
    if pipeline.labels:
        raise InputError(f"{pipeline}: name steps by --step, in the place of labels behind '#'.")
    companions = []
    chosen = read_choices(pipeline)
    for choice, source in chosen.pairs:
        graph = load_pipeline(source)
        try:
            graph.resolve()
        except Exception as err:
            raise InputError(
                f"{source}: the pipeline cannot be resolved: {type(err).__name__}: {err}"
            ) from err
        assert graph.universe is not None, "A resolved graph has dimensions."
        selector = Selector(choice.where, graph.universe, chosen.facts_file)
        if steps := _steps(graph, only):
            companions.append(Companion(source, selector, graph, steps))
    found = {step for companion in companions for step in companion.steps}
    if unknown := [step for step in only if step not in found]:
        raise InputError(f"{pipeline}: neither it nor a companion has a step {', '.join(unknown)}.")
    return companions


def _steps(graph: PipelineGraph, only: Collection[str]) -> Sequence[str]:
    """Return the steps to run, in their order."""
    if not only:
        return tuple(graph.steps) or ("",)
    step_of = {task: step for step in graph.steps for task in graph.task_subsets[step]}
    wanted: set[str] = set()
    left = [step for step in only if step in graph.steps]
    while left:
        step = left.pop()
        wanted.add(step)
        for task in graph.task_subsets[step]:
            for edge in graph.tasks[task].iter_all_inputs():
                producer = graph.producer_of(edge.parent_dataset_type_name)
                if producer is not None and step_of.get(producer.label, step) not in wanted:
                    left.append(step_of[producer.label])
    return tuple(step for step in graph.steps if step in wanted)


def make_stage(folder: Path, instrument: str, detectors: Sequence[int] | None) -> Stage:
    """Simulate one exposure of each kind, and register their raws and demo calibrations.

    Parameters
    ----------
    folder
        Where ``repo/`` and ``raws/`` are made.
    instrument
        Name of the instrument.
    detectors
        Numbers of the detectors; the camera's first two, or 90 and 91 where there are so many, when `None`.

    Raises
    ------
    lsst.ctrl.rapid.model.InputError
        If the simulation is not possible.
    """
    config = simulation_config(
        instrument=instrument,
        detectors=None if detectors is None else tuple(detectors),
        exposures=len(ImageType),
        sequence=",".join(ImageType),
        scale=_SCALE,
        start=_START,
    )
    if config.detectors is None:
        config = config.model_copy(update={"detectors": _central(config)})
    repository = folder / "repo"
    make_embedded_repository(repository, [instrument], config)
    raws = [raw.path for raw in simulate(config, folder / "raws")]
    register_raws(raws, str(repository), "direct")
    with Butler.from_config(str(repository), writeable=False) as butler:
        return Stage(repository, instrument, _exposures(butler, instrument))


def _central(config: SimulationConfig) -> tuple[int, ...]:
    """Return neighbours, in the middle of a camera's detectors."""
    science = load_camera(config.instrument).science
    first = max(0, len(science) // 2 - _DEFAULT_DETECTORS // 2)
    return science[first : first + _DEFAULT_DETECTORS]


def _exposures(butler: Butler, instrument: str) -> Sequence[dict[str, DimensionRecord]]:
    found = []
    for record in butler.query_dimension_records("exposure", instrument=instrument):
        data_id = butler.registry.expandDataId(record.dataId)
        elements = {name: data_id.records[name] for name in data_id.dimensions.elements}
        found.append({name: known for name, known in elements.items() if known is not None})
    return found
