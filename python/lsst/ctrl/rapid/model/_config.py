"""The two kinds of file that are ours: ``X.rapid.yaml`` beside a pipeline, and the site file."""

from __future__ import annotations

__all__ = (
    "DetectorPhases",
    "LocalFolder",
    "PipelineChoice",
    "PipelineFolder",
    "RapidFile",
    "SiteFile",
    "TransferMode",
    "WatchSource",
    "load_rapid_file",
    "load_site_file",
    "read_rapid_file",
    "watch_source",
)

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self

import pydantic

from ._base import InputModel, PathName, load_mapping, load_yaml, parse
from ._control import ControlSpec, RedisSpec
from ._input_error import InputError
from ._names import Expression, OutputName, Seconds, is_plain_name
from ._policy import PatternSpec, Policy
from ._reading import read_file
from ._workers import WorkersSpec

_MOST_NAMES = 1000
_MOST_FOLDERS = 100
_MOST_PIPELINES = 100
_LONGEST_CHAIN = 10
"""Site files that extend one another."""

type _Names = Annotated[tuple[str, ...], pydantic.Field(max_length=_MOST_NAMES)]
type _Detector = Annotated[int, pydantic.Field(ge=0, le=100_000)]

type _Phase = Annotated[
    tuple[Annotated[str, pydantic.BeforeValidator(str)], ...],
    pydantic.Field(min_length=1, max_length=_MOST_NAMES),
]

type DetectorPhases = Annotated[tuple[_Phase, ...], pydantic.Field(min_length=1, max_length=2)]
"""One or two phases of a pattern, each of rafts, detectors, numbers and ranges of numbers."""

type TransferMode = Literal["direct", "copy", "move", "link", "hardlink", "symlink"]

type WatchSource = Annotated[Literal["butler"] | PathName, pydantic.Field(union_mode="left_to_right")]
"""What is watched: the repository itself, by the word ``butler``, or a folder."""


def watch_source(name: str) -> Literal["butler"] | Path:
    """Return what a name says is watched; a folder named ``butler`` is ``./butler``."""
    return "butler" if name == "butler" else Path(name)


class PipelineChoice(InputModel):
    """A pipeline and the exposures that it is for."""

    pipeline: str = pydantic.Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]*$")
    """The pipeline's file, relative to the folder of this one."""
    where: Expression = ""
    """Butler expression on the exposure that selects; everything when empty."""
    pattern: PatternSpec | None = None
    """Detectors of its exposures that are processed; `None`: as the policy says."""


class RapidFile(InputModel):
    """Facts of a pipeline that upstream's YAML has no place for: ``X.rapid.yaml`` beside ``X.yaml``."""

    pipelines: tuple[PipelineChoice, ...] = pydantic.Field(default=(), max_length=_MOST_PIPELINES)
    """The pipeline and its companions; the first whose expression selects an exposure takes it."""
    publish: _Names = ()
    """Dataset types that are copied to the published folder for people."""
    shared: _Names = ()
    """Dataset types that no task modifies: handed out without copying."""
    scratch: _Names = ()
    """Dataset types that nobody keeps: never registered, deleted when no step reads them any more."""
    gather_timeout: Seconds = 120.0
    """Seconds from an exposure's first ended detector until those that have ended are gathered in part."""
    gather_deadline: Seconds = 120.0
    """Seconds from an exposure's first raw until its gather runs without the detectors that have not come."""
    day_update: int = pydantic.Field(default=20, ge=0, le=_MOST_NAMES)
    """Exposures after which the steps of their day_obs run in part; 0: they run only when the day is over."""
    policy: Policy = Policy()
    """Where neither the site nor the command line says otherwise."""
    patterns: Mapping[str, PatternSpec] = pydantic.Field(default_factory=dict, max_length=_MOST_NAMES)
    """By label of a step: of an exposure's detectors it processes only those of its own pattern."""


class SiteFile(InputModel):
    """Facts of a place.  Options of the command line take precedence."""

    extends: PathName | None = None
    """Another site file, relative to this one, whose values hold where this one has none."""
    repository: str | None = None
    instruments: _Names = ()
    input: _Names = ()
    output: OutputName | None = None
    watch: tuple[WatchSource, ...] = pydantic.Field(default=(), max_length=_MOST_FOLDERS)
    """Folders where raws land; ``butler`` is the repository, into which somebody else ingests them."""
    polling: bool = False
    """Watch by polling: for file systems (NFS) that do not announce changes."""
    link_targets: tuple[Path, ...] = ()
    """Folders beside the watched ones into which symbolic links in these may lead."""
    quarantine: Path | None = None
    """Folder to which refused files are moved; if `None` they stay where they are."""
    transfer: TransferMode = "direct"
    """How raws enter the repository: registered in place, or transferred into it."""
    workers: WorkersSpec = WorkersSpec()
    """How many, and how they are reached."""
    detectors: tuple[_Detector, ...] = pydantic.Field(default=(), max_length=_MOST_NAMES)
    detector_patterns: Mapping[str, Mapping[str, DetectorPhases]] = pydantic.Field(
        default_factory=dict, max_length=_MOST_NAMES
    )
    """By instrument and name, patterns beside those that are known of it."""
    define_visits: bool = True
    """Whether the visits of exposures of the sky are defined when their raws arrive."""
    work_dir: PathName | None = None
    """Where the ledger, the reports and the published files go."""
    gather_timeout: Seconds | None = None
    gather_deadline: Seconds | None = None
    day_update: int | None = pydantic.Field(default=None, ge=0, le=_MOST_NAMES)
    quantum_timeout: Seconds = 600.0
    """Seconds after which a shard's worker is ended, for each of its quanta."""
    attempts: int = pydantic.Field(default=2, ge=1, le=10)
    """How often a shard is tried whose worker died under it."""
    worker_memory_mb: float | None = pydantic.Field(default=None, gt=0, le=1e9)
    """Megabytes that each worker may take before its process is ended."""
    drain_limit: float = pydantic.Field(default=60.0, ge=0, le=86_400)
    """Seconds that what runs has to end in, once the run is told to stop."""
    commit_interval: float = pydantic.Field(default=0.25, gt=0, le=3600)
    """Longest wait of an ended shard for the others of its batch, seconds."""
    commit_batch: int = pydantic.Field(default=200, ge=1, le=100_000)
    """Most shards in one batch."""
    spool_limit: pydantic.ByteSize = pydantic.Field(default=pydantic.ByteSize(10 * 2**30), ge=0)
    """Most bytes of what waits on disk while the registry is away: a number, or like ``10 GiB``."""
    calibration_cache_mb: float = pydantic.Field(default=2048.0, ge=0, le=1e9)
    """Memory of each worker for calibrations, megabytes."""
    calibration_ttl: Seconds = 300.0
    """Seconds after which the certifications of calibrations are read anew."""
    policy: Policy | None = None
    """Its keys, where they are given, take the place of the pipeline's."""
    control: ControlSpec = ControlSpec()
    """Where the executor takes orders while it runs."""
    redis: RedisSpec | None = None
    """RubinTV's Redis server; none if `None`."""

    @pydantic.model_validator(mode="after")
    def _check_watch(self) -> Self:
        if len(set(self.watch)) != len(self.watch):
            raise ValueError("a source is named twice in 'watch'")
        return self


def load_site_file(path: Path) -> SiteFile:
    """Read a site file and what it extends.

    Raises
    ------
    InputError
        If one of them cannot be read or is not valid, or they extend each other in a circle.
    """
    merged: dict[str, Any] = {}
    seen: list[Path] = []
    current: Path | None = path
    while current is not None:
        current = _resolved(current)
        if current in seen:
            raise InputError(f"{path}: its 'extends' leads in a circle through {current}.")
        if len(seen) == _LONGEST_CHAIN:
            raise InputError(f"{path}: more than {_LONGEST_CHAIN} files extend one another.")
        seen.append(current)
        data = load_yaml(current)
        parse(SiteFile, data, str(current))
        policies = data.get("policy"), merged.get("policy")
        merged = {**data, **merged}
        if isinstance(policies[0], dict) and isinstance(policies[1], dict):
            merged["policy"] = {**policies[0], **policies[1]}
        extended = data.get("extends")
        current = None if extended is None else current.parent / str(extended)
    merged.pop("extends", None)
    return parse(SiteFile, merged, str(path))


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        raise InputError(f"{path}: this is not the name of a file, or its links lead in a circle.") from None


class PipelineFolder(Protocol):
    """Where the files of a pipeline are: a local folder, or a place that has a URI."""

    def path(self, name: str) -> str:
        """Return how a file of the folder is named in messages."""

    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""

    def read(self, name: str) -> bytes:
        """Return what a file holds.

        Raises
        ------
        InputError
            If it cannot be read.
        """


class LocalFolder:
    """A folder of this machine.

    Parameters
    ----------
    folder
        The folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder.resolve())

    def path(self, name: str) -> str:
        """Return the path of a file of the folder."""
        return str(self._folder / name)

    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""
        return (self._folder / name).exists()

    def read(self, name: str) -> bytes:
        """Return what a file holds.

        Raises
        ------
        InputError
            If it cannot be read.
        """
        return read_file(self._folder / name)


def load_rapid_file(pipeline: Path) -> RapidFile:
    """Read the ``X.rapid.yaml`` beside a local pipeline ``X.yaml``: see `read_rapid_file`."""
    return read_rapid_file(pipeline.name, LocalFolder(pipeline.parent))


def read_rapid_file(pipeline: str, folder: PipelineFolder) -> RapidFile:
    """Read the ``X.rapid.yaml`` beside a pipeline ``X.yaml``; a pipeline without one takes every exposure.

    Parameters
    ----------
    pipeline
        Name of the pipeline's file.
    folder
        Where it is.

    Raises
    ------
    InputError
        If it is there and not valid.
    """
    if pipeline.endswith(".rapid.yaml"):
        raise InputError(
            f"{folder.path(pipeline)}: this holds facts for the executor; name the pipeline, "
            f"{folder.path(pipeline.removesuffix('.rapid.yaml') + '.yaml')}."
        )
    facts = f"{Path(pipeline).stem}.rapid.yaml"
    path, has_facts = folder.path(facts), folder.has(facts)
    rapid = RapidFile()
    if has_facts:
        rapid = parse(RapidFile, load_mapping(folder.read(facts), path), path)
    if not rapid.pipelines:
        rapid = rapid.model_copy(update={"pipelines": (PipelineChoice(pipeline=pipeline),)})
    for choice in rapid.pipelines:
        if not is_plain_name(Path(choice.pipeline).stem):
            raise InputError(
                f"{folder.path(choice.pipeline)}: a pipeline's file name becomes part of its RUNs': "
                "it has letters, digits and _.+-@:=, and begins with a letter, a digit or '_'."
            )
        if not folder.has(choice.pipeline):
            source = path if has_facts else folder.path(pipeline)
            raise InputError(f"{source}: there is no pipeline {choice.pipeline!r} in {folder}.")
    if pipeline not in {choice.pipeline for choice in rapid.pipelines}:
        others = ", ".join(choice.pipeline for choice in rapid.pipelines)
        raise InputError(f"{path}: its 'pipelines' are {others}; {pipeline} itself is not among them.")
    return rapid
