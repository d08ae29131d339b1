"""The way of a shard: ready, dispatched, ended, committed, published."""

from __future__ import annotations

__all__ = ("Parts", "ShardFlow")

import asyncio
import contextlib
import dataclasses
import logging
import statistics
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any

from ..commit import Committed, Ledger, RawItem, RunItem, ShardItem
from ..conductor import Conductor, Dispatch, Give
from ..engine import NO_QUANTA, ShardRequest, ShardResponse, WorkerLostError, WorkerPool
from ..ingest import Raw
from ..model import Outcome, OutcomeRecord, Shard, ShardReport, Times
from ..monitor import RunRecord
from ..plan import CalibrationError, Planner, Step
from ..publish import FolderPublisher
from ._board import Board
from ._compiled import CompiledRun
from ._ended import EndedBefore
from ._outbox import Outbox
from ._planning import HeadPlan, HeadPlanner
from ._repeat import repeat_command
from ._requests import Requests
from ._scratch import Scratch
from ._settings import RunSettings

_LOG = logging.getLogger(__name__)

PUBLISH = "publish"
"""Name of the tasks that publish."""


@dataclasses.dataclass(frozen=True)
class Parts:
    """The parts that a run is wired of."""

    settings: RunSettings
    compiled: CompiledRun
    requests: Requests
    conductor: Conductor
    record: RunRecord
    board: Board
    ledger: Ledger
    publisher: FolderPublisher
    outbox: Outbox
    ended_before: EndedBefore
    planner: HeadPlanner
    scratch: Scratch


class ShardFlow:
    """Carries out what the conductor decides, and takes in how it ends.

    Parameters
    ----------
    parts
        The parts of the run.
    pool
        The workers.
    spawn
        Starts a task in the event loop, with a name.

    Notes
    -----
    All methods are called in the event loop.  Each shard is ended once, in the report and towards the
    committer.
    """

    def __init__(
        self,
        parts: Parts,
        pool: WorkerPool,
        spawn: Callable[[Coroutine[Any, Any, None], str | None], None],
    ) -> None:
        self._parts = parts
        self._pool = pool
        self._spawn = spawn
        self._times: dict[Shard, Times] = {}
        self._planned: dict[Shard, HeadPlan] = {}
        self._overheads: deque[float] = deque(maxlen=500)
        self.last_activity = time.monotonic()

    @property
    def overhead_ms(self) -> float | None:
        """Median overhead of the latest shards, milliseconds."""
        return statistics.median(self._overheads) if self._overheads else None

    def ready(self, shards: Iterable[Shard], now: float, raw: Raw | None = None) -> None:
        """Note that shards can start: those of a raw that has just come, or whose gate has just opened."""
        for shard in shards:
            first = raw or self._parts.requests.raws(shard)[0]
            opened = raw is None
            self._times[shard] = Times(
                shutter_closed=first.shutter_closed,
                file_closed=now if opened else first.file_closed,
                seen=now if opened else first.seen,
                ready=now,
            )

    def act(self) -> None:
        """Carry out what the conductor decides now."""
        self.last_activity = time.monotonic()
        for decision in self._parts.conductor.decide():
            match decision:
                case Dispatch():
                    self._spawn(self._run(decision), None)
                case Give():
                    self._times.setdefault(decision.shard, Times(ready=time.time()))
                    self._give_up(decision)
        self._parts.record.clock.update(self._parts.conductor.free_workers, time.time())
        if self._parts.conductor.idle:
            self._parts.outbox.flush()

    def _give_up(self, decision: Give) -> None:
        """End a shard that was lost too often, or that cannot run; what was lost is described from here."""
        shard, planned = decision.shard, ""
        if decision.attempt:
            parts = self._parts
            if (plan := self._planned.get(shard)) is not None:
                planned = plan.described
            else:
                with contextlib.suppress(CalibrationError, LookupError):
                    request = parts.requests.make(shard, parts.compiled.expected[shard.instrument])
                    planned = parts.planner.describe(request)
        now = time.time()
        response = ShardResponse(ok=False, reason=decision.reason, planned=planned, started=now, finished=now)
        self._end(shard, Outcome.FAILED, decision.reason, decision.attempt, response=response)

    def shed(self, shard: Shard, raw: Raw, reason: str) -> None:
        """End a shard that is not to be run."""
        _LOG.info("%s is shed: %s.", shard, reason)
        self.ready([shard], time.time(), raw)
        self._end(shard, Outcome.SHED, reason, attempt=0)

    async def _run(self, dispatch: Dispatch) -> None:
        parts, shard = self._parts, dispatch.shard
        step = parts.compiled.pipelines[shard.pipeline].step(shard.step)
        if shard.detector is None and dispatch.attempt == 1:
            missing = parts.conductor.missing(shard.instrument, shard.exposure)
            parts.record.count_missing(shard, missing)
            parts.board.gathering(shard, missing)
        now = time.time()
        self._times[shard] = self._times[shard].model_copy(update={"dispatched": now})
        try:
            while (run := await parts.requests.wait_for_run(shard)) is not None:
                parts.outbox.submit(run)
            request = parts.requests.make(shard, parts.compiled.expected[shard.instrument])
            response = await self._call(dispatch, request, step)
        except WorkerLostError as err:
            _LOG.warning("%s: attempt %d was lost: %s.", shard, dispatch.attempt, err)
            now = time.time()
            self.ready(parts.conductor.lost(shard, str(err), now), now)
            self.act()
            return
        except (CalibrationError, LookupError) as err:
            response = ShardResponse(ok=False, reason=str(err), started=now, finished=time.time())
        self._took(dispatch, response)

    async def _call(self, dispatch: Dispatch, request: ShardRequest, step: Step) -> ShardResponse:
        """Have a shard planned, where its worker cannot do it, and run."""
        limit = self._parts.settings.quantum_timeout * len(step.tasks)
        if step.planner is Planner.MEMORY:
            return await self._pool.run(dispatch.worker, request, limit)
        started = time.time()
        try:
            plan = await self._parts.planner.plan(request)
        except Exception as err:  # noqa: BLE001 -- whatever upstream's builder says is the shard's reason
            reason = f"it could not be planned: {type(err).__name__}: {err}"
            return ShardResponse(ok=False, reason=reason, started=started, finished=time.time())
        self._planned[dispatch.shard] = plan
        done = {"planned_by": str(step.planner), "planned": plan.described}
        if not plan.request.quanta:
            return ShardResponse(ok=True, reason=NO_QUANTA, started=started, finished=time.time(), **done)
        response = await self._pool.run_quanta(dispatch.worker, plan.request, limit)
        return response.model_copy(update=done)

    def _took(self, dispatch: Dispatch, response: ShardResponse) -> None:
        """Take in how a shard ended on its worker."""
        if response.yielded:
            self._yielded(dispatch, response)
            return
        parts, shard = self._parts, dispatch.shard
        times = self._times[shard].model_copy(
            update={"started": response.started, "finished": response.finished, "quanta": response.quanta}
        )
        self._times[shard] = times
        parts.requests.products.add(shard, response.outputs, response.datastore_records)
        outcome = Outcome.DONE if response.ok else Outcome.FAILED
        self._end(shard, outcome, response.reason, dispatch.attempt, dispatch.worker, response)
        if (overhead := parts.record.overhead(times)) is not None and shard.detector is not None:
            self._overheads.append(overhead.overhead_ms)
        now = time.time()
        self.ready(parts.conductor.ended(shard, failed=not response.ok, now=now), now)
        self.act()

    def _yielded(self, dispatch: Dispatch, response: ShardResponse) -> None:
        """Take in that a shard has stopped because it was asked to: its worker is free, and it is not ended.

        It goes on where it stopped, on any worker, when its very request is sent with this response as its
        ``before``.
        """
        ended = len(response.reports)
        _LOG.info("%s yielded worker %s after %d quanta.", dispatch.shard, dispatch.worker, ended)
        self.act()

    def _end(
        self,
        shard: Shard,
        outcome: Outcome,
        reason: str,
        attempt: int,
        worker: str | None = None,
        response: ShardResponse | None = None,
    ) -> None:
        """Hand a shard's end to the committer, and to the report."""
        parts, times = self._parts, self._times.pop(shard)
        run = parts.requests.run_of(shard)
        repeat = ""
        if outcome is Outcome.FAILED:
            pipeline = parts.compiled.pipelines[shard.pipeline]
            repeat = repeat_command(
                parts.settings, pipeline, shard, run.run, parts.compiled.inputs, parts.compiled.scratch
            )
        planned_by = None if response is None else response.planned_by
        plan = self._planned.pop(shard, None)
        records = parts.requests.records(shard)
        told = parts.scratch.take(shard, response)
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
            repeat=repeat,
            overhead=parts.record.overhead(times) if outcome is not Outcome.SHED else None,
            times=times,
        )
        parts.record.ended(shard, report)
        ended = OutcomeRecord(
            outcome=outcome,
            reason=reason,
            attempts=attempt,
            worker=worker,
            planned_by=planned_by,
            planned="" if response is None else response.planned,
            repeat=repeat,
            scratch=told.scratch,
            times=times,
        )
        parts.outbox.submit(
            ShardItem(
                shard=shard,
                run=run,
                records=records if plan is None else (*records, *plan.records),
                outcome=ended,
                outputs=told.outputs,
                datastore_records=told.datastore_records,
                replaces=parts.ended_before.shed.pop(shard.key, None),
            )
        )

    def committed(self, committed: Committed) -> None:
        """Take in what the committer has dealt with."""
        self._parts.outbox.dealt_with()
        item = committed.item
        match item:
            case ShardItem():
                self._shard_committed(item, committed)
            case RawItem():
                self._raw_committed(item, committed)
            case RunItem():
                if committed.error:
                    _LOG.error("RUN %s could not be made: %s", item.run, committed.error)
                self._parts.requests.run_is_ready(committed)

    def _raw_committed(self, item: RawItem, committed: Committed) -> None:
        parts, data_id = self._parts, item.ref.dataId
        if committed.error:
            _LOG.error("%s could not be registered: %s", item.path, committed.error)
            reason = f"it could not be registered: {committed.error}"
            parts.record.refused(parts.ledger.refuse(item.path, reason))
        now = time.time()
        self.proceed(
            parts.conductor.raw_committed(
                str(data_id["instrument"]), int(data_id["exposure"]), int(data_id["detector"]), now
            ),
            now,
        )

    def proceed(self, ready: Sequence[Shard], now: float) -> None:
        """Take in shards whose gate has opened, and act."""
        if ready:
            self.ready(ready, now)
            self.act()

    def _shard_committed(self, item: ShardItem, committed: Committed) -> None:
        record = self._parts.record
        report = record.shard(item.shard)
        if committed.error:
            report = report.model_copy(
                update={"outcome": Outcome.FAILED, "reason": f"it could not be registered: {committed.error}"}
            )
        else:
            times = report.times.model_copy(update={"committed": committed.time})
            report = report.model_copy(update={"times": times, "datasets": committed.datasets})
            record.ran_in(item.run.run)
        record.ended(item.shard, report)
        self._parts.board.committed(item.shard, report)
        now = time.time()
        self.proceed(self._parts.conductor.committed(item.shard, now), now)
        if self._parts.conductor.is_finished(item.shard.instrument, item.shard.exposure):
            self._parts.outbox.release(item.shard.instrument, item.shard.exposure)
        if not committed.error:  # else a restart does it again, and reads what it has read now
            for settled in self._parts.conductor.settled(item.shard.instrument, item.shard.exposure):
                self._parts.scratch.release(item.shard.instrument, settled)
        if committed.uris:
            self._spawn(self._publish(item, committed), PUBLISH)

    async def _publish(self, item: ShardItem, committed: Committed) -> None:
        for dataset_type, uri in committed.uris.items():
            try:
                path = await asyncio.to_thread(
                    self._parts.publisher.publish, item.shard, item.run.day_obs, dataset_type, Path(uri)
                )
            except OSError as err:
                _LOG.error("%s of %s could not be published: %s.", dataset_type, item.shard, err)
                return
            _LOG.info("Published %s.", path)
        self._parts.record.published(item.shard, time.time())
