"""The dataset types that a rapid file names, against those of its pipelines."""

from __future__ import annotations

__all__ = ("check_named",)

from collections.abc import Iterable, Sequence

from ..model import InputError, RapidFile, did_you_mean
from ..plan import CompiledPipeline


def check_named(rapid: RapidFile, pipelines: Sequence[CompiledPipeline], source: str, *, whole: bool) -> None:
    """Refuse dataset types that would be published or shared, and are none of the pipelines'.

    Parameters
    ----------
    rapid
        Facts of the pipeline.
    pipelines
        The pipeline and its companions, compiled.
    source
        Where the types are named, for messages.
    whole
        Whether they are run as they are written: all tasks, no configuration changed.  Otherwise types that
        are named may be missing, and nothing is refused.

    Raises
    ------
    InputError
        If there is such a type; the message names the nearest that there is.
    """
    if not whole:
        return
    nodes = [node for pipeline in pipelines for node in pipeline.graph.tasks.values()]
    made = {edge.parent_dataset_type_name for node in nodes for edge in node.iter_all_outputs()}
    read = {edge.parent_dataset_type_name for node in nodes for edge in node.iter_all_inputs()}
    names = ", ".join(pipeline.name for pipeline in pipelines)
    _check("publish", rapid.publish, made, f"no task of {names} makes", source)
    _check("shared", rapid.shared, made | read, f"no task of {names} reads or makes", source)


def _check(key: str, named: Iterable[str], known: set[str], told: str, source: str) -> None:
    for name in named:
        if name not in known:
            raise InputError(f"{source}: {key}: {told} {name!r}{did_you_mean(name, known)}")
