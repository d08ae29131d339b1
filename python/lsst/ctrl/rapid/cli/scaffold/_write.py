"""Writes a channel: its module, its test, its place in a pipeline."""

from __future__ import annotations

__all__ = ("Request", "Written", "write_in_checkout", "write_in_package")

import ast
import contextlib
import dataclasses
import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lsst.pipe.base.pipeline_graph import PipelineGraph

from ...model import InputError, load_rapid_file
from ...plan import PipelineSource, load_pipeline
from ._code import render, task_module, unit_test
from ._place import SUMMIT, Checkout, OwnPackage, Place, summit_pipeline
from ._spec import ChannelNames, ChannelSpec, make_spec
from ._yaml import PipelineText


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes
    ----------
    new, changed
        Files.
    test
        The unit test.
    pipeline
        The pipeline that has the channel.
    """

    new: Sequence[Path]
    changed: Sequence[Path]
    test: Path
    pipeline: Path


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What a person asked for, as it was typed."""

    label: str
    dimensions: str
    inputs: Sequence[str]
    outputs: Sequence[str]


def write_in_checkout(place: Checkout, pipeline: Path | None, request: Request) -> Written:
    """Add a channel to the source tree of this package.

    Parameters
    ----------
    place
        The source tree.
    pipeline
        The pipeline that gets it; ``summit.yaml`` when `None`.
    request
        What is asked for.

    Raises
    ------
    InputError
        If something is not possible, or a file is there already; then nothing was written.
    """
    pipeline = pipeline or place.root / "pipelines/summit.yaml"
    graph = _load(pipeline)
    spec = make_spec(request.label, request.dimensions, request.inputs, request.outputs, graph, pipeline.name)
    changed = {
        pipeline: _with_channel(pipeline, graph, spec, place),
        place.exports: _with_export(place.exports.read_text(encoding="utf-8"), spec.names),
    }
    return _write(_code(spec, place), changed, place.test(spec.names), pipeline)


def write_in_package(place: OwnPackage, pipeline: Path | None, request: Request) -> Written:
    """Add a channel to a package of the scientist's own; what the package lacks is made.

    Parameters
    ----------
    place
        The package.
    pipeline
        A pipeline of the package that gets the channel; when `None`, a new one that imports ``summit.yaml``.
    request
        What is asked for.

    Raises
    ------
    InputError
        If something is not possible, or a file is there already; then nothing was written.
    """
    changed: dict[Path, str] = {}
    with _importable(place.sources):
        base = pipeline or summit_pipeline()
        graph = _load(base)
        spec = make_spec(request.label, request.dimensions, request.inputs, request.outputs, graph, base.name)
    new = _code(spec, place)
    if pipeline is None:
        pipeline = place.pipeline(spec.names)
        new |= _new_pipeline(pipeline, spec, place)
    else:
        changed[pipeline] = _with_channel(pipeline, graph, spec, place)
    new |= {path: text for path, text in _skeleton(place).items() if not path.exists()}
    return _write(new, changed, place.test(spec.names), pipeline)


def _load(pipeline: Path) -> PipelineGraph:
    graph = load_pipeline(PipelineSource(pipeline))
    try:
        graph.resolve()
    except Exception as err:
        raise InputError(f"{pipeline}: the pipeline cannot be resolved: {type(err).__name__}: {err}") from err
    return graph


def _code(spec: ChannelSpec, place: Place) -> dict[Path, str]:
    return {
        place.module(spec.names): task_module(spec, place.style),
        place.test(spec.names): unit_test(spec, place.import_from(spec.names), place.test_style),
    }


def _task(spec: ChannelSpec, place: Place) -> str:
    return f"{place.import_from(spec.names)}.{spec.names.stem}Task"


def _with_channel(pipeline: Path, graph: PipelineGraph, spec: ChannelSpec, place: Place) -> str:
    """Return a pipeline's text with the channel under its tasks and in a step."""
    text = PipelineText(pipeline, pipeline.read_text(encoding="utf-8"))
    text.add_task(spec.names.label, _task(spec, place))
    if len(graph.steps):
        if (step := _step_for(graph, spec, text.subsets)) is not None:
            text.add_to_subset(step, spec.names.label)
        else:
            step = _new_step(place.step_prefix(pipeline), spec)
            taken = {*graph.steps, *graph.task_subsets, *graph.tasks}
            while step in taken:
                step += "_again"
            text.add_step(step, _sharding(spec), spec.names.label, _description(spec))
    return text.text


def _step_for(graph: PipelineGraph, spec: ChannelSpec, written: frozenset[str]) -> str | None:
    """Return the first step of the channel's dimensions that is not before what it reads."""
    steps = list(graph.steps)
    makers = {node.label for found in spec.inputs if (node := graph.producer_of(found.name)) is not None}
    read = [number for number, step in enumerate(steps) if makers & set(graph.task_subsets[step])]
    for step in steps[max(read, default=0) :]:
        if step in written and graph.steps.get_dimensions(step) == spec.group:
            return step
    return None


def _sharding(spec: ChannelSpec) -> Sequence[str]:
    return [name for name in spec.dimensions if name != "instrument"] or ["instrument"]


def _new_step(prefix: str, spec: ChannelSpec) -> str:
    return "_".join([prefix, *_sharding(spec)])


def _description(spec: ChannelSpec) -> str:
    return f"For each {' and '.join(_sharding(spec))}."


def _new_pipeline(path: Path, spec: ChannelSpec, place: OwnPackage) -> dict[Path, str]:
    """Return a pipeline that imports the summit's, and the facts that the executor has of that."""
    facts = load_rapid_file(summit_pipeline())
    choice = next(choice for choice in facts.pipelines if choice.pipeline == summit_pipeline().name)
    pictures = [output.name for output in spec.outputs if output.kind.storage_class == "Plot"]
    text = render(
        "pipeline.yaml",
        label=spec.names.label,
        location=SUMMIT,
        task=_task(spec, place),
        step=_new_step(place.package, spec),
        description=_description(spec),
        dimensions=", ".join(_sharding(spec)),
    )
    rapid = render(
        "rapid.yaml",
        pipeline=path.name,
        where=choice.where,
        publish="".join(f"\n  - {name}" for name in [*facts.publish, *pictures]),
        gather_deadline=f"{facts.gather_deadline:g}",
    )
    return {path: text, path.with_name(f"{path.stem}.rapid.yaml"): rapid}


def _skeleton(place: OwnPackage) -> dict[Path, str]:
    """Return what a package has beside its channels."""
    values = {"package": place.package, "distribution": place.package.replace("_", "-")}
    return {
        place.root / "pyproject.toml": render("pyproject.toml", **values),
        place.root / "README.md": render("README.md", **values),
        place.sources / place.package / "__init__.py": '"""Channels for rapid-exec."""\n',
    }


def _with_export(text: str, names: ChannelNames) -> str:
    """Return the text of ``channels/__init__.py`` with three names more."""
    added = [f"{names.stem}{end}" for end in ("Config", "Connections", "Task")]
    module = ast.parse(text)
    imports = [node for node in module.body if isinstance(node, ast.ImportFrom)]
    exported = next(node for node in module.body if isinstance(node, ast.Assign))
    assert isinstance(exported.value, ast.Tuple)
    assert exported.end_lineno is not None
    known = [element.value for element in exported.value.elts if isinstance(element, ast.Constant)]
    lines = text.splitlines(keepends=True)
    listed = "".join(f'    "{name}",\n' for name in sorted([*map(str, known), *added]))
    lines[exported.lineno - 1 : exported.end_lineno] = [f"__all__ = (\n{listed})\n"]
    later = (node for node in imports if (node.module or "") > f"_{names.snake}")
    at = next((node.lineno - 1 for node in later), imports[-1].end_lineno)
    line = f"from ._{names.snake} import {', '.join(added)}\n"
    if len(line) > 111:
        line = f"from ._{names.snake} import (\n" + "".join(f"    {name},\n" for name in added) + ")\n"
    lines.insert(at or 0, line)
    return "".join(lines)


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let Python find the package's modules, so that its pipelines can be loaded."""
    entry = str(folder.absolute())
    sys.path.insert(0, entry)
    # What Python looked for in vain before may be there now.
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(entry)


def _write(new: Mapping[Path, str], changed: Mapping[Path, str], test: Path, pipeline: Path) -> Written:
    """Write all files, or none where one is there already."""
    if there := [path for path in new if path.exists()]:
        raise InputError(
            f"{', '.join(map(str, there))} is there already, and files are never overwritten; nothing was "
            "written. Choose another NAME, or remove it."
        )
    for path, text in {**new, **changed}.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    return Written(list(new), list(changed), test, pipeline)
