"""An executor that looks at the clock and does what it is asked for over a pipe."""

from __future__ import annotations

__all__ = ("FINISH", "Processed", "Start", "Task", "run_measured")

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, override

from .._startup import start_fork_server, uncollected
from ._archive import OUTPUT, run_folder
from ._raws import INSTRUMENT, TinyRaw
from ._site import Repository, pipeline_file

with uncollected():
    from ..commit import Committed, Committer, Item, Registrar, ShardItem
    from ..model import Arrival, Shard
    from ..plan import RecordStore, ShardInputs, instantiate, records_from_json
    from ..service import Executor, RunSettings
    from ..service._compiled import CompiledRun
    from ..service._wiring import own_records

_PRELOAD = ("lsst.ctrl.rapid.channels", "lsst.ctrl.rapid.engine")
_POLL = 0.002
_REGISTERED_TOGETHER = 32
FINISH = "finish"
"""The call that ends the executor; after it there is only ``register``."""


@dataclass(frozen=True)
class Task:
    """In what an executor runs.

    Attributes
    ----------
    repository
        Where.
    detectors
        Those that are processed.
    workers
        Number of workers.
    old
        Folder of raws that were processed before, which are in the watched folder at the start.
    since
        Observing day from which on the repository's raws are looked at; `None`: it is not watched.
    """

    repository: Repository
    detectors: Sequence[int]
    workers: int
    old: Path | None = None
    since: int | None = None


@dataclass
class Start:
    """What the parts of a start took, seconds since its beginning, imports done before.

    Attributes
    ----------
    read
        Until the repository had been read and the writer was connected.
    warm
        Until all workers could take work.
    caught_up
        Until all that was there before had been recognised.
    """

    read: float = 0.0
    warm: float = 0.0
    caught_up: float = 0.0


@dataclass(frozen=True)
class Processed:
    """What exposures took.

    Attributes
    ----------
    seconds
        From the first file's close to the last commit.
    head_cpu
        CPU time of the head in that time, seconds.
    """

    seconds: float
    head_cpu: float


class _Registrar(Registrar):
    """Registers, or keeps what it is given for later."""

    held: list[Item] | None = None

    @override
    def commit(self, items: Sequence[Item]) -> list[Committed]:
        if self.held is None:
            return super().commit(items)
        self.held += items
        return [Committed(item, time.time()) for item in items]


class _Measured(Executor):
    """The executor, which looks at the clock and does what it is asked for.

    Parameters
    ----------
    task
        In what it runs.
    settings
        The same for the executor.
    connection
        To whoever asks.
    """

    def __init__(self, task: Task, settings: RunSettings, connection: Connection) -> None:
        super().__init__(settings, self._obey)
        self.held: list[Item] = []
        self.finished = False
        self._task = task
        self._connection = connection
        self._landing = settings.watch[0]
        self._clock = time.monotonic()
        self._start = Start()
        self._heard = 0
        self._ended: dict[tuple[int, int | None], Committed] = {}
        self._held_shards: list[Shard] = []
        self._registrar: _Registrar | None = None

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
            self._start.read = self._since_start()
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
            shard = committed.item.shard
            self._ended[shard.exposure, shard.detector] = committed

    def _since_start(self) -> float:
        return time.monotonic() - self._clock

    # What is asked for

    async def _obey(self) -> None:
        """Tell of the start, then answer one call after another, until there is none or all is processed."""
        task = self._task
        self._start.warm = self._since_start()
        there = 0 if task.old is None else len(list(task.old.iterdir()))
        await self._until(lambda: self._heard >= there and self._sources.caught_up and self._is_quiet)
        self._start.caught_up = self._since_start()
        assert not self._ended, "What was done before is not done again."
        answer: Any = self._start
        asked: Mapping[str, Callable[..., Awaitable[Any]]] = {
            "overhead": self._overhead,
            "process": self._process,
            "hold": self._hold,
            "plan": self._plan,
        }
        while True:
            self._connection.send(answer)
            call = await asyncio.to_thread(_next_call, self._connection)
            if call is None:
                return
            method, arguments = call
            if method == FINISH:
                self.finished = True
                return
            answer = await asked[method](*arguments)

    async def _overhead(self, raw: TinyRaw) -> float:
        raw.send(self._landing)
        # However slow the machine is now, the worker is idle when the next one comes.
        [committed] = await self._wait_for([raw])
        found = committed.item.outcome.times  # type: ignore[union-attr]  # it is a shard
        await self._until(lambda: self._is_quiet)
        return (found.started or 0.0) - (found.file_closed or 0.0)

    async def _process(self, exposures: Sequence[Sequence[TinyRaw]]) -> Processed:
        raws = [raw for exposure in exposures for raw in exposure]
        started, cpu = time.monotonic(), time.process_time()
        for raw in raws:
            raw.send(self._landing)
        await self._wait_for(raws)
        return Processed(time.monotonic() - started, time.process_time() - cpu)

    async def _hold(self, raws: Sequence[TinyRaw]) -> int:
        assert self._registrar is not None, "It was made before the workers."
        self._registrar.held = self.held
        for raw in raws:
            raw.send(self._landing)
        found = await self._wait_for(raws)
        self._held_shards = [committed.item.shard for committed in found]  # type: ignore[union-attr]
        await self._until(lambda: len(self.held) >= 2 * len(raws) and self._is_quiet)
        return -(-len(self.held) // _REGISTERED_TOGETHER)

    async def _plan(self, number: int) -> float:
        assert self._parts is not None, "It runs."
        shard, compiled = self._held_shards[number], self._parts.compiled
        records: RecordStore = own_records(compiled)
        pipeline = compiled.pipelines[shard.pipeline]
        started = time.thread_time()
        request = self._parts.requests.make(shard)
        added = records_from_json(request.dimension_records, records.universe)
        records.add(added)
        inputs = ShardInputs(request.refs(pipeline.dataset_types, records), detectors=request.detectors)
        instantiate(pipeline.graph, pipeline.step(shard.step), shard, request.run, inputs, records)
        records.discard(added)
        return time.thread_time() - started

    async def _wait_for(self, raws: Sequence[TinyRaw]) -> list[Committed]:
        """Wait until raws have been processed; returns how they ended."""
        wanted = [(raw.exposure, raw.detector) for raw in raws]
        await self._until(lambda: all(place in self._ended for place in wanted))
        found = [self._ended[place] for place in wanted]
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


def _next_call(connection: Connection) -> tuple[str, tuple[Any, ...]] | None:
    try:
        call: tuple[str, tuple[Any, ...]] | None = connection.recv()
    except EOFError:
        return None
    return call


def run_measured(connection: Connection, task: Task) -> None:
    """Run an executor until nothing more is asked of it.

    Parameters
    ----------
    connection
        To whoever asks: first a `Start` is sent, then an answer to each call, a method's name and its
        arguments, as `ExecutorRun` makes them.
    task
        In what it runs.
    """
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
    executor = _Measured(task, settings, connection)
    asyncio.run(executor.run())
    if executor.finished:
        _register(executor, settings, connection)


def _register(executor: _Measured, settings: RunSettings, connection: Connection) -> None:
    """Register what was held, a batch a call."""
    compiled = executor._parts.compiled  # type: ignore[union-attr]  # noqa: SLF001 -- it has run
    with Registrar(
        settings.repository,
        list(compiled.pipelines.values()),
        own_records(compiled),
        compiled.inputs,
        settings.output,
    ) as registrar:
        connection.send("finished")
        while (call := _next_call(connection)) is not None:
            _, (number,) = call
            first = number * _REGISTERED_TOGETHER
            started = time.perf_counter()
            committed = registrar.commit(executor.held[first : first + _REGISTERED_TOGETHER])
            took = time.perf_counter() - started
            connection.send(took / sum(one.datasets for one in committed))
