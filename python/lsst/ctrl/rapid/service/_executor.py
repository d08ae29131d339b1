"""The executor: wires arrival, ingest, conductor, engine, commit and publish, and owns start and stop."""

from __future__ import annotations

__all__ = ("Executor",)

import asyncio
import contextlib
import dataclasses
import logging
import sys
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .._startup import seldom_collected
from ..arrival import FoundRaws
from ..commit import Committed, Committer, OutputTakenError, RegistryState, take_output
from ..control import LiveSettings
from ..engine import WorkerPool
from ..ingest import RegisteredRaw
from ..model import Arrival, InputError, Report, Shard
from ..monitor import write_report
from ..plan import is_away
from ._beginning import Before, Callbacks, read_before
from ._calls import ShardCalls
from ._clock import ClockWatch
from ._compiled import CompiledRun, compile_run
from ._control import ExecutorControl, taking_orders
from ._crew import Crew
from ._feeding import Feeder, Feeding
from ._flow import PUBLISH, ShardFlow
from ._giving_up import give_up
from ._intake import Intake
from ._keeping import Keeping, keep_output, make_committer
from ._parts import Parts
from ._planning import HeadPlanner
from ._recalibrating import Recalibrating
from ._settings import RunSettings
from ._status import Status
from ._wiring import make_ingestor, make_parts, worker_setup

_LOG = logging.getLogger(__name__)

_TICK_SECONDS = 0.25
_SWITCH_SECONDS = 0.0005
"""How long a thread may hold the interpreter: the committer must not delay what leads to a dispatch."""


_WARMING = "warming the workers"
_FEED = "feed"
_CATCH_UP = "catch-up"
"""Names of the tasks that bring raws; a run that is drained ends them."""


class Executor:
    """One run of the executor.

    Parameters
    ----------
    settings
        What it is told.
    feeder
        What sends exposures into a watched folder; the run ends when all that it sent has ended.

    Notes
    -----
    Every raw that is read is handed to the committer before it is worked on; every shard ends once, in
    the report and in the repository.  What the report calls done is registered.

    Attributes
    ----------
    given_up
        The shards that still ran when the run's time to stop was over.  They have no outcome: the next start
        takes them up.
    """

    def __init__(self, settings: RunSettings, feeder: Feeder | None = None) -> None:
        self._settings = settings
        self._feeder = feeder
        self._started = time.time()
        self._phase = "starting"
        self._arrivals: asyncio.Queue[Arrival | RegisteredRaw] = asyncio.Queue()
        self._reading_one = False
        self._feeding = Feeding(self._arrivals)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self.given_up: tuple[Shard, ...] = ()
        self._following: LiveSettings | None = None
        self._crew = Crew(settings.workers)
        self._finished = asyncio.Event()
        self._control = ExecutorControl(settings, self, self._apply)
        self._broken: BaseException | None = None
        self._parts: Parts | None = None
        self._pool: WorkerPool | None = None
        self._recalibrating: Recalibrating | None = None

    async def run(self) -> Report:
        """Run until everything that was sent has ended, or until `stop`.

        Raises
        ------
        InputError
            If the settings, the pipeline or the repository are not as they must be.
        RuntimeError
            If no worker can be warmed, or what sends exposures ended with an error.
        """
        self._loop = asyncio.get_running_loop()
        sys.setswitchinterval(_SWITCH_SECONDS)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(taking_orders(self._settings, self._control))
            registry = stack.enter_context(ThreadPoolExecutor(1, "registry"))
            reading = stack.enter_context(ThreadPoolExecutor(1, "ingest"))
            self._registry = registry
            self._phase = "reading the repository"
            compiled = await self._loop.run_in_executor(registry, compile_run, self._settings)
            self._lock = await self._loop.run_in_executor(
                registry, take_output, compiled.butler, self._settings.repository, self._settings.output
            )
            stack.callback(self._lock.close)
            self._recalibrating = Recalibrating(compiled, registry, self._settings.calibration_ttl)
            pool, opened = self._open_pool(compiled, stack)
            committer = self._make_committer(compiled)
            await self._start_committer(committer)
            callbacks = Callbacks(self._arrived, self._unreadable, self._feeding.has_room)
            before = await self._loop.run_in_executor(
                registry, read_before, self._settings, compiled, callbacks
            )
            parts = self._wire(compiled, committer, before, pool, reading)
            stack.callback(parts.scratch.close)
            stack.callback(self._intake.close)
            self._phase = self._phase if self._stopping else _WARMING
            await opened
            await pool.warm()
            await self._prepared
            stack.enter_context(seldom_collected())
            # Not before: Dask's start changes sys.path, and a RUN lists the packages that are found along it.
            self._keeping.look(time.time())
            self._intake.days.resume(before.days)
            await asyncio.to_thread(before.sources.start)
            self._go_on(parts, before)
            self._control.begin(parts, self._flow)
            await self._finished.wait()
            await self._end(parts, committer)
        if self._broken is not None:
            raise self._broken
        return self._report(parts)

    def _open_pool(
        self, compiled: CompiledRun, stack: contextlib.AsyncExitStack
    ) -> tuple[WorkerPool, asyncio.Task[None]]:
        """Begin to start the workers, which takes a while; returns what is done when they have been."""
        settings = self._settings
        pool = self._pool = WorkerPool(
            worker_setup(settings, compiled),
            settings.workers,
            self._worker_ready,
            self._worker_lost,
            self._worker_failed,
            network=settings.network,
            memory=None if settings.worker_memory_mb is None else 1e6 * settings.worker_memory_mb,
        )
        task = asyncio.current_task()
        assert task is not None, "This is called by a coroutine."
        # In this task's context, which Dask's client changes and, when it is closed here, restores.
        opened = asyncio.create_task(pool.open(), context=task.get_context())
        stack.push_async_callback(pool.close)
        stack.push_async_callback(asyncio.wait, [opened])
        return pool, opened

    def _wire(
        self,
        compiled: CompiledRun,
        committer: Committer,
        before: Before,
        pool: WorkerPool,
        reading: ThreadPoolExecutor,
    ) -> Parts:
        """Make the parts of the run, and have each know those that it needs."""
        self._sources = before.sources
        planner = HeadPlanner(compiled, self._registry)
        parts = self._parts = make_parts(
            self._settings, compiled, committer, before.ended, planner, self._started
        )
        if self._stopping:
            parts.conductor.drain()
        self._flow = ShardFlow(parts, ShardCalls(parts, pool), self._spawn)
        self._keeping = Keeping(parts, committer)
        self._flow.publish_drained(committer.drained)
        ingestor = make_ingestor(self._settings, compiled)
        # In the thread that reads, before anything that arrives.
        self._prepared = self._loop.run_in_executor(reading, ingestor.prepare)
        self._intake = Intake(
            parts,
            self._flow,
            ingestor,
            reading,
            self._registry,
            self._arrivals.put_nowait,
        )
        return parts

    def _go_on(self, parts: Parts, before: Before) -> None:
        """Begin what goes on until the run ends."""
        assert self._recalibrating is not None, "It was made before the parts."
        self._spawn(self._read_arrivals())
        self._spawn(self._tick())
        self._spawn(self._recalibrating.go_on())
        self._spawn(keep_output(self._lock, self._broke))
        self._spawn(parts.refusals.look_after())
        self._spawn(parts.storage.look_after(self._flow.act))
        if self._feeder is not None:
            self._spawn(self._feeding.feed(self._feeder, self._crew.settled, before.sources), _FEED)
        if before.selection is not None:
            self._spawn(self._feeding.feed_selection(before.selection, parts, self._registry), _FEED)

    async def _end(self, parts: Parts, committer: Committer) -> None:
        """Have what is done registered and published."""
        self._phase = "committing"
        await asyncio.to_thread(self._sources.stop)
        await asyncio.to_thread(committer.close)
        parts.record.unregistered = committer.left[1]
        await asyncio.to_thread(parts.refusals.close)
        await asyncio.sleep(0)  # let what the committer said last be taken in
        await asyncio.gather(*(task for task in self._tasks if task.get_name() == PUBLISH))
        for task in self._tasks:
            task.cancel()

    def stop(self) -> None:
        """Finish what runs within the limit, commit, and end the run; what waits stays unprocessed."""
        _LOG.warning(
            "Stopping: what runs has %g s to end in, and is committed; a second signal ends it now.",
            self._settings.drain_limit,
        )
        self._following = None
        self._finish("stopping")
        self._spawn(self._limit_drain())

    async def _limit_drain(self) -> None:
        """Give up what still runs when the limit is over."""
        await asyncio.sleep(self._settings.drain_limit)
        if self._parts is None or self._pool is None or self._finished.is_set():
            return
        self.given_up = tuple(self._parts.conductor.running)
        give_up(self.given_up, self._tasks, self._settings.drain_limit)
        self._pool.kill()
        self._finished.set()

    @property
    def can_start_again(self) -> bool:
        """Whether all that is to be done is found again after a start."""
        return self._feeder is None and not self._settings.data_query

    @property
    def following(self) -> LiveSettings | None:
        """What holds in the executor that is to follow this one in its process; `None`: none is to."""
        return self._following

    def start_again(self, live: LiveSettings) -> None:
        """Finish what runs, commit, and end the run, for the same to be started with the code on disk."""
        _LOG.warning("New code is loaded: what runs is finished; what waits is taken up after the start.")
        self._following = live
        self._finish("loading new code")

    def _finish(self, phase: str) -> None:
        """Finish what runs, and end the run."""
        self._stopping = True
        self._phase = phase
        if self._parts is not None:
            self._parts.conductor.drain()
            if self._parts.conductor.paused:
                self._parts.conductor.resume()
                self._flow.act()
        self._check_finished()

    def drain(self) -> None:
        """Take no more arrivals, finish what has come, and end the run."""
        _LOG.warning("Draining: no more arrivals are taken; what has come is finished, then the run ends.")
        self._phase = "draining"
        self._spawn(self._drain())

    def reload(self) -> None:
        """Read the calibrations anew now; shards that are dispatched once the log says so use them."""
        if self._recalibrating is not None:  # else they are about to be read
            self._recalibrating.ask()

    def abandon(self) -> None:
        """End the worker processes at once; the caller exits without coming back."""
        if self._pool is not None:
            self._pool.kill()

    def status(self) -> Status:
        """Return how far the run is."""
        parts = self._parts
        phase = self._phase
        if phase == "running" and parts is not None and parts.conductor.paused:
            phase = "paused"
        elif phase == "running" and self._crew.is_gone:
            phase = "no worker left"
        return Status(
            phase=phase,
            exposures=[] if parts is None else parts.board.exposures,
            workers=self._crew.warm,
            free_workers=0 if parts is None else parts.conductor.free_workers,
            running=0 if parts is None else len(parts.conductor.running),
            waiting=0 if parts is None else parts.conductor.ready,
            uncommitted=0 if parts is None else parts.outbox.pending,
            registry=RegistryState() if parts is None else parts.outbox.registry,
            refused=0 if parts is None else parts.refusals.count,
            shed=0 if parts is None else parts.record.shed,
            backlog=None if parts is None else parts.conductor.backlog,
            troubles=[] if parts is None else self._sources.troubles,
            overhead_ms=None if parts is None else self._flow.overhead_ms,
            elapsed=time.time() - self._started,
        )

    # Start

    def _make_committer(self, compiled: CompiledRun) -> Committer:
        # A committer whose registry does not answer may outlive the run.  Nobody hears what it says then, but
        # what it speaks of is in the registry, or in the spool.
        def told(committed: Committed) -> None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._committed, committed)

        def broken(error: BaseException) -> None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._broke, error)

        return make_committer(self._settings, compiled, self._lock, told, broken)

    async def _start_committer(self, committer: Committer) -> None:
        """Have the committer register what an earlier run left in the spool, before anything is planned."""
        try:
            await asyncio.to_thread(committer.start)
        except InputError:
            raise
        except Exception as err:
            if is_away(err) or isinstance(err, OutputTakenError):
                raise
            raise InputError(
                f"{self._settings.repository}: the repository cannot be written: {type(err).__name__}: {err}"
            ) from err

    def _broke(self, error: BaseException) -> None:
        """End the run for a fault; if the output is somebody else's now, before a worker writes anything."""
        if isinstance(error, OutputTakenError):
            _LOG.critical("%s: nothing more is written, and the run ends.", error)
            self.abandon()
        else:
            _LOG.critical("The executor has a fault and stops.", exc_info=error)
        self._broken = error
        self._finished.set()

    # Events

    def _worker_ready(self, name: str) -> None:
        assert self._parts is not None, "Workers are started after the parts are made."
        self._crew.ready(name)
        if not self._parts.record.warm_up_seconds:
            self._parts.record.warm_up_seconds = time.time() - self._started
        if self._phase == _WARMING:
            self._phase = "running"
        self._parts.conductor.worker_ready(name)
        self._flow.act()

    def _worker_lost(self, name: str) -> None:
        assert self._parts is not None, "Workers are started after the parts are made."
        self._crew.lost(name)
        self._parts.conductor.worker_lost(name)
        self._flow.act()

    def _worker_failed(self, name: str, reason: str) -> None:
        """End the run when no worker could ever be warmed; else go on, with those that there are."""
        if hopeless := self._crew.failed(name, reason):
            self._broken = RuntimeError(hopeless)
            self._finished.set()

    def _arrived(self, arrival: Arrival | RegisteredRaw) -> None:
        """Take an arrival in; called in a thread of a watch."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the run is over
            self._loop.call_soon_threadsafe(self._arrivals.put_nowait, arrival)

    def _unreadable(self, found: FoundRaws, reason: str) -> None:
        """Refuse raws of which the registry does not tell what is needed; called in a thread of a watch."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._intake.refuse_registered, found, reason)

    async def _read_arrivals(self) -> None:
        while True:
            await self._keeping.room()
            arrival = await self._arrivals.get()
            self._flow.last_activity = time.monotonic()
            if not self._stopping:
                self._reading_one = True
                await self._intake.take(arrival)
                self._reading_one = False

    def _committed(self, committed: Committed) -> None:
        self._flow.committed(committed)
        self._check_finished()

    async def _tick(self) -> None:
        assert self._parts is not None, "Time passes after the parts are made."
        clock = ClockWatch()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.time()
            if step := clock.step():
                self._parts.conductor.clock_set(step)
            self._feeding.look(self._parts.conductor.ready + self._arrivals.qsize())
            self._flow.proceed(self._parts.conductor.tick(now), now)
            if self._keeping.look(now):
                self._flow.act()
            self._check_finished()

    async def read_calibrations(self) -> None:
        """Read the calibrations anew; shards that are dispatched from then on use them.

        Raises
        ------
        Exception
            What the registry says when it is out of reach; those known stay in use.
        """
        assert self._recalibrating is not None, "Nobody asks before the run has begun."
        await self._recalibrating.read()

    async def catch_up(self, where: str) -> str:
        """Take registered raws in that have no outcome; returns what was found.

        Parameters
        ----------
        where
            Butler expression that selects them.

        Raises
        ------
        InputError
            If it is not valid, or selects nothing.
        """
        assert self._parts is not None, "Nobody asks before the parts are made."
        selection = await self._feeding.select(where, self._parts, self._registry)
        self._spawn(self._feeding.catch_up(selection, self._parts, self._registry), _CATCH_UP)
        raws = sum(map(len, selection.detectors.values()))
        return (
            f"Looking through {raws} raw(s) of {len(selection.detectors)} exposure(s), newest first; those "
            "without an outcome are processed."
        )

    def _apply(self, live: LiveSettings) -> None:
        """Take over what was changed.

        Raises
        ------
        InputError
            If the policy is not valid for this run; nothing is changed then.
        """
        assert self._parts is not None, "Nobody changes anything before the parts are made."
        self._parts.policy.change(live.policy)
        timeout, deadline = live.gather_timeout, live.gather_deadline
        assert timeout is not None and deadline is not None, "They are known when orders are taken."  # noqa: PT018
        conductor = self._parts.conductor
        conductor.set_gathering(dataclasses.replace(conductor.gathering, timeout=timeout, deadline=deadline))
        self._flow.act()

    # End

    async def _drain(self) -> None:
        for task in self._tasks:
            if task.get_name() in {_FEED, _CATCH_UP}:
                task.cancel()
        await asyncio.to_thread(self._sources.stop)
        self._feeding.all_sent = True

    def _check_finished(self) -> None:
        """End the run when there is nothing left that it waits for."""
        if self._finished.is_set():
            return
        parts = self._parts
        if parts is None or self._stopping:
            if self._stopping and (parts is None or parts.conductor.idle):
                self._finished.set()
            return
        idle = self._settings.until_idle
        quiet = (
            idle is not None and bool(self._crew.warm) and time.monotonic() - self._flow.last_activity >= idle
        )
        if not (self._feeding.all_sent or (quiet and self._sources.caught_up)):
            return
        if (
            self._arrivals.qsize()
            or self._reading_one
            or self._intake.taking
            or not parts.conductor.idle
            or self._has(_CATCH_UP)
        ):
            return
        now = time.time()
        gathers = parts.conductor.close_gates(now)
        if gathers or not parts.conductor.idle:
            self._flow.ready(gathers, now)
            self._flow.act()
        elif parts.outbox.pending == 0 and not self._has(PUBLISH):
            self._finished.set()

    def _has(self, name: str) -> bool:
        """Tell whether a task of a name goes on."""
        return any(task.get_name() == name for task in self._tasks)

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str | None = None) -> None:
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broke(error)

    def _report(self, parts: Parts) -> Report:
        report = parts.record.report(
            ended=time.time(), interrupted=self._stopping and self._following is None
        )
        report = report.model_copy(update={"given_up": len(self.given_up)})
        for path in filter(None, (self._settings.work_dir / "report.json", self._settings.report)):
            try:
                write_report(report, path)
            except OSError as err:
                _LOG.error("The report cannot be written: %s: %s.", path, err.strerror or err)
        return report
