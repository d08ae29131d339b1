"""Steps of a pipeline that does not declare them."""

from __future__ import annotations

__all__ = ("infer_steps",)

from lsst.daf.butler import DimensionGroup
from lsst.pipe.base.pipeline_graph import PipelineGraph

_NAMES = {
    ("exposure", "detector"): "detector_step",
    ("exposure",): "exposure_step",
    ("group", "detector"): "group_detector_step",
    ("group",): "group_step",
    ("day_obs",): "day_obs_step",
}


def infer_steps(graph: PipelineGraph) -> dict[str, tuple[list[str], DimensionGroup]]:
    """Return steps for a pipeline that has none, from its tasks' dimensions.

    Parameters
    ----------
    graph
        The resolved pipeline graph.

    Returns
    -------
    steps
        Tasks and sharding dimensions by label.  A task is in the first step of its kind (per detector, per
        exposure, per group, per day_obs) that is after all that it reads from other kinds; so detectors that
        are worked on again after a gather are a step of their own, ``detector_step2``.
    """
    steps: list[tuple[tuple[str, ...], list[str]]] = []
    place: dict[str, int] = {}
    for label, node in graph.tasks.items():
        kind = _kind(node.dimensions)
        earliest = 0
        for edge in node.inputs.values():
            producer = graph.producer_of(edge.parent_dataset_type_name)
            if producer is not None and producer.label in place:
                before = place[producer.label]
                earliest = max(earliest, before if steps[before][0] == kind else before + 1)
        for number in range(earliest, len(steps)):
            if steps[number][0] == kind:
                break
        else:
            number = len(steps)
            steps.append((kind, []))
        steps[number][1].append(label)
        place[label] = number
    assert graph.universe is not None, "A compiled pipeline is resolved."
    named: dict[str, tuple[list[str], DimensionGroup]] = {}
    for kind, members in steps:
        count = 1 + sum(label.startswith(_NAMES[kind]) for label in named)
        named[_NAMES[kind] + (str(count) if count > 1 else "")] = (members, graph.universe.conform(kind))
    return named


def _kind(dimensions: DimensionGroup) -> tuple[str, ...]:
    """Return the sharding dimensions of a task."""
    names = set(dimensions.required)
    if "day_obs" in names and not names & {"exposure", "visit", "group"}:
        return ("day_obs",)
    unit = "group" if "group" in names and not names & {"exposure", "visit"} else "exposure"
    return (unit, "detector") if "detector" in names else (unit,)
