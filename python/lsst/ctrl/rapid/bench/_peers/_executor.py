"""The executor of this package, in a process of its own."""

from __future__ import annotations

__all__ = ("ExecutorPeer", "Processed")

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import override

from ..._startup import start_fork_server, uncollected
from .._cpu import cpu_seconds
from .._raws import INSTRUMENT, TinyRaw, science_detectors
from .._site import Repository, pipeline_file
from ._child import Child

with uncollected():
    from ...commit import Committed, ShardItem
    from ...model import Outcome, Times
    from ...service import Executor, RunSettings

_PRELOAD = (f"{__package__}._forked",)


@dataclass(frozen=True)
class Processed:
    """What the executor says of an exposure.

    Attributes
    ----------
    run
        The RUN that has the outputs.
    overheads_ms
        Of each shard, from file closed to task start, less the time without a free worker; as the report has
        it.
    times
        Of each shard.
    failed
        What failed, and why; ``""`` if all is done.
    """

    run: str
    overheads_ms: tuple[float, ...]
    times: tuple[Times, ...] = ()
    failed: str = ""


class ExecutorPeer:
    """The peer (e): it watches a folder, into which the raws are renamed by whoever measures.

    Parameters
    ----------
    repository
        Its own.
    workers
        How many worker processes.
    pipeline, labels
        What is run; the two tiny tasks if it is not said.
    detectors
        Those that are processed; all for science if it is not said.
    """

    name = "(e) rapid-exec"

    def __init__(
        self,
        repository: Repository,
        workers: int,
        *,
        pipeline: Path | None = None,
        labels: Sequence[str] = (),
        detectors: Sequence[int] = (),
    ) -> None:
        self.repository = repository
        self._landing, self._staging = (
            repository.root.parent / f"{repository.name}-{folder}" for folder in ("landing", "staging")
        )
        self._landing.mkdir()
        settings = RunSettings(
            repository=str(repository.root),
            pipeline=pipeline or pipeline_file(),
            labels=tuple(labels),
            instruments=(INSTRUMENT,),
            output="bench/executor",
            watch=(self._landing,),
            workers=workers,
            detectors=tuple(detectors) or science_detectors(),
            work_dir=repository.root.parent / f"{repository.name}-work",
        )
        settings.work_dir.mkdir()
        self._child = Child(self.name, _run, settings)

    def start(self) -> None:
        """Wait until all workers are warm."""
        self._child.receive()

    def prepare(self, raws: Sequence[TinyRaw]) -> Sequence[TinyRaw]:
        """Put the files beside the folder that is watched."""
        return [raw.link(self._staging) for raw in raws]

    def process(self, raws: Sequence[TinyRaw]) -> str:
        """Rename the raws into the folder, and wait until it says that all is registered."""
        return self.observe(raws).run

    def observe(self, raws: Sequence[TinyRaw], pause: float = 0.0) -> Processed:
        """As `process`, with what the executor says of the shards.

        Parameters
        ----------
        raws
            Of one exposure.
        pause
            Seconds between two files.

        Raises
        ------
        RuntimeError
            If a shard failed.
        """
        self._child.send((raws[0].exposure, len(raws)))
        for raw in raws:
            raw.send(self._landing)
            if pause:
                time.sleep(pause)
        processed: Processed = self._child.receive()
        if processed.failed:
            raise RuntimeError(f"{self.name}: {processed.failed}")
        return processed

    def cpu(self) -> float:
        """Return the CPU seconds of its processes until now."""
        return cpu_seconds([self._child.pid])

    def close(self) -> None:
        """End its processes."""
        self._child.close()


class _Told(Executor):
    """The executor, which also says when all shards of an exposure are registered.

    Parameters
    ----------
    settings
        What it is told.
    connection
        Over which it says so.
    """

    def __init__(self, settings: RunSettings, connection: Connection) -> None:
        super().__init__(settings, self._feed_from_parent)
        self._connection = connection
        self._ended: defaultdict[int, list[Committed]] = defaultdict(list)
        self._wanted: dict[int, int] = {}

    async def _feed_from_parent(self) -> None:
        self._connection.send("ready")
        while (wanted := await asyncio.to_thread(self._next)) is not None:
            exposure, count = wanted
            self._wanted[exposure] = count
            self._tell(exposure)

    def _next(self) -> tuple[int, int] | None:
        try:
            message: tuple[int, int] | None = self._connection.recv()
        except EOFError:
            return None
        return message

    @override
    def _committed(self, committed: Committed) -> None:
        super()._committed(committed)
        if isinstance(committed.item, ShardItem):
            exposure = committed.item.shard.exposure
            self._ended[exposure].append(committed)
            self._tell(exposure)

    def _tell(self, exposure: int) -> None:
        """Say that an exposure is registered, if it is."""
        if len(self._ended[exposure]) != self._wanted.get(exposure):
            return
        assert self._parts is not None, "Shards end after the parts are made."
        run, overheads, times, failed = "", [], [], ""
        for committed in self._ended.pop(exposure):
            assert isinstance(committed.item, ShardItem), "No others are kept."
            outcome, run = committed.item.outcome, committed.item.run.run
            times.append(outcome.times.model_copy(update={"committed": committed.time}))
            if committed.error or outcome.outcome is not Outcome.DONE:
                failed = f"{committed.item.shard} is not done: {committed.error or outcome.reason}"
            if (overhead := self._parts.record.shard(committed.item.shard).overhead) is not None:
                overheads.append(overhead.overhead_ms)
        self._connection.send(Processed(run, tuple(overheads), tuple(times), failed))


def _run(connection: Connection, settings: RunSettings) -> None:
    """Run the executor; workers are forked from a process that has imported what they need."""
    start_fork_server(_PRELOAD)
    asyncio.run(_Told(settings, connection).run())
