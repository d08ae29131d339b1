"""Where a pipeline is read from, and what the command line changes in it."""

from __future__ import annotations

__all__ = (
    "ChosenPipelines",
    "ConfigOverride",
    "FieldOverride",
    "FileOverride",
    "PipelineSource",
    "parse_overrides",
    "read_choices",
)

import dataclasses
import logging
import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Self

from lsst.pipe.base import Pipeline
from lsst.resources import ResourcePath

from ..model import (
    MAX_FILE,
    InputError,
    LocalFolder,
    PipelineChoice,
    PipelineFolder,
    RapidFile,
    did_you_mean,
    read_rapid_file,
)

_LOG = logging.getLogger(__name__)

_LOCAL = frozenset({"", "file"})
_PARAMETERS = "parameters"
"""The label by which upstream sets parameters of a whole pipeline."""


@dataclasses.dataclass(frozen=True)
class FieldOverride:
    """A value for a field of a task's configuration, as of ``pipetask -c``.

    Attributes
    ----------
    label
        Label of the task, or ``parameters``.
    field
        Name of the field, or of the parameter.
    value
        The value, as it was written.
    """

    label: str
    field: str
    value: str

    @property
    def words(self) -> tuple[str, str]:
        """The option that asks ``pipetask`` for the same."""
        return "--config", f"{self.label}:{self.field}={self.value}"

    def apply(self, pipeline: Pipeline) -> None:
        """Change a pipeline."""
        pipeline.addConfigOverride(self.label, self.field, self.value)


@dataclasses.dataclass(frozen=True)
class FileOverride:
    """A file that changes a task's configuration, as of ``pipetask -C``.

    Attributes
    ----------
    label
        Label of the task.
    file
        The file, as it was written.
    """

    label: str
    file: str

    @property
    def words(self) -> tuple[str, str]:
        """The option that asks ``pipetask`` for the same, from any folder."""
        path = Path(os.path.expandvars(self.file))
        return "--config-file", f"{self.label}:{path.absolute() if path.exists() else self.file}"

    def apply(self, pipeline: Pipeline) -> None:
        """Change a pipeline."""
        pipeline.addConfigFile(self.label, self.file)


type ConfigOverride = FieldOverride | FileOverride


def parse_overrides(words: Iterable[tuple[str, str]]) -> tuple[ConfigOverride, ...]:
    """Return what ``--config`` and ``--config-file`` ask for, by upstream's own rules.

    Parameters
    ----------
    words
        Pairs of option and value, in the order of the command line.

    Raises
    ------
    InputError
        If a value is not of the form that its option needs.
    """
    return tuple(override for name, value in words for override in _parsed(name, value))


def _parsed(name: str, value: str) -> Iterable[ConfigOverride]:
    # All of pipetask is imported for these options alone.
    from click import ClickException

    from lsst.ctrl.mpexec.cli.utils import make_pipeline_actions
    from lsst.daf.butler.cli.utils import split_kv

    form = {"--config": "-c/--config LABEL:FIELD=VALUE", "--config-file": "-C/--config-file LABEL:FILE"}
    try:
        actions = make_pipeline_actions([name, value])
        if name == "--config":
            split_kv(None, None, [value], multiple=False)  # type: ignore[arg-type]  # it uses the third alone
    except (TypeError, ClickException):
        raise InputError(f"{value!r} is not of the form {form[name]}.") from None
    for action in actions:
        if action.action == "config":
            field, _, text = action.value.partition("=")
            yield FieldOverride(action.label, field, text)
        else:
            yield FileOverride(action.label, action.value)


@dataclasses.dataclass(frozen=True)
class PipelineSource:
    """A pipeline's YAML file, or some of its tasks.

    Attributes
    ----------
    location
        The file's path, or its URI if it is not a local file.
    labels
        Labels of the tasks, subsets and steps that are taken, as upstream's ``file.yaml#a,b``; all if empty.
    overrides
        What is changed in the tasks' configurations, in this order.
    """

    location: Path | str
    labels: tuple[str, ...] = ()
    overrides: tuple[ConfigOverride, ...] = ()

    @classmethod
    def parse(cls, text: str, overrides: tuple[ConfigOverride, ...] = ()) -> Self:
        """Take a file name or URI apart, with its labels where it has them.

        Variables and ``~`` in the name of a local file are expanded, as upstream does.

        Raises
        ------
        InputError
            If it is neither.
        """
        name, _, labels = text.partition("#")
        taken = tuple(label.strip() for label in labels.split(",") if label.strip())
        try:
            resource = ResourcePath(name, forceAbsolute=False, forceDirectory=False)
            local = resource.scheme in _LOCAL
            return cls(Path(resource.ospath) if local else str(resource), taken, overrides)
        except Exception as err:  # noqa: BLE001 -- each kind of URI has errors of its own
            raise InputError(f"{name!r} is neither the name of a file nor a URI: {err}") from None

    @property
    def name(self) -> str:
        """The file's name without its suffix, which becomes part of the names of RUNs."""
        return (
            PurePosixPath(self._resource.path).stem if isinstance(self.location, str) else self.location.stem
        )

    @property
    def file_name(self) -> str:
        """The file's name."""
        return (
            PurePosixPath(self._resource.path).name if isinstance(self.location, str) else self.location.name
        )

    @property
    def uri(self) -> str:
        """What upstream's commands take."""
        return f"{self.location}#{','.join(self.labels)}" if self.labels else str(self.location)

    @property
    def words(self) -> Sequence[str]:
        """Options by which ``pipetask`` takes the same from any folder."""
        location = self.location if isinstance(self.location, str) else self.location.resolve()
        whole = dataclasses.replace(self, location=location)
        return ["-p", whole.uri, *(word for override in self.overrides for word in override.words)]

    @property
    def folder(self) -> PipelineFolder:
        """Where the pipeline's other files are."""
        if isinstance(self.location, str):
            return _UriFolder(self._resource.dirname())
        return LocalFolder(self.location.parent)

    def beside(self, name: str) -> Self:
        """Return another pipeline of the same folder, with the same labels and overrides."""
        if isinstance(self.location, str):
            return dataclasses.replace(self, location=str(self._resource.dirname().join(name)))
        return dataclasses.replace(self, location=self.location.parent / name)

    def part(self, labels: Iterable[str], tasks: Iterable[str]) -> Self:
        """Return a part of the pipeline.

        Parameters
        ----------
        labels
            Labels of the tasks, subsets and steps that are taken.
        tasks
            Labels of the tasks in them; overrides of others are left out.
        """
        known = {_PARAMETERS, *tasks}
        overrides = tuple(override for override in self.overrides if override.label in known)
        return dataclasses.replace(self, labels=tuple(labels), overrides=overrides)

    def read(self) -> Pipeline:
        """Read the YAML, without importing any task; overrides are applied.

        Raises
        ------
        InputError
            If it cannot be read.
        """
        if isinstance(self.location, Path) and not self.location.is_file():
            raise InputError(f"{self.location}: there is no such pipeline.")
        try:
            # Upstream takes the colon of a host's port in a text for its old separator of labels.
            pipeline = Pipeline.from_uri(self._resource.replace(fragment=",".join(self.labels)))
            for override in self.overrides:
                override.apply(pipeline)
        except Exception as err:
            raise InputError(f"{self}: the pipeline cannot be loaded: {type(err).__name__}: {err}") from err
        return pipeline

    @property
    def _resource(self) -> ResourcePath:
        return ResourcePath(self.location, forceAbsolute=False, forceDirectory=False)

    def __str__(self) -> str:
        return self.uri


class _UriFolder:
    """A folder that is not on a local file system."""

    def __init__(self, folder: ResourcePath) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def path(self, name: str) -> str:
        return str(self._folder.join(name))

    def has(self, name: str) -> bool:
        return self._asked(name, lambda resource: resource.exists())

    def read(self, name: str) -> bytes:
        return self._asked(name, lambda resource: resource.read(MAX_FILE + 1))

    def _asked[T](self, name: str, ask: Callable[[ResourcePath], T]) -> T:
        try:
            return ask(self._folder.join(name, forceDirectory=False))
        except Exception as err:  # noqa: BLE001 -- each kind of URI has errors of its own
            raise InputError(f"{self.path(name)}: cannot be read: {type(err).__name__}: {err}") from None


@dataclasses.dataclass(frozen=True)
class ChosenPipelines:
    """A pipeline and its companions.

    Attributes
    ----------
    facts
        Facts of the pipeline, with the expressions that choose among them.
    sources
        Where each of ``facts.pipelines`` is read from, with the overrides that are for it.
    facts_file
        Where the facts are, or would be.
    has_facts
        Whether there is such a file.
    """

    facts: RapidFile
    sources: Sequence[PipelineSource]
    facts_file: str
    has_facts: bool

    @property
    def pairs(self) -> Sequence[tuple[PipelineChoice, PipelineSource]]:
        """Each choice with its pipeline."""
        return list(zip(self.facts.pipelines, self.sources, strict=True))


def read_choices(source: PipelineSource) -> ChosenPipelines:
    """Read which pipelines a pipeline and the file ``X.rapid.yaml`` beside it name.

    Each override reaches every pipeline that has a task of its label.

    Raises
    ------
    InputError
        If one cannot be read, or an override is for a label that none of them has.
    """
    folder = source.folder
    facts = read_rapid_file(source.file_name, folder)
    facts_name = f"{source.name}.rapid.yaml"
    sources = [source.beside(choice.pipeline) for choice in facts.pipelines]
    if source.overrides:
        labels = {one: _labels(one) for one in sources}
        _check_labels(source, labels)
        sources = [
            dataclasses.replace(one, overrides=tuple(o for o in source.overrides if o.label in labels[one]))
            for one in sources
        ]
    return ChosenPipelines(facts, tuple(sources), folder.path(facts_name), folder.has(facts_name))


def _labels(source: PipelineSource) -> frozenset[str]:
    """Return the labels that an override of a pipeline may have."""
    return frozenset(dataclasses.replace(source, overrides=()).read().task_labels) | {_PARAMETERS}


def _check_labels(source: PipelineSource, labels: Mapping[PipelineSource, frozenset[str]]) -> None:
    """Refuse overrides of tasks that no pipeline has; say which pipelines have the task of an override."""
    for override in source.overrides:
        having = [one.name for one, known in labels.items() if override.label in known]
        told = shlex.join(override.words)
        if not having:
            known = frozenset().union(*labels.values()) - {_PARAMETERS}
            names = ", ".join(one.name for one in labels)
            nearest = did_you_mean(override.label, known)
            raise InputError(f"{told}: no task of {names} is labelled {override.label!r}{nearest}")
        if len(having) < len(labels):
            others = ", ".join(one.name for one in labels if one.name not in having)
            _LOG.info("%s is for %s; %s have no such task.", told, ", ".join(having), others)
