"""Scratch datasets: read by later steps, never registered, deleted when nothing reads them any more."""

from __future__ import annotations

__all__ = ("Scratch", "ScratchRecord", "Told", "scratch_types")

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor

from ..datastore import ScratchFolder
from ..engine import ShardResponse
from ..model import InputError, Model, RapidFile, Shard, did_you_mean
from ..plan import (
    CompiledPipeline,
    DatasetMessage,
    InputKind,
    Planner,
    RecordsMessage,
    records_from_message,
    split_records,
)
from ._inputs import merge_records

_LOG = logging.getLogger(__name__)


class ScratchRecord(Model):
    """Scratch datasets and where their files are, as a shard's outcome has them for a restart."""

    outputs: tuple[DatasetMessage, ...] = ()
    datastore_records: RecordsMessage


@dataclasses.dataclass(frozen=True)
class Told:
    """What a shard made, scratch apart.

    Attributes
    ----------
    outputs, datastore_records
        What is to be registered.
    scratch
        A `ScratchRecord` as JSON of what later steps read and nobody registers; ``""`` if there is nothing.
    """

    outputs: tuple[DatasetMessage, ...] = ()
    datastore_records: RecordsMessage = dataclasses.field(default_factory=dict)
    scratch: str = ""


class Scratch:
    """Knows the scratch files of each exposure and group, and deletes them.

    Parameters
    ----------
    names
        The scratch dataset types.
    pipelines
        The pipelines of the run: what no later step of one reads is deleted as soon as its shard ended.
    folder
        Where the files are.

    Notes
    -----
    Methods are called in the event loop and return at once; files are deleted in a thread.  A file that
    cannot be deleted is told in the log, and stays until the next start.
    """

    def __init__(self, names: Set[str], pipelines: Iterable[CompiledPipeline], folder: ScratchFolder) -> None:
        self._names = names
        self._later = {
            pipeline.name: {name for step in pipeline.steps for name in step.reads(InputKind.EARLIER_STEP)}
            for pipeline in pipelines
        }
        self._folder = folder
        self._files: defaultdict[tuple[str, int | str], list[RecordsMessage]] = defaultdict(list)
        self._thread = ThreadPoolExecutor(1, "scratch")

    def take(self, shard: Shard, response: ShardResponse | None) -> Told:
        """Note what a shard that ended left, and return what of it is to be registered."""
        if response is None:
            return Told()
        ours = [output for output in response.outputs if output.dataset_type in self._names]
        if not ours:
            return Told(response.outputs, response.datastore_records)
        split = split_records(response.datastore_records)
        later = self._later[shard.pipeline]
        left = [output for output in ours if output.dataset_type in later]
        self._delete(split.get(output.id, {}) for output in ours if output.dataset_type not in later)
        record = ScratchRecord(
            outputs=tuple(left),
            datastore_records=merge_records(split.get(output.id, {}) for output in left),
        )
        self.adopt(shard, record.outputs, record.datastore_records)
        rest = tuple(output for output in response.outputs if output.dataset_type not in self._names)
        return Told(
            rest,
            merge_records(split.get(output.id, {}) for output in rest),
            record.model_dump_json() if left else "",
        )

    def adopt(self, shard: Shard, outputs: Iterable[DatasetMessage], records: RecordsMessage) -> None:
        """Note what a shard of an earlier run left, as far as it is scratch."""
        if any(output.dataset_type in self._names for output in outputs):
            self._files[shard.instrument, shard.group or shard.exposure].append(records)

    def discard(self, response: ShardResponse) -> None:
        """Delete the scratch files of a shard that yielded and is not gone on with."""
        split = split_records(response.datastore_records)
        self._delete(split.get(o.id, {}) for o in response.outputs if o.dataset_type in self._names)

    def release(self, instrument: str, of: int | str) -> bool:
        """Delete what was left of an exposure, by its number, or of a group, by its name.

        Nothing reads it any more, and whoever has read it is registered: after a restart it would be missed.

        Returns
        -------
        released
            Whether there was something.
        """
        files = self._files.pop((instrument, of), ())
        self._delete(files)
        return bool(files)

    def close(self) -> None:
        """Wait until what was released is deleted; what was not stays for the next start."""
        self._thread.shutdown()

    def _delete(self, messages: Iterable[RecordsMessage]) -> None:
        if merged := merge_records(messages):
            self._thread.submit(self._remove, merged)

    def _remove(self, message: RecordsMessage) -> None:
        try:
            self._folder.remove(records_from_message(message))
        except Exception:  # noqa: BLE001 -- whatever it is, it must not end the thread
            _LOG.exception("Scratch files could not be deleted; the next start tries again.")


def scratch_types(
    rapid: RapidFile, pipelines: Sequence[CompiledPipeline], source: str, *, whole: bool
) -> frozenset[str]:
    """Return the dataset types that are scratch in this run.

    Parameters
    ----------
    rapid
        Facts of the pipeline.
    pipelines
        The pipeline and its companions, compiled.
    source
        Where the types are named, for messages.
    whole
        Whether they are run as they are written: all tasks, no configuration changed.  Otherwise a type that
        has lost its reader is no scratch.

    Raises
    ------
    InputError
        If a type is not one that can be scratch; the message names the nearest that is made.
    """
    made = {pipeline.name: _made(pipeline) for pipeline in pipelines}
    found: set[str] = set()
    for name in rapid.scratch:
        if name in rapid.publish:
            raise InputError(
                f"{source}: {name!r} is under 'publish' and under 'scratch'; it can be only one."
            )
        makers = [pipeline for pipeline in pipelines if name in made[pipeline.name]]
        faults = [fault for pipeline in makers if (fault := _fault(pipeline, name))]
        if not makers:
            hint = did_you_mean(name, set().union(*made.values()))
            faults = [f"no task of {', '.join(p.name for p in pipelines)} makes it{hint}"]
        if not faults:
            found.add(name)
        elif whole:
            raise InputError(f"{source}: {name!r} cannot be scratch: {faults[0]}")
    return frozenset(found)


def _made(pipeline: CompiledPipeline) -> set[str]:
    """Return the names of what a pipeline's tasks make, logs and metadata aside: upstream needs those."""
    tasks = pipeline.graph.tasks.values()
    return {edge.parent_dataset_type_name for node in tasks for edge in node.outputs.values()}


def _fault(pipeline: CompiledPipeline, name: str) -> str:
    """Return why a type that a pipeline makes cannot be scratch there, or nothing."""
    tasks = pipeline.graph.tasks.values()
    if not any(edge.parent_dataset_type_name == name for node in tasks for edge in node.inputs.values()):
        return f"no task of {pipeline.name} reads it, so nobody would ever see it."
    for step in pipeline.steps:
        if step.planner is Planner.BUILDER and step.inputs.get(name) is InputKind.EARLIER_STEP:
            return f"step {step.label!r} of {pipeline.name} is planned from what is registered, and reads it."
    return ""
