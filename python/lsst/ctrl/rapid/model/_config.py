"""The two kinds of file that are ours: ``X.rapid.yaml`` beside a pipeline, and the site file."""

from __future__ import annotations

__all__ = (
    "PipelineChoice",
    "RapidFile",
    "SiteFile",
    "TransferMode",
    "WatchSource",
    "load_rapid_file",
    "load_site_file",
    "watch_source",
)

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic

from ._base import InputError, Model, load_yaml, parse
from ._control import ControlSpec, RedisSpec
from ._policy import PatternSpec, Policy

type TransferMode = Literal["direct", "copy", "move", "link", "hardlink", "symlink"]

type WatchSource = Annotated[Literal["butler"] | Path, pydantic.Field(union_mode="left_to_right")]
"""What is watched: the repository itself, by the word ``butler``, or a folder."""


def watch_source(name: str) -> Literal["butler"] | Path:
    """Return what a name says is watched; a folder named ``butler`` is ``./butler``."""
    return "butler" if name == "butler" else Path(name)


class PipelineChoice(Model):
    """A pipeline and the exposures that it is for."""

    pipeline: str
    """The pipeline's file, relative to the folder of this one."""
    where: str = ""
    """Butler expression on the exposure that selects; everything when empty."""
    pattern: PatternSpec | None = None
    """Detectors of its exposures that are processed; `None`: as the policy says."""


class RapidFile(Model):
    """Facts of a pipeline that upstream's YAML has no place for: ``X.rapid.yaml`` beside ``X.yaml``."""

    pipelines: tuple[PipelineChoice, ...] = ()
    """The pipeline and its companions; the first whose expression selects an exposure takes it."""
    publish: tuple[str, ...] = ()
    """Dataset types that are copied to the published folder for people."""
    shared: tuple[str, ...] = ()
    """Dataset types that no task modifies: handed out without copying."""
    scratch: tuple[str, ...] = ()
    """Dataset types that nobody keeps: never registered, deleted when no step reads them any more."""
    gather_timeout: float = pydantic.Field(default=120.0, gt=0)
    """Seconds from an exposure's first ended detector until those that have ended are gathered in part."""
    gather_deadline: float = pydantic.Field(default=120.0, gt=0)
    """Seconds from an exposure's first raw until its gather runs without the detectors that have not come."""
    policy: Policy = Policy()
    """Where neither the site nor the command line says otherwise."""
    patterns: Mapping[str, PatternSpec] = pydantic.Field(default_factory=dict)
    """By label of a step: of an exposure's detectors it processes only those of its own pattern."""


class SiteFile(Model):
    """Facts of a place.  Options of the command line take precedence."""

    extends: str | None = None
    """Another site file, relative to this one, whose values hold where this one has none."""
    repository: str | None = None
    instruments: tuple[str, ...] = ()
    input: tuple[str, ...] = ()
    output: str | None = None
    watch: tuple[WatchSource, ...] = ()
    """Folders where raws land; ``butler`` is the repository, into which somebody else ingests them."""
    polling: bool = False
    """Watch by polling: for file systems (NFS) that do not announce changes."""
    transfer: TransferMode = "direct"
    """How raws enter the repository: registered in place, or transferred into it."""
    workers: int | None = pydantic.Field(default=None, ge=1)
    detectors: tuple[int, ...] = ()
    work_dir: Path | None = None
    """Where the ledger, the reports and the published files go."""
    gather_timeout: float | None = pydantic.Field(default=None, gt=0)
    gather_deadline: float | None = pydantic.Field(default=None, gt=0)
    quantum_timeout: float = pydantic.Field(default=600.0, gt=0)
    """Seconds after which a shard's worker is ended, for each of its quanta."""
    attempts: int = pydantic.Field(default=2, ge=1, le=10)
    """How often a shard is tried whose worker died under it."""
    worker_memory_mb: float | None = pydantic.Field(default=None, gt=0)
    """Megabytes that each worker may take before its process is ended."""
    drain_limit: float = pydantic.Field(default=60.0, ge=0)
    """Seconds that what runs has to end in, once the run is told to stop."""
    commit_interval: float = pydantic.Field(default=0.25, gt=0)
    """Longest wait of an ended shard for the others of its batch, seconds."""
    commit_batch: int = pydantic.Field(default=200, ge=1)
    """Most shards in one batch."""
    calibration_cache_mb: float = pydantic.Field(default=2048.0, ge=0)
    """Memory of each worker for calibrations, megabytes."""
    calibration_ttl: float = pydantic.Field(default=300.0, gt=0)
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
        current = current.resolve()
        if current in seen:
            raise InputError(f"{path}: its 'extends' leads in a circle through {current}.")
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


def load_rapid_file(pipeline: Path) -> RapidFile:
    """Read the ``X.rapid.yaml`` beside a pipeline ``X.yaml``; a pipeline without one takes every exposure.

    Raises
    ------
    InputError
        If it is there and not valid.
    """
    if pipeline.name.endswith(".rapid.yaml"):
        raise InputError(
            f"{pipeline}: this holds facts for the executor; name the pipeline, "
            f"{pipeline.with_name(pipeline.name.removesuffix('.rapid.yaml') + '.yaml')}."
        )
    path = pipeline.with_name(f"{pipeline.stem}.rapid.yaml")
    rapid = parse(RapidFile, load_yaml(path), str(path)) if path.exists() else RapidFile()
    if not rapid.pipelines:
        rapid = rapid.model_copy(update={"pipelines": (PipelineChoice(pipeline=pipeline.name),)})
    for choice in rapid.pipelines:
        if not (pipeline.parent / choice.pipeline).exists():
            source = path if path.exists() else pipeline
            folder = pipeline.parent.resolve()
            raise InputError(f"{source}: there is no pipeline {choice.pipeline!r} in {folder}.")
    if pipeline.name not in {choice.pipeline for choice in rapid.pipelines}:
        others = ", ".join(choice.pipeline for choice in rapid.pipelines)
        raise InputError(f"{path}: its 'pipelines' are {others}; {pipeline.name} itself is not among them.")
    return rapid
