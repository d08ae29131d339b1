"""The way of a shard: ready, dispatched, ended, committed, published."""

from __future__ import annotations

__all__ = ("PUBLISH", "SHARD", "ShardFlow")

import asyncio
import contextlib
import logging
import statistics
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._phases import Phase, reached
from ..commit import Committed, RawItem, RemoveItem, RunItem, ShardItem
from ..conductor import Dispatch, Drop, Give, Replace, Withdraw, Yield
from ..engine import ShardResponse, WorkerAbsentError, WorkerLostError
from ..ingest import Raw
from ..model import Outcome, OutcomeRecord, Shard, ShardKey, ShardReport, Times
from ..plan import CalibrationError, DatasetMessage
from ._calls import ShardCalls
from ._parts import Parts
from ._repeat import repeat_command
from ._tally import Tally

_LOG = logging.getLogger(__name__)

PUBLISH = "publish"
"""Name of the tasks that publish."""
SHARD = "shard"
"""Name of the tasks that wait for a shard to end."""


class ShardFlow:
    """Carries out what the conductor decides, and takes in how it ends.

    Parameters
    ----------
    parts
        The parts of the run.
    calls
        Has shards run.
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
        calls: ShardCalls,
        spawn: Callable[[Coroutine[Any, Any, None], str | None], None],
    ) -> None:
        self._parts = parts
        self._spawn = spawn
        self._calls = calls
        self._times: dict[Shard, Times] = {}
        self._overheads: deque[float] = deque(maxlen=500)
        self._shed_of: tuple[str, int] | None = None
        self.last_activity = time.monotonic()
        self.tally = Tally()
        self._shed_before: set[ShardKey] = set()

    @property
    def overhead_ms(self) -> float | None:
        """Median overhead of the latest shards, milliseconds."""
        return statistics.median(self._overheads) if self._overheads else None

    @property
    def waiting(self) -> Mapping[Shard, float]:
        """The shards that wait for a worker, and since when, UNIX seconds."""
        running = self._parts.conductor.running
        return {
            shard: times.ready
            for shard, times in self._times.items()
            if times.ready is not None and shard not in running
        }

    def ready(self, shards: Iterable[Shard], now: float, raw: Raw | None = None) -> None:
        """Note that shards can start: those of a raw that has just come, or whose gate has just opened."""
        for shard in shards:
            if shard.detector is None:
                reached(Phase.GATHER_OPEN)
            if shard.day_obs is not None:
                self._times[shard] = Times(file_closed=now, seen=now, ready=now)
                continue
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
                    self._spawn(self._run(decision), SHARD)
                case Give():
                    self._times.setdefault(decision.shard, Times(ready=time.time()))
                    self._give_up(decision)
                case Replace():
                    self._replace(decision)
                case Withdraw():
                    self._withdraw(decision)
                case Drop():
                    self._times.pop(decision.shard, None)
                case Yield():
                    self._calls.ask_to_yield(decision)
        # What waits because of a pause, or of a full disk, does not wait because of us.
        paused = self._parts.conductor.paused
        free = 0 if paused or self._parts.storage.trouble else self._parts.conductor.free_workers
        self._parts.record.clock.update(free, time.time())
        if paused or self._parts.conductor.idle:
            self._parts.outbox.flush()

    def _give_up(self, decision: Give) -> None:
        """End a shard that was lost too often, or that cannot run; what was lost is described from here."""
        shard, planned = decision.shard, ""
        kept = self._calls.kept(shard)
        if decision.attempt and kept is None:
            parts = self._parts
            if (plan := self._calls.plan_of(shard)) is not None:
                planned = plan.described
            else:
                with contextlib.suppress(CalibrationError, LookupError):
                    request = parts.requests.make(shard)
                    planned = parts.planner.describe(request)
        now = time.time()
        response = ShardResponse(ok=False, reason=decision.reason, planned=planned, started=now, finished=now)
        if kept is not None:
            update = {"ok": False, "yielded": False, "reason": decision.reason}
            response = kept.model_copy(update=update)
        self._end(shard, Outcome.FAILED, decision.reason, decision.attempt, response=response)

    def shed(self, shard: Shard, raw: Raw, reason: str) -> None:
        """End a shard that is not to be run."""
        place = (shard.instrument, shard.exposure)
        if place != self._shed_of:
            self._shed_of = place
            _LOG.info("%s exposure %d: detectors are shed: %s.", *place, reason)
        self.ready([shard], time.time(), raw)
        self._end(shard, Outcome.SHED, reason, attempt=0)

    def run_after_all(self, shard: Shard) -> None:
        """Have a shard's outcome take the place of that which this run left when it shed it."""
        self._shed_before.add(shard.key)

    async def _run(self, dispatch: Dispatch) -> None:
        parts, shard = self._parts, dispatch.shard
        if shard.detector is None and dispatch.attempt == 1:
            self._note_gather(dispatch)
        now = time.time()
        if not self._calls.goes_on(shard):
            self._times[shard] = self._times[shard].model_copy(update={"dispatched": now})
        reached(Phase.DISPATCHED)
        try:
            response = await self._calls.run(dispatch)
        except WorkerAbsentError:
            # It died of something else before the shard reached it: that is no attempt.
            self._calls.lost(shard)
            parts.conductor.yielded(shard)
            self.act()
            return
        except WorkerLostError as err:
            _LOG.warning("%s: attempt %d was lost: %s.", shard, dispatch.attempt, err)
            now = time.time()
            self._calls.lost(shard)
            self.ready(parts.conductor.lost(shard, str(err), now), now)
            self.act()
            return
        except (CalibrationError, LookupError) as err:
            response = ShardResponse(ok=False, reason=str(err), started=now, finished=time.time())
        if response.storage is not None and parts.storage.failed(shard, response.storage):
            self._calls.begin_anew(shard)
            parts.conductor.yielded(shard)
            self.act()
        elif response.yielded:
            self._yielded(dispatch, response)
        else:
            self._took(dispatch, response)

    def _note_gather(self, dispatch: Dispatch) -> None:
        """Say what a gather that begins goes without."""
        parts, shard = self._parts, dispatch.shard
        if shard.day_obs is not None:
            _LOG.info("%s begins.", shard)
            return
        if shard.partial:
            parts.board.gathering_in_part(shard, dispatch.detectors or frozenset())
            return
        missing = parts.conductor.missing(shard.instrument, shard.exposure)
        parts.record.count_missing(shard, missing)
        parts.board.gathering(shard, missing)

    def _replace(self, decision: Replace) -> None:
        """Have removed what gathers made that are made again."""
        parts = self._parts
        run = parts.requests.run_of(decision.shards[0])
        _LOG.info(
            "%s exposure %d: a detector came after all was gathered; it is gathered again.",
            decision.instrument,
            decision.exposure,
        )
        for shard in decision.shards:
            parts.ledger.remove(shard, run.run)
        parts.requests.products.forget_gathers(decision.instrument, decision.exposure, run.run)
        parts.outbox.submit(RemoveItem(decision.shards, run))

    def _withdraw(self, decision: Withdraw) -> None:
        """Have removed what was made of a day, whole or in part."""
        parts, first = self._parts, decision.shards[0]
        if not first.partial:
            _LOG.info("%s day_obs %s: more has come; it is made again.", first.instrument, first.day_obs)
            for shard in decision.shards:
                parts.ledger.remove(shard, parts.requests.run_of(shard).run)
        parts.outbox.submit(RemoveItem(decision.shards, parts.requests.run_of(first)))

    def _took(self, dispatch: Dispatch, response: ShardResponse) -> None:
        """Take in how a shard ended on its worker."""
        reached(Phase.RETURNED)
        parts, shard = self._parts, dispatch.shard
        times = self._times[shard].model_copy(
            update={"started": response.started, "finished": response.finished, "quanta": response.quanta}
        )
        self._times[shard] = times
        if shard.day_obs is None:
            parts.requests.products.add(shard, response.outputs, response.datastore_records)
        if response.storage is None:
            parts.storage.wrote(shard)
        outcome = Outcome.DONE if response.ok else Outcome.FAILED
        self._end(shard, outcome, response.reason, dispatch.attempt, dispatch.worker, response)
        if (overhead := parts.record.overhead(times)) is not None and shard.detector is not None:
            self._overheads.append(overhead.overhead_ms)
        now = time.time()
        # What it has run, without a time in which it had yielded its worker.
        seconds = sum(quantum.end - quantum.start for quantum in response.quanta)
        self.ready(parts.conductor.ended(shard, failed=not response.ok, now=now, seconds=seconds), now)
        self.act()

    def _yielded(self, dispatch: Dispatch, response: ShardResponse) -> None:
        """Take in that a shard has stopped as it was asked to: its worker is free, and it is not ended."""
        shard, ended = dispatch.shard, len(response.reports)
        _LOG.debug("%s yielded worker %s after %d quanta.", shard, dispatch.worker, ended)
        self._calls.yielded(shard, response)
        self._parts.conductor.yielded(shard)
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
        self.tally.ended(outcome, reason)
        run = parts.requests.run_of(shard)
        repeat = ""
        if outcome is Outcome.FAILED:
            pipeline = parts.compiled.pipelines[shard.pipeline]
            repeat = repeat_command(
                parts.settings, pipeline, shard, run.run, parts.compiled.inputs, parts.compiled.scratch
            )
        planned_by = None if response is None else response.planned_by
        plan = self._calls.plan_of(shard)
        self._calls.forget(shard)
        records = parts.requests.records(shard)
        told = parts.scratch.take(shard, response)
        report = ShardReport(
            pipeline=shard.pipeline,
            step=shard.step,
            data_id=dict(shard.data_id),
            outcome=outcome,
            partial=shard.partial,
            revision=shard.revision,
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
            gathered=tuple(sorted(parts.conductor.gathered(shard))),
            times=times,
        )
        before = parts.ended_before.shed.pop(shard.key, None)
        parts.outbox.submit(
            ShardItem(
                shard=shard,
                run=run,
                records=records if plan is None else (*records, *plan.records),
                outcome=ended,
                outputs=told.outputs,
                datastore_records=told.datastore_records,
                replaces=None if before is None else DatasetMessage.of(before),
                was_shed=shard.key in self._shed_before,
                supersedes=parts.requests.superseded_by(shard),
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
            case RemoveItem():
                self._removed(item, committed)
            case RunItem():
                if committed.error:
                    _LOG.error("RUN %s could not be made: %s", item.run, committed.error)
                self._parts.requests.run_is_ready(committed)

    def _removed(self, item: RemoveItem, committed: Committed) -> None:
        """Make gathers again of which everything was removed; what could not be will not be registered."""
        if committed.error:
            _LOG.error("What %s made could not be removed: %s", item.shards[0], committed.error)
        shard, now = item.shards[0], time.time()
        if shard.day_obs is not None:
            self.proceed(self._parts.conductor.withdrawn(shard, now), now)
            return
        self.proceed(self._parts.conductor.replaced(shard.instrument, shard.exposure, now), now)

    def _raw_committed(self, item: RawItem, committed: Committed) -> None:
        reached(Phase.RAW_COMMITTED)
        parts, data_id = self._parts, item.ref.dataId
        if committed.error:
            _LOG.error("%s could not be registered: %s", item.path, committed.error)
            reason = f"it could not be registered: {committed.error}"
            parts.refusals.refuse(item.path, reason)
        now = time.time()
        self.proceed(
            parts.conductor.raw_committed(
                str(data_id["instrument"]), int(data_id["exposure"]), int(data_id["detector"]), now
            ),
            now,
        )

    def proceed(self, ready: Sequence[Shard], now: float) -> None:
        """Take in shards whose gate has opened, and act if something is to be done."""
        self.ready(ready, now)
        if ready or self._parts.conductor.has_told:
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
        if item.shard.day_obs is None:
            self._let_go(item.shard, committed)
        if committed.uris:
            self._spawn(self._publish(item, committed), PUBLISH)

    def _let_go(self, shard: Shard, committed: Committed) -> None:
        """Let go of what was kept of an exposure of which nothing more is to be done."""
        if self._parts.conductor.is_finished(shard.instrument, shard.exposure):
            self._parts.outbox.release(shard.instrument, shard.exposure)
        if not committed.error:  # else a restart does it again, and reads what it has read now
            for settled in self._parts.conductor.settled(shard.instrument, shard.exposure):
                released = self._parts.scratch.release(shard.instrument, settled)
                if released and isinstance(settled, int):
                    self._parts.conductor.seal(shard.instrument, settled)

    def publish_drained(self, committed: Iterable[Committed]) -> None:
        """Publish what an earlier run had left in the spool, and is registered now."""
        for one in committed:
            if one.uris and isinstance(one.item, ShardItem):
                self._spawn(self._publish(one.item, one), PUBLISH)

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
