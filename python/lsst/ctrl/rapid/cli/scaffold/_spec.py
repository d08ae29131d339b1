"""What a new channel is: its names, its dimensions, what it reads and writes."""

from __future__ import annotations

__all__ = ("ChannelInput", "ChannelNames", "ChannelOutput", "ChannelSpec", "make_spec")

import dataclasses
import difflib
import keyword
import re
from collections.abc import Iterable, Sequence

from lsst.daf.butler import DimensionGroup, DimensionUniverse
from lsst.pipe.base.pipeline_graph import PipelineGraph

from ...model import InputError
from ._kinds import INPUT_KINDS, OUTPUT_KINDS, InputKind, OutputKind

_LABEL = re.compile(r"[a-z][A-Za-z0-9]*")
_TYPE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?")
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_RAW = ("RapidRaw", ("instrument", "exposure", "detector"))
_AUTOMATIC = ("_log", "_metadata")
"""How the names of what every task writes end."""
_TAKEN = frozenset({"self", "config", "dimensions", "numbers", "handle", "name"})
"""What a connection must not be called, since what is written uses these names."""
_RESERVED = frozenset({"parameters"})
"""What upstream's YAML does not take as a label."""


@dataclasses.dataclass(frozen=True, slots=True)
class ChannelNames:
    """The names of a channel, all made from its label.

    Attributes
    ----------
    label
        Its label in pipelines, like ``quickSky``.
    """

    label: str

    @property
    def stem(self) -> str:
        """What its classes' names begin with, like ``QuickSky``."""
        return self.label[0].upper() + self.label[1:]

    @property
    def snake(self) -> str:
        """Its name in files, like ``quick_sky``."""
        return _WORDS.sub("_", self.label).lower()


@dataclasses.dataclass(frozen=True, slots=True)
class ChannelInput:
    """A dataset type that the channel reads.

    Attributes
    ----------
    name
        Of the dataset type.
    storage_class
        With which it is read.
    dimensions
        Its required dimensions.
    extra
        Those that the channel itself has not: it reads one dataset for each of their values.
    is_calibration
        Whether it is looked up by the exposure's time, rather than made before.
    kind
        How numbers are made of it.
    """

    name: str
    storage_class: str
    dimensions: tuple[str, ...]
    extra: tuple[str, ...]
    is_calibration: bool
    kind: InputKind

    @property
    def connection(self) -> str:
        """Name of the connection, and of the argument of ``run``."""
        name = self.name.replace(".", "_")
        return f"{name}_input" if name in _TAKEN or keyword.iskeyword(name) else name


@dataclasses.dataclass(frozen=True, slots=True)
class ChannelOutput:
    """A dataset type that the channel writes, with the channel's own dimensions."""

    name: str
    kind: OutputKind


@dataclasses.dataclass(frozen=True)
class ChannelSpec:
    """A channel that is to be written.

    Attributes
    ----------
    names
        What it is called.
    dimensions
        Its required dimensions.
    group
        The same, with all that they imply.
    inputs, outputs
        What it reads and writes.
    """

    names: ChannelNames
    dimensions: tuple[str, ...]
    group: DimensionGroup
    inputs: tuple[ChannelInput, ...]
    outputs: tuple[ChannelOutput, ...]


def make_spec(
    label: str,
    dimensions: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    graph: PipelineGraph,
    source: str,
) -> ChannelSpec:
    """Make sense of what a person asked for.

    Parameters
    ----------
    label
        Label of the channel, like ``quickSky``.
    dimensions
        Its dimensions, separated by commas.
    inputs, outputs
        Dataset types: a name, or ``NAME:STORAGE_CLASS:DIMENSION,DIMENSION``.
    graph
        The pipeline that gets the channel, resolved.
    source
        What the pipeline is called in messages.

    Raises
    ------
    InputError
        If something is not possible; the message names the nearest thing that is.
    """
    universe = graph.universe
    assert universe is not None, "A resolved graph has dimensions."
    names = _names(label, graph, source)
    group = _group(dimensions, universe)
    ordered = _in_order(group, *_names_in(dimensions))
    read = tuple(_input(text, group, ordered, graph, source) for text in inputs)
    if twice := _first_twice(found.connection for found in read):
        raise InputError(f"--input: {twice!r} is named twice.")
    written = tuple(_output(text, group, graph, source) for text in outputs or [names.snake])
    if twice := _first_twice(found.name for found in written):
        raise InputError(f"--output: {twice!r} is named twice.")
    if common := {found.connection for found in read} & {found.name for found in written}:
        raise InputError(
            f"{common.pop()!r} is both --input and --output; a channel cannot read what it makes."
        )
    return ChannelSpec(names, ordered, group, read, written)


def _names(label: str, graph: PipelineGraph, source: str) -> ChannelNames:
    if not _LABEL.fullmatch(label):
        raise InputError(
            f"NAME: {label!r} is not a label like quickSky: a lower-case letter, then letters and digits."
        )
    if keyword.iskeyword(label) or label in _RESERVED:
        raise InputError(f"NAME: {label!r} means something to Python or to pipelines; choose another.")
    if label in graph.tasks or label in graph.task_subsets:
        raise InputError(f"NAME: {source} has a task or a subset {label!r} already; choose another.")
    return ChannelNames(label)


def _group(text: str, universe: DimensionUniverse) -> DimensionGroup:
    names = _names_in(text)
    if not names:
        raise InputError("--dimensions: name at least one, like exposure,detector.")
    for name in names:
        if name not in universe.dimensions.names:
            raise InputError(f"There is no dimension {name!r}; {_nearest(name, universe.dimensions.names)}")
    if not {"exposure", "visit", "group", "day_obs"} & set(names):
        raise InputError(
            "--dimensions: a channel is per exposure, visit or group, with or without detector, or per "
            f"day_obs; {text} are of none."
        )
    return universe.conform(names)


def _names_in(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _in_order(group: DimensionGroup, *preferred: str) -> tuple[str, ...]:
    """Return required dimensions: the roots, then the preferred in their order, then the others."""
    roots = [name for name in ("instrument", "skymap") if name in group.required]
    return tuple(
        dict.fromkeys([*roots, *(name for name in preferred if name in group.required), *group.required])
    )


def _input(
    text: str, task: DimensionGroup, named: Sequence[str], graph: PipelineGraph, source: str
) -> ChannelInput:
    name, storage_class, dimensions = _parse("--input", text)
    known = _known_types(graph, task.universe)
    if name in known:
        if storage_class:
            raise InputError(f"--input: {name!r} is known from {source}; name it without more.")
        storage_class, group, is_calibration = known[name]
    elif storage_class and dimensions:
        group = _group(dimensions, task.universe)
        is_calibration = not {"exposure", "visit", "group", "day_obs"} & set(group.names)
    else:
        raise InputError(
            f"--input: {source} neither reads nor makes {name!r}; {_nearest(name, known)} What nothing "
            "there makes is named as NAME:STORAGE_CLASS:DIMENSION,DIMENSION."
        )
    ordered = _in_order(group, *named, *_names_in(dimensions))
    kind = next((kind for kind in INPUT_KINDS if storage_class in kind.storage_classes), INPUT_KINDS[-1])
    if not kind.readable:
        raise InputError(f"--input: {name!r} is a {storage_class}, which can be written but not be read.")
    extra = tuple(found for found in ordered if found not in task.names)
    if is_calibration and extra:
        raise InputError(
            f"--input: {name!r} is a calibration for each {', '.join(ordered)}; a channel with dimensions "
            f"{', '.join(named)} cannot look it up."
        )
    read_as = kind.storage_classes[0] if kind.convert else storage_class
    return ChannelInput(name, read_as, ordered, extra, is_calibration, kind)


def _known_types(
    graph: PipelineGraph, universe: DimensionUniverse
) -> dict[str, tuple[str, DimensionGroup, bool]]:
    """Return storage class, dimensions and whether it is a calibration, of all that tasks read or make."""
    known = {"raw": (_RAW[0], universe.conform(_RAW[1]), False)}
    for name, node in graph.dataset_types.items():
        made = graph.producing_edge_of(name)
        if node is not None and (made is None or not made.is_init):
            known[name] = (node.storage_class_name, node.dimensions, node.is_prerequisite)
    return known


def _output(text: str, task: DimensionGroup, graph: PipelineGraph, source: str) -> ChannelOutput:
    name, storage_class, dimensions = _parse("--output", text)
    if "." in name:
        raise InputError(f"--output: {name!r} is a component; a channel writes whole datasets.")
    if name in graph.dataset_types or name == "raw":
        raise InputError(f"--output: {name!r} is in {source} already; choose another name.")
    if dimensions and _group(dimensions, task.universe) != task:
        raise InputError(f"--output: {name!r} must have the dimensions of the channel: leave them out.")
    kinds = {kind.storage_class: kind for kind in OUTPUT_KINDS}
    if (storage_class or OUTPUT_KINDS[0].storage_class) not in kinds:
        raise InputError(
            f"--output: a new channel writes {', '.join(kinds)}, not {storage_class!r}; begin with one of "
            "these, and change it in what is written."
        )
    return ChannelOutput(name, kinds[storage_class or OUTPUT_KINDS[0].storage_class])


def _parse(option: str, text: str) -> tuple[str, str, str]:
    name, _, rest = text.partition(":")
    storage_class, _, dimensions = rest.partition(":")
    if not _TYPE_NAME.fullmatch(name) or (storage_class and not storage_class.isidentifier()):
        raise InputError(
            f"{option}: {text!r} is neither a dataset type nor NAME:STORAGE_CLASS:DIMENSION,DIMENSION."
        )
    return name, storage_class, dimensions.replace(" ", "")


def _first_twice(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _nearest(name: str, known: Iterable[str]) -> str:
    sensible = [other for other in known if not other.endswith(_AUTOMATIC)]
    near = difflib.get_close_matches(name, sensible, n=3, cutoff=0.0)
    return f"the nearest are {', '.join(near)}."
