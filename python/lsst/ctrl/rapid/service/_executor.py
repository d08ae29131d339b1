"""The executor: wires arrival, ingest, conductor, engine, commit and publish, and owns start and stop."""

from __future__ import annotations

__all__ = ("Executor", "Feeder")

import asyncio
import contextlib
import datetime
import logging
import statistics
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .. import __version__
from ..arrival import DirectoryWatch
from ..commit import Committed, Committer, Ledger, RawItem, Registrar, RunItem, ShardItem
from ..conductor import Conductor, Dispatch, Give, StepRule
from ..engine import ShardResponse, WorkerLostError, WorkerPool, WorkerSetup
from ..ingest import Ingestor, RawReady
from ..instruments import RefusedError
from ..model import Arrival, Outcome, OutcomeRecord, Report, Shard, ShardReport, Times
from ..monitor import RunFacts, RunRecord, write_report
from ..plan import CalibrationError, RecordStore, record_to_json
from ..publish import FolderPublisher
from ._board import Board
from ._compiled import CompiledRun, EndedKey, compile_run
from ._requests import Requests
from ._settings import RunSettings
from ._status import Status

_LOG = logging.getLogger(__name__)

_TICK_SECONDS = 0.25
_SWITCH_SECONDS = 0.0005
"""How long a thread may hold the interpreter: the committer must not delay the way from arrival to dispatch."""
_PUBLISH = "publish"

type Feeder = Callable[[], Awaitable[None]]
"""Sends exposures once the workers are warm, and returns when all were sent."""


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
    """

    def __init__(self, settings: RunSettings, feeder: Feeder | None = None) -> None:
        self._settings = settings
        self._feeder = feeder
        self._started = time.time()
        self._phase = "starting"
        self._ledger = Ledger(settings.work_dir / "ledger.jsonl")
        self._publisher = FolderPublisher(settings.work_dir / "published")
        self._board = Board()
        self._arrivals: asyncio.Queue[Arrival] = asyncio.Queue()
        self._unread = 0
        self._uncommitted = 0
        self._refused = 0
        self._times: dict[Shard, Times] = {}
        self._deferred: dict[tuple[str, int], list[RawItem]] = {}
        self._overheads: deque[float] = deque(maxlen=500)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._last_activity = time.monotonic()
        self._all_sent = False
        self._stopping = False
        self._warm: set[str] = set()
        self._all_warm = asyncio.Event()
        self._finished = asyncio.Event()
        self._broken: BaseException | None = None

    async def run(self) -> Report:
        """Run until everything that was sent has ended, or until `stop`.

        Raises
        ------
        InputError
            If the settings, the pipeline or the repository are not as they must be; nothing was changed then.
        """
        settings = self._settings
        self._loop = asyncio.get_running_loop()
        sys.setswitchinterval(_SWITCH_SECONDS)
        async with contextlib.AsyncExitStack() as stack:
            self._registry = stack.enter_context(ThreadPoolExecutor(1, "registry"))
            self._reading = stack.enter_context(ThreadPoolExecutor(1, "ingest"))
            self._phase = "reading the repository"
            self._compiled = await self._in(self._registry, compile_run, settings)
            self._ended_before = await self._in(self._registry, self._compiled.ended_before, settings.output)
            self._prepare()
            committer = self._make_committer()
            await asyncio.to_thread(committer.start)
            self._committer = committer
            self._make_runs_of_tonight()
            self._phase = "warming the workers"
            self._pool = WorkerPool(
                self._worker_setup(), settings.workers, self._worker_ready, self._worker_lost
            )
            await self._pool.start()
            stack.push_async_callback(self._pool.close)
            watch = DirectoryWatch(settings.watch, self._arrived, polling=settings.polling)
            await asyncio.to_thread(watch.start)
            background = [self._read_arrivals(), self._tick(), self._refresh_calibrations()]
            if self._feeder is not None:
                background.append(self._feed(self._feeder, watch))
            for coroutine in background:
                self._spawn(coroutine)
            await self._finished.wait()
            self._phase = "committing"
            await asyncio.to_thread(watch.stop)
            await asyncio.to_thread(committer.close)
            await asyncio.sleep(0)  # let what the committer said last be taken in
            await asyncio.gather(*(task for task in self._tasks if task.get_name() == _PUBLISH))
            for task in self._tasks:
                task.cancel()
        if self._broken is not None:
            raise self._broken
        return self._report()

    def stop(self) -> None:
        """Finish what runs, commit, and end the run; what waits stays unprocessed."""
        _LOG.warning("Stopping: what runs is finished and committed; interrupt again to stop now.")
        self._stopping = True
        self._phase = "stopping"
        if hasattr(self, "_conductor"):
            self._conductor.drain()
            self._check_finished()
        else:
            self._finished.set()

    def abandon(self) -> None:
        """End the worker processes at once; the caller exits without coming back."""
        if hasattr(self, "_pool"):
            self._pool.kill()

    def status(self) -> Status:
        """Return how far the run is."""
        ready = hasattr(self, "_conductor")
        return Status(
            phase=self._phase,
            exposures=self._board.exposures,
            workers=len(self._warm),
            free_workers=self._conductor.free_workers if ready else 0,
            running=len(self._conductor.running) if ready else 0,
            waiting=self._conductor.ready if ready else 0,
            uncommitted=self._uncommitted,
            refused=self._refused,
            overhead_ms=statistics.median(self._overheads) if self._overheads else None,
            elapsed=time.time() - self._started,
        )

    # Start

    def _prepare(self) -> None:
        settings, compiled = self._settings, self._compiled
        rules = {
            name: tuple(StepRule(step.label, step.per_detector, step.after) for step in pipeline.steps)
            for name, pipeline in compiled.pipelines.items()
        }
        deadline = settings.gather_deadline or compiled.rapid.gather_deadline
        self._requests = Requests(compiled, settings.output)
        self._ingestor = Ingestor(compiled.raw, self._own_records(compiled))
        self._record = RunRecord(
            RunFacts(
                version=__version__,
                repo=settings.repository,
                pipeline=str(settings.pipeline),
                instrument=tuple(compiled.instruments),
                inputs=tuple(compiled.inputs),
                output=settings.output,
                workers=settings.workers,
                started=self._started,
            )
        )
        self._conductor = Conductor(rules, compiled.expected, deadline, settings.attempts)
        if self._stopping:
            self._conductor.drain()

    def _make_committer(self) -> Committer:
        settings, compiled = self._settings, self._compiled
        records = self._own_records(compiled)

        def make() -> Registrar:
            return Registrar(
                settings.repository,
                list(compiled.pipelines.values()),
                records,
                compiled.inputs,
                settings.output,
                compiled.rapid.publish,
            )

        def told(committed: Committed) -> None:
            self._loop.call_soon_threadsafe(self._was_committed, committed)

        return Committer(
            make,
            told,
            interval=settings.commit_interval,
            batch=settings.commit_batch,
        )

    def _make_runs_of_tonight(self) -> None:
        """Have the RUNs of the current observing day made while the workers become warm."""
        # day_obs begins at noon, UTC-12 h, everywhere (SITCOMTN-032).
        tonight = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=12)).date()
        for pipeline in self._compiled.pipelines.values():
            self._submit(self._requests.run_for(pipeline, int(f"{tonight:%Y%m%d}")))

    def _worker_setup(self) -> WorkerSetup:
        compiled = self._compiled
        return WorkerSetup(
            repository=self._settings.repository,
            pipelines=tuple(compiled.pipelines.values()),
            static_records=tuple(record_to_json(record) for record in compiled.records.static()),
            shared=frozenset(compiled.rapid.shared),
            cache_bytes=1e6 * self._settings.calibration_cache_mb,
        )

    @staticmethod
    def _own_records(compiled: CompiledRun) -> RecordStore:
        """Return a copy for another thread."""
        return RecordStore(compiled.records.universe, compiled.records.static())

    # Workers

    def _worker_ready(self, name: str) -> None:
        self._warm.add(name)
        if not self._record.warm_up_seconds:
            self._record.warm_up_seconds = time.time() - self._started
        if len(self._warm) == self._settings.workers:
            self._all_warm.set()
            if not self._stopping:
                self._phase = "running"
        self._conductor.worker_ready(name)
        self._act()

    def _worker_lost(self, name: str) -> None:
        self._warm.discard(name)
        self._conductor.worker_lost(name)
        self._act()

    # Arrivals

    def _arrived(self, arrival: Arrival) -> None:
        """Take an arrival in; called in a thread of the watch."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the run is over
            self._loop.call_soon_threadsafe(self._arrivals.put_nowait, arrival)

    async def _read_arrivals(self) -> None:
        while True:
            arrival = await self._arrivals.get()
            self._last_activity = time.monotonic()
            if self._stopping:
                continue
            self._unread = 1
            try:
                await self._raw_ready(await self._in(self._reading, self._ingestor.read, arrival))
            except RefusedError as err:
                self._refuse(arrival.path, str(err))
            except Exception as err:  # noqa: BLE001 -- one file's fault must not end the run
                _LOG.exception("%s could not be read.", arrival.path)
                self._refuse(arrival.path, f"it could not be read: {type(err).__name__}: {err}")
            finally:
                self._unread = 0
            self._check_finished()

    def _refuse(self, path: Path, reason: str) -> None:
        _LOG.error("%s is refused: %s", path, reason)
        self._refused += 1
        self._record.refused(self._ledger.refuse(path, reason))

    async def _raw_ready(self, raw: RawReady) -> None:
        if raw.instrument not in self._compiled.expected:
            self._refuse(raw.arrival.path, f"this run takes no raws of {raw.instrument}")
            return
        before = self._requests.add(raw)
        if before is not None:
            if before.arrival.path != raw.arrival.path:
                self._refuse(
                    raw.arrival.path, f"it is the same raw as {before.arrival.path}, which came before"
                )
            return
        expected = self._compiled.expected[raw.instrument]
        pipeline = self._compiled.choose(raw)
        if pipeline is None or raw.detector not in expected:
            self._submit_raw(raw, wait=False)
            self._shed(raw, None if pipeline is None else pipeline.name)
            return
        ended = await self._count_ended(raw, pipeline.name)
        if not ended or self._settings.transfer == "move":
            self._submit_raw(raw, wait=True)
        self._board.arrived(raw, pipeline.name, len(expected))
        now = time.time()
        newness = raw.shutter_closed or raw.arrival.file_closed
        ready = self._conductor.raw(pipeline.name, raw.instrument, raw.exposure, raw.detector, now, newness)
        for shard in ready:
            self._note_ready(shard, raw, now)
        self._act()

    def _note_ready(self, shard: Shard, raw: RawReady, now: float) -> None:
        if shard.detector is None:
            self._times[shard] = Times(
                shutter_closed=raw.shutter_closed, file_closed=now, seen=now, ready=now
            )
            return
        self._times[shard] = Times(
            shutter_closed=raw.shutter_closed,
            file_closed=raw.arrival.file_closed,
            seen=raw.arrival.seen,
            ready=now,
        )

    async def _count_ended(self, raw: RawReady, pipeline: str) -> bool:
        """Tell the conductor what an earlier run ended of this detector and of its exposure.

        Returns
        -------
        ended
            Whether this detector was ended.
        """
        ended = False
        for step in self._compiled.pipelines[pipeline].steps:
            shard = Shard(
                pipeline,
                step.label,
                raw.instrument,
                raw.exposure,
                raw.detector if step.per_detector else None,
            )
            key: EndedKey = (step.label, raw.instrument, raw.exposure, shard.detector)
            if key not in self._ended_before:
                continue
            ended = ended or step.per_detector
            if not self._conductor.is_known(shard):
                now = time.time()
                self._conductor.already_ended(shard, failed=False, now=now)
                run = self._requests.run_of(shard).run
                await self._in(self._registry, self._compiled.restore, shard, run, self._requests.products)
        return ended

    def _submit_raw(self, raw: RawReady, *, wait: bool) -> None:
        """Hand a raw to the committer; one that is to be moved waits until nothing reads it any more."""
        item = RawItem(raw.ref, raw.arrival.path, raw.formatter, self._settings.transfer, raw.records)
        if wait and self._settings.transfer == "move":
            self._deferred.setdefault((raw.instrument, raw.exposure), []).append(item)
        else:
            self._submit(item)

    def _submit(self, item: RunItem | RawItem | ShardItem) -> None:
        self._uncommitted += 1
        self._committer.submit(item)

    def _shed(self, raw: RawReady, pipeline: str | None) -> None:
        """End a raw that is not to be worked on."""
        name = pipeline or next(iter(self._compiled.pipelines))
        reason = (
            "no pipeline selects its exposure"
            if pipeline is None
            else "its detector is not among those selected"
        )
        step = next((s.label for s in self._compiled.pipelines[name].steps if s.per_detector), None)
        if step is None or (step, raw.instrument, raw.exposure, raw.detector) in self._ended_before:
            return
        shard = Shard(name, step, raw.instrument, raw.exposure, raw.detector)
        _LOG.info("%s is shed: %s.", shard, reason)
        self._note_ready(shard, raw, time.time())
        self._end(shard, Outcome.SHED, reason, attempt=0)

    # Shards

    def _act(self) -> None:
        """Carry out what the conductor decides."""
        self._last_activity = time.monotonic()
        for decision in self._conductor.decide():
            match decision:
                case Dispatch():
                    self._spawn(self._run(decision))
                case Give():
                    self._times.setdefault(decision.shard, Times(ready=time.time()))
                    self._end(decision.shard, Outcome.FAILED, decision.reason, attempt=decision.attempt)
        self._record.clock.update(self._conductor.free_workers, time.time())
        self._check_finished()

    async def _run(self, dispatch: Dispatch) -> None:
        shard = dispatch.shard
        expected = self._compiled.expected[shard.instrument]
        tasks = len(self._compiled.pipelines[shard.pipeline].step(shard.step).tasks)
        if shard.detector is None:
            missing = self._conductor.missing(shard.instrument, shard.exposure)
            self._record.missing += len(missing) if dispatch.attempt == 1 else 0
            self._board.gathering(shard, missing)
        now = time.time()
        self._times[shard] = self._times[shard].model_copy(update={"dispatched": now})
        try:
            request = self._requests.make(shard, expected)
            response = await self._pool.run(dispatch.worker, request, self._settings.quantum_timeout * tasks)
        except WorkerLostError as err:
            _LOG.warning("%s: attempt %d was lost: %s.", shard, dispatch.attempt, err)
            self._conductor.lost(shard, str(err), time.time())
            self._act()
            return
        except (CalibrationError, LookupError) as err:
            response = ShardResponse(ok=False, reason=str(err), started=now, finished=time.time())
        self._took(dispatch, response)

    def _took(self, dispatch: Dispatch, response: ShardResponse) -> None:
        """Take in how a shard ended on its worker."""
        shard = dispatch.shard
        times = self._times[shard].model_copy(
            update={"started": response.started, "finished": response.finished, "quanta": response.quanta}
        )
        self._times[shard] = times
        self._requests.products.add(shard, response.outputs, response.datastore_records)
        self._end(
            shard,
            Outcome.DONE if response.ok else Outcome.FAILED,
            response.reason,
            attempt=dispatch.attempt,
            worker=dispatch.worker,
            response=response,
        )
        if (parts := self._record.overhead(times)) is not None and shard.detector is not None:
            self._overheads.append(parts.overhead_ms)
        now = time.time()
        for ready in self._conductor.ended(shard, failed=not response.ok, now=now):
            self._note_ready(ready, next(iter(self._requests.raws(ready).values())), now)
        self._release_deferred(shard)
        self._act()

    def _release_deferred(self, shard: Shard) -> None:
        if self._conductor.is_finished(shard.instrument, shard.exposure):
            for item in self._deferred.pop((shard.instrument, shard.exposure), ()):
                self._submit(item)

    def _end(
        self,
        shard: Shard,
        outcome: Outcome,
        reason: str,
        *,
        attempt: int,
        worker: str | None = None,
        response: ShardResponse | None = None,
    ) -> None:
        """Hand a shard's end to the committer, and to the report."""
        times = self._times.pop(shard)
        run = self._requests.run_of(shard)
        planned_by = None if response is None else response.planned_by
        report = ShardReport(
            pipeline=shard.pipeline,
            step=shard.step,
            data_id=dict(shard.data_id),
            outcome=outcome,
            reason=reason,
            attempt=attempt,
            worker=worker,
            planned_by=planned_by,
            run=run.run,
            overhead=self._record.overhead(times) if outcome is not Outcome.SHED else None,
            times=times,
        )
        self._record.ended(shard, report)
        self._submit(
            ShardItem(
                shard=shard,
                run=run,
                records=next(iter(self._requests.raws(shard).values())).records,
                outcome=OutcomeRecord(
                    outcome=outcome,
                    reason=reason,
                    attempts=attempt,
                    worker=worker,
                    planned_by=planned_by,
                    times=times,
                ),
                outputs=() if response is None else response.outputs,
                datastore_records={} if response is None else response.datastore_records,
            )
        )

    # What was committed

    def _was_committed(self, committed: Committed) -> None:
        self._uncommitted -= 1
        item = committed.item
        match item:
            case ShardItem():
                self._shard_committed(item, committed)
            case RawItem() if committed.error:
                self._refuse(item.path, f"it could not be registered: {committed.error}")
            case _:
                pass
        self._check_finished()

    def _shard_committed(self, item: ShardItem, committed: Committed) -> None:
        report = self._record.shard(item.shard)
        if committed.error:
            report = report.model_copy(
                update={"outcome": Outcome.FAILED, "reason": f"it could not be registered: {committed.error}"}
            )
        else:
            times = report.times.model_copy(update={"committed": committed.time})
            report = report.model_copy(update={"times": times, "datasets": committed.datasets})
            self._record.ran_in(item.run.run)
        self._record.ended(item.shard, report)
        self._board.committed(item.shard, report)
        if committed.uris:
            self._spawn(self._publish(item, committed), name=_PUBLISH)

    async def _publish(self, item: ShardItem, committed: Committed) -> None:
        for dataset_type, uri in committed.uris.items():
            try:
                path = await asyncio.to_thread(
                    self._publisher.publish, item.shard, item.run.day_obs, dataset_type, Path(uri)
                )
            except OSError as err:
                _LOG.error("%s of %s could not be published: %s.", dataset_type, item.shard, err)
                return
            _LOG.info("Published %s.", path)
        self._record.published(item.shard, time.time())

    # Time passes

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.time()
            for shard in self._conductor.tick(now):
                self._note_ready(shard, next(iter(self._requests.raws(shard).values())), now)
            if self._conductor.ready:
                self._act()
            self._check_finished()

    async def _refresh_calibrations(self) -> None:
        while True:
            await asyncio.sleep(self._settings.calibration_ttl)
            try:
                await self._in(self._registry, self._compiled.calibrations.refresh, self._compiled.butler)
            except Exception:  # noqa: BLE001 -- the registry may be out of reach for a while
                _LOG.exception("The calibrations could not be read anew; those known stay in use.")

    async def _feed(self, feeder: Feeder, watch: DirectoryWatch) -> None:
        await self._all_warm.wait()
        await feeder()
        await asyncio.to_thread(watch.rescan)
        self._all_sent = True
        self._check_finished()

    def _check_finished(self) -> None:
        """End the run when there is nothing left that it waits for."""
        if self._finished.is_set():
            return
        if self._stopping:
            if self._conductor.idle:
                self._finished.set()
            return
        idle = self._settings.until_idle
        quiet = idle is not None and time.monotonic() - self._last_activity >= idle and bool(self._warm)
        if not (self._all_sent or quiet):
            return
        if self._arrivals.qsize() or self._unread or not self._conductor.idle:
            return
        now = time.time()
        ready = self._conductor.close_gates(now)
        for shard in ready:
            self._note_ready(shard, next(iter(self._requests.raws(shard).values())), now)
        if ready:
            self._act()
        elif self._uncommitted == 0 and not self._publishing:
            self._finished.set()

    # Helpers

    @property
    def _publishing(self) -> bool:
        return any(task.get_name() == _PUBLISH for task in self._tasks)

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str | None = None) -> None:
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.critical("The executor has a fault and stops.", exc_info=error)
            self._broken = error
            self._finished.set()

    async def _in[**P, R](
        self, thread: ThreadPoolExecutor, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        return await self._loop.run_in_executor(thread, lambda: function(*args, **kwargs))

    def _report(self) -> Report:
        report = self._record.report(ended=time.time(), interrupted=self._stopping)
        for path in {self._settings.work_dir / "report.json", self._settings.report} - {None}:
            assert path is not None, "None was taken out."
            write_report(report, path)
        return report
