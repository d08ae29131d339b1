"""Sends shards to workers, and has them stop between two quanta and go on later."""

from __future__ import annotations

__all__ = ("ShardCalls",)

import asyncio
import dataclasses
import logging
import time

from ..conductor import Dispatch, Yield
from ..engine import NO_QUANTA, QuantaRequest, ShardRequest, ShardResponse, WorkerPool
from ..model import Shard
from ..plan import Planner, is_away
from ._parts import Parts
from ._planning import HeadPlan

_LOG = logging.getLogger(__name__)

_AWAY_SECONDS = 1.0
"""Between two attempts at a plan that needs the registry."""

_MOST_STOPPED = 500
"""Shards that have stopped of which it is kept what was done: tens of kilobytes each."""


class ShardCalls:
    """Plans shards, where their workers cannot, and has them run.

    Parameters
    ----------
    parts
        The parts of the run.
    pool
        The workers.

    Notes
    -----
    A shard that yields goes on where it stopped: the very request is sent again, with what was done, to any
    worker.  One whose worker died begins where that one had begun.  Of many that have stopped, those that did
    so first begin anew.
    """

    def __init__(self, parts: Parts, pool: WorkerPool) -> None:
        self._parts = parts
        self._pool = pool
        self._planned: dict[Shard, HeadPlan] = {}
        self._requests: dict[Shard, ShardRequest | QuantaRequest] = {}
        self._to_go_on: dict[Shard, ShardRequest | QuantaRequest] = {}
        self._asked: dict[Shard, float] = {}
        self._not_yet_sent: set[Shard] = set()

    async def run(self, dispatch: Dispatch) -> ShardResponse:
        """Have a shard run, or go on; the response says whether it has yielded.

        Raises
        ------
        WorkerLostError
            If its worker died.
        CalibrationError, LookupError
            If something is missing that it needs.
        """
        shard = dispatch.shard
        if (request := self._to_go_on.pop(shard, None)) is None:
            while (run := await self._parts.requests.wait_for_run(shard)) is not None:
                self._parts.outbox.submit(run)
            request = self._parts.requests.make(shard, dispatch.detectors)
        response = await self._send(dispatch, request)
        if (plan := self._planned.get(shard)) is not None:
            step = self._parts.compiled.pipelines[shard.pipeline].step(shard.step)
            update = {"planned_by": str(step.planner), "planned": plan.described}
            response = response.model_copy(update=update)
        return response

    async def _send(self, dispatch: Dispatch, request: ShardRequest | QuantaRequest) -> ShardResponse:
        shard, worker = dispatch.shard, dispatch.worker
        step = self._parts.compiled.pipelines[shard.pipeline].step(shard.step)
        limit = self._parts.settings.quantum_timeout * len(step.tasks)
        if isinstance(request, ShardRequest) and step.planner is not Planner.MEMORY:
            started = time.time()
            try:
                plan = await self._parts.planner.plan(request)
            except Exception as err:  # noqa: BLE001 -- whatever upstream's builder says is the shard's reason
                if is_away(err):
                    _LOG.debug("%s cannot be planned now: %s", shard, err)
                    # Its worker is free for others after a moment; it is tried again in its turn.
                    self._requests[shard] = request
                    await asyncio.sleep(_AWAY_SECONDS)
                    return ShardResponse(ok=True, yielded=True, started=started, finished=time.time())
                reason = f"it could not be planned: {type(err).__name__}: {err}"
                return ShardResponse(ok=False, reason=reason, started=started, finished=time.time())
            self._planned[shard] = plan
            if not plan.request.quanta:
                return ShardResponse(ok=True, reason=NO_QUANTA, started=started, finished=time.time())
            request = plan.request
        self._requests[shard] = request
        if shard in self._not_yet_sent:
            self._not_yet_sent.discard(shard)
            now = time.time()
            return ShardResponse(ok=True, yielded=True, started=now, finished=now)
        if isinstance(request, ShardRequest):
            return await self._pool.run(worker, request, limit)
        return await self._pool.run_quanta(worker, request, limit)

    def plan_of(self, shard: Shard) -> HeadPlan | None:
        """Return the plan of a shard that was made here."""
        return self._planned.get(shard)

    def ask_to_yield(self, decision: Yield) -> None:
        """Ask a shard to stop after its current quantum, or before it is sent."""
        self._asked[decision.shard] = time.time()
        if not self._pool.ask_yield(decision.worker):
            self._not_yet_sent.add(decision.shard)

    def yielded(self, shard: Shard, response: ShardResponse) -> None:
        """Remember how far a shard is that has stopped."""
        self._free(shard)
        request = self._requests.pop(shard)
        if response.reports:
            if isinstance(request, ShardRequest):
                request = request.model_copy(update={"before": response})
            else:
                request = dataclasses.replace(request, before=response)
        self._to_go_on[shard] = request
        if len(self._to_go_on) > _MOST_STOPPED:
            first = next(iter(self._to_go_on))
            if (kept := self._to_go_on.pop(first).before) is not None:
                self._parts.scratch.discard(kept)

    def goes_on(self, shard: Shard) -> bool:
        """Tell whether a shard goes on when it is run, and does not begin."""
        return shard in self._to_go_on

    def kept(self, shard: Shard) -> ShardResponse | None:
        """Return what was done of a shard that has stopped; `None` if it begins anew when it is run."""
        request = self._to_go_on.get(shard)
        return None if request is None else request.before

    def lost(self, shard: Shard) -> None:
        """The worker of a shard is dead: what was done before it was sent there is kept."""
        self._free(shard)
        request = self._requests.pop(shard, None)
        if request is not None and request.before is not None:
            self._to_go_on[shard] = request

    def begin_anew(self, shard: Shard) -> None:
        """A shard is to be run again from its beginning: nothing of what it did counts."""
        self._free(shard)
        self._planned.pop(shard, None)
        self._requests.pop(shard, None)

    def forget(self, shard: Shard) -> None:
        """A shard has ended."""
        self._free(shard)
        self._planned.pop(shard, None)
        self._requests.pop(shard, None)
        self._to_go_on.pop(shard, None)

    def _free(self, shard: Shard) -> None:
        """A worker is free of a shard: note how long that took since it was asked for, if it was."""
        self._not_yet_sent.discard(shard)
        if (asked := self._asked.pop(shard, None)) is not None:
            self._parts.record.yielded(time.time() - asked)
