"""One run of the executor in a process of its own, and what each part of it took."""

from __future__ import annotations

__all__ = ("RunTimes", "Task", "measure_run")

import asyncio
import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import override

from .._startup import start_fork_server, uncollected
from ._archive import OUTPUT, run_folder
from ._peers._child import Child
from ._raws import INSTRUMENT, TinyRaw
from ._site import Repository, pipeline_file

with uncollected():
    from ..commit import Committed, Committer, RawItem, Registrar, RunItem, ShardItem
    from ..model import Arrival, Shard
    from ..plan import RecordStore, ShardInputs, instantiate, records_from_json
    from ..service import Executor, RunSettings
    from ..service._compiled import CompiledRun
    from ..service._wiring import own_records

_PRELOAD = ("lsst.ctrl.rapid.channels", "lsst.ctrl.rapid.engine")
_POLL = 0.002
_REGISTERED_TOGETHER = 64


@dataclass(frozen=True)
class Task:
    """What a run is to do.

    Attributes
    ----------
    repository
        Where.
    old
        Folder of raws that were processed before, which are in the watched folder at the start.
    since
        Observing day from which on the repository's raws are looked at; `None`: it is not watched.
    single
        Raws that are sent one by one, so that a worker is idle.
    exposures
        Exposures that are sent one after another, each at once, and processed.
    held
        Raws of an exposure that is processed, and registered when nothing else runs.
    detectors
        Those that are processed.
    workers
        Number of workers.
    """

    repository: Repository
    detectors: Sequence[int]
    workers: int
    old: Path | None = None
    since: int | None = None
    single: Sequence[TinyRaw] = ()
    exposures: Sequence[Sequence[TinyRaw]] = ()
    held: Sequence[TinyRaw] = ()


@dataclass
class RunTimes:
    """What the parts of a run took, seconds.

    Attributes
    ----------
    read
        From the start until the repository has been read.
    warm
        From the start until all workers can take work.
    caught_up
        From the start until all that was there before has been recognised.
    overhead
        Of each single raw, from its file's close to its task's start.
    processed
        From the first file's close to the last commit of ``exposures``.
    head_cpu
        CPU time of the head in that time.
    planned
        Of each held shard: the message to its worker made, and its quanta; CPU time, since nothing is waited
        for.
    registered
        Of each batch of held items, for each dataset.
    """

    read: float = 0.0
    warm: float = 0.0
    caught_up: float = 0.0
    overhead: list[float] = dataclasses.field(default_factory=list)
    processed: float = 0.0
    head_cpu: float = 0.0
    planned: list[float] = dataclasses.field(default_factory=list)
    registered: list[float] = dataclasses.field(default_factory=list)

    @property
    def overhead_p50(self) -> float:
        """Median of the overhead."""
        return statistics.median(self.overhead)

    @property
    def planned_p50(self) -> float:
        """Median of the planning."""
        return statistics.median(self.planned)

    @property
    def registered_p50(self) -> float:
        """Median of the cost of a dataset."""
        return statistics.median(self.registered)


def measure_run(task: Task) -> RunTimes:
    """Run the executor in a new process, whose imports are not counted.

    Raises
    ------
    RuntimeError
        If something was not done.
    """
    child = Child("an executor", _run, task)
    try:
        found: RunTimes = child.receive()
    finally:
        child.close()
    return found


class _Registrar(Registrar):
    """Registers, or keeps what it is given for later."""

    held: list[RunItem | RawItem | ShardItem] | None = None

    @override
    def commit(self, items: Sequence[RunItem | RawItem | ShardItem]) -> list[Committed]:
        if self.held is None:
            return super().commit(items)
        self.held += items
        return [Committed(item, time.time()) for item in items]


class _Measured(Executor):
    """The executor, which looks at the clock.

    Parameters
    ----------
    task
        What it is to do.
    settings
        The same for the executor.
    """

    def __init__(self, task: Task, settings: RunSettings) -> None:
        super().__init__(settings, self._send)
        self.times = RunTimes()
        self._task = task
        self._landing = settings.watch[0]
        self._clock = time.monotonic()
        self._heard = 0
        self._ended: dict[Shard, Committed] = {}
        self._registrar: _Registrar | None = None
        self.held: list[RunItem | RawItem | ShardItem] = []

    # What is noted on the way

    @override
    def _make_committer(self, compiled: CompiledRun) -> Committer:
        settings, records = self._settings, own_records(compiled)

        def make() -> Registrar:
            self._registrar = _Registrar(
                settings.repository,
                list(compiled.pipelines.values()),
                records,
                compiled.inputs,
                settings.output,
                compiled.rapid.publish,
            )
            self.times.read = self._since_start()
            return self._registrar

        def told(committed: Committed) -> None:
            self._loop.call_soon_threadsafe(self._committed, committed)

        return Committer(make, told, interval=settings.commit_interval, batch=settings.commit_batch)

    @override
    def _arrived(self, arrival: Arrival | object) -> None:
        self._heard += 1
        super()._arrived(arrival)  # type: ignore[arg-type]

    @override
    def _committed(self, committed: Committed) -> None:
        super()._committed(committed)
        if isinstance(committed.item, ShardItem):
            self._ended[committed.item.shard] = committed

    def _since_start(self) -> float:
        return time.monotonic() - self._clock

    # What is done

    async def _send(self) -> None:
        task, times = self._task, self.times
        times.warm = self._since_start()
        there = 0 if task.old is None else len(list(task.old.iterdir()))
        await self._until(lambda: self._heard >= there and self._sources.caught_up and self._is_quiet)
        times.caught_up = self._since_start()
        assert not self._ended, "What was done before is not done again."
        if task.single:
            await self._send_singly(task.single)
        if task.exposures:
            await self._send_at_once(task.exposures)
        if task.held:
            await self._hold(task.held)

    async def _send_singly(self, raws: Sequence[TinyRaw]) -> None:
        for raw in raws:
            raw.send(self._landing)
            # However slow the machine is now, the worker is idle when the next one comes.
            [committed] = await self._wait_for([raw])
            found = committed.item.outcome.times  # type: ignore[union-attr]  # it is a shard
            self.times.overhead.append((found.started or 0.0) - (found.file_closed or 0.0))

    async def _send_at_once(self, exposures: Sequence[Sequence[TinyRaw]]) -> None:
        raws = [raw for exposure in exposures for raw in exposure]
        started, cpu = time.monotonic(), time.process_time()
        for raw in raws:
            raw.send(self._landing)
        await self._wait_for(raws)
        self.times.processed = time.monotonic() - started
        self.times.head_cpu = time.process_time() - cpu

    async def _hold(self, raws: Sequence[TinyRaw]) -> None:
        assert self._registrar is not None, "It was made before the workers."
        self._registrar.held = self.held
        for raw in raws:
            raw.send(self._landing)
        shards = [committed.item.shard for committed in await self._wait_for(raws)]  # type: ignore[union-attr]
        await self._until(lambda: len(self.held) >= 2 * len(raws) and self._is_quiet)
        assert self._parts is not None, "It runs."
        records = own_records(self._parts.compiled)
        self.times.planned = [self._plan(shard, records) for shard in shards]

    def _plan(self, shard: Shard, records: RecordStore) -> float:
        """Make the message to a shard's worker, and its quanta as that does; returns how long it takes."""
        assert self._parts is not None, "It runs."
        compiled = self._parts.compiled
        pipeline = compiled.pipelines[shard.pipeline]
        started = time.thread_time()
        request = self._parts.requests.make(shard, compiled.expected[shard.instrument])
        added = records_from_json(request.dimension_records, records.universe)
        records.add(added)
        inputs = ShardInputs(request.refs(pipeline.dataset_types, records), detectors=request.detectors)
        instantiate(pipeline.graph, pipeline.step(shard.step), shard, request.run, inputs, records)
        records.discard(added)
        return time.thread_time() - started

    async def _wait_for(self, raws: Sequence[TinyRaw]) -> list[Committed]:
        """Wait until raws have been processed; returns how they ended."""
        wanted = {(raw.exposure, raw.detector) for raw in raws}

        def ended() -> dict[tuple[int, int | None], Committed]:
            return {(s.exposure, s.detector): one for s, one in list(self._ended.items())}

        await self._until(lambda: len(self._ended) >= len(wanted) and wanted <= ended().keys())
        found = [one for place, one in ended().items() if place in wanted]
        for one in found:
            outcome = one.item.outcome  # type: ignore[union-attr]  # they are shards
            if one.error or outcome.reason:
                raise RuntimeError(f"{one.item} is not done: {one.error or outcome.reason}")
        return found

    @property
    def _is_quiet(self) -> bool:
        parts = self._parts
        return (
            parts is not None
            and not self._arrivals.qsize()
            and not self._reading_one
            and parts.conductor.idle
            and not parts.outbox.pending
        )

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done():  # noqa: ASYNC110 -- nobody tells of everything that is waited for here
            await asyncio.sleep(_POLL)


def _run(connection: Connection, task: Task) -> None:
    start_fork_server(_PRELOAD)
    folder = run_folder(task.repository)
    landing = folder / "landing"
    landing.mkdir(parents=True)
    for raw in () if task.old is None else task.old.iterdir():
        (landing / raw.name).hardlink_to(raw)
    settings = RunSettings(
        repository=str(task.repository.root),
        pipeline=pipeline_file(),
        instruments=(INSTRUMENT,),
        output=OUTPUT,
        watch=(landing,),
        watch_butler=task.since is not None,
        since=task.since,
        workers=task.workers,
        detectors=tuple(task.detectors),
        work_dir=folder,
    )
    executor = _Measured(task, settings)
    asyncio.run(executor.run())
    if executor.held:
        _register(executor, settings)
    connection.send(executor.times)


def _register(executor: _Measured, settings: RunSettings) -> None:
    """Register what was held, in batches, and see how long it takes."""
    compiled = executor._parts.compiled  # type: ignore[union-attr]  # noqa: SLF001 -- it has run
    with Registrar(
        settings.repository,
        list(compiled.pipelines.values()),
        own_records(compiled),
        compiled.inputs,
        settings.output,
    ) as registrar:
        for first in range(0, len(executor.held), _REGISTERED_TOGETHER):
            started = time.perf_counter()
            committed = registrar.commit(executor.held[first : first + _REGISTERED_TOGETHER])
            took = time.perf_counter() - started
            executor.times.registered.append(took / sum(one.datasets for one in committed))
