"""A night in simulated time through the conductor that a live run uses."""

from __future__ import annotations

__all__ = ("INSTRUMENT", "PIPELINE", "STEPS", "Night", "NightPlan")

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ..conductor import (
    Choice,
    Conductor,
    Decision,
    Dispatch,
    Drop,
    Gathering,
    Give,
    Replace,
    StepRule,
    Yield,
)
from ..model import Policy, Shard
from ..simulator import FaultPlan, Schedule, parse_fault
from ._balance import Balance

INSTRUMENT, PIPELINE = "LSSTCam", "night"
STEPS = (
    StepRule("step1a", per_detector=True, after=frozenset()),
    StepRule("step1b", per_detector=False, after=frozenset({"step1a"})),
)
_TICK = 0.25
"""As often as a live run looks at the clock, seconds."""


@dataclass(frozen=True)
class NightPlan:
    """A night, and the computers that there are for it.

    Attributes
    ----------
    exposures, detectors
        How many, of each exposure.
    cadence
        Seconds from one shutter close to the next.
    faults
        What goes wrong with the raws, as `rapid-exec simulate` takes it.
    readout
        Seconds from a shutter's close to the first file; the others come within half of it more.
    workers
        Number of workers.
    capacity
        Part of all that they could process within the cadence.
    spread
        By how much a shard takes more or less than others, at most, as a part.
    quanta
        Of a shard of a detector; all of one length but for the last.
    gather_seconds
        What a gather takes.
    dies_every
        Seconds between two deaths of a worker, on average.
    replaced_after
        Seconds until a dead worker's replacement is warm.
    failed
        Part of the shards that fail.
    gather_timeout, gather_deadline
        When gathers run without all detectors, as `Gathering` has it.
    seed
        All that is random depends on it.
    """

    exposures: int = 1000
    detectors: int = 189
    cadence: float = 37.0
    faults: tuple[str, ...] = ("late:part=0.003,seconds=200", "missing:part=0.001")
    readout: float = 2.0
    workers: int = 60
    capacity: float = 0.6
    spread: float = 0.3
    quanta: int = 4
    gather_seconds: float = 3.0
    dies_every: float = 120.0
    replaced_after: float = 2.0
    failed: float = 0.0005
    gather_timeout: float = 5.0
    gather_deadline: float = 120.0
    seed: int = 0

    @property
    def shard_seconds(self) -> float:
        """What a shard of a detector takes on average."""
        return self.workers * self.cadence / (self.detectors * self.capacity)

    @property
    def camera(self) -> range:
        """Numbers of the detectors."""
        return range(self.detectors)

    @property
    def ends(self) -> float:
        """When the last shutter closes."""
        return (self.exposures - 1) * self.cadence


@dataclass(frozen=True)
class Gather:
    """A gather that began.

    Attributes
    ----------
    time
        When.
    shard
        What.
    detectors
        Those that it gathers.
    """

    time: float
    shard: Shard
    detectors: frozenset[int]


@dataclass(frozen=True)
class _Attempt:
    """A shard on its worker."""

    shard: Shard
    worker: str
    started: float
    seconds: float


@dataclass
class Night:
    """One night, event by event.

    Parameters
    ----------
    plan
        What happens.
    policy
        What comes first.
    choice
        Which detectors are processed.

    Attributes
    ----------
    balance
        Counts, from what is sent and what the conductor decides, what becomes of every raw.
    first_looks
        Of each exposure that was gathered, seconds from its shutter's close to the end of its first gather.
    backlog
        Raws that wait, when each shutter closes.
    gathers
        The gathers, in the order in which they began.
    replaced
        Gathers whose products were removed, because they were made again.
    came_before
        Raws that came again, and were refused.
    conductor
        Decides.
    """

    plan: NightPlan
    policy: Policy
    choice: Choice
    first_looks: dict[int, float] = field(default_factory=dict)
    backlog: list[int] = field(default_factory=list)
    gathers: list[Gather] = field(default_factory=list)
    replaced: list[Shard] = field(default_factory=list)
    came_before: int = 0
    emptied: float = math.nan
    """When nothing was left to do."""

    def __post_init__(self) -> None:
        plan = self.plan
        gathering = Gathering(plan.gather_timeout, plan.gather_deadline)
        self.conductor = Conductor({PIPELINE: STEPS}, self.choice, gathering, policy=self.policy)
        self.balance = Balance()
        faults = map(parse_fault, plan.faults)
        self._fates = FaultPlan(faults, seed=plan.seed, instrument=INSTRUMENT, exposures=plan.exposures)
        self._schedule = Schedule()
        self._coming = 0
        self._random = np.random.default_rng(plan.seed)
        self._now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._running: dict[str, _Attempt] = {}
        self._left: dict[Shard, float] = {}

    def run(self) -> None:
        """Run the night, and the time after it until nothing is left."""
        plan = self.plan
        for number in range(plan.workers):
            self.conductor.worker_ready(f"worker-{number}")
        for exposure in range(plan.exposures):
            self._at(exposure * plan.cadence, partial(self._close_shutter, exposure))
        self._at(self._random.exponential(plan.dies_every), self._die)
        self._at(_TICK, self._tick)
        while self._events:
            self._now, _, event = heapq.heappop(self._events)
            event()
            self._carry_out(self.conductor.decide())
            if self._is_over:
                break
        self.emptied = self._now

    @property
    def _is_over(self) -> bool:
        coming = self._now < self.plan.ends or self._coming or self._schedule.next_due is not None
        if coming or self._running:
            return False
        return self.conductor.ready == 0 and self.conductor.open_gates == 0

    def _at(self, when: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), event))

    # What happens

    def _close_shutter(self, exposure: int) -> None:
        """Have the raws of an exposure come, most of them at once."""
        self.backlog.append(self.balance.waiting)
        self._schedule.close(self._fates.fate(exposure + 1, self.plan.camera), self._now)
        self._send()

    def _send(self) -> None:
        """Have the raws come that are due, and look again when the next one is."""
        while (sending := self._schedule.pop(self._now)) is not None:
            delay = self.plan.readout * float(self._random.uniform(1.0, 1.5))
            self._coming += 1
            self._at(self._now + delay, partial(self._come, sending.number - 1, sending.detector))
        if (due := self._schedule.next_due) is not None:
            self._at(due, self._send)

    def _come(self, exposure: int, detector: int) -> None:
        self._coming -= 1
        if self.balance.was_sent(exposure, detector):
            self.came_before += 1
            return
        selected = self.conductor.select(PIPELINE, INSTRUMENT, exposure)
        self.balance.sent(exposure, detector)
        if detector not in selected.detectors:
            self.balance.shed(exposure, detector)
            return
        closed = exposure * self.plan.cadence
        self.conductor.raw(PIPELINE, INSTRUMENT, exposure, detector, self._now, closed)

    def _tick(self) -> None:
        self.conductor.tick(self._now)
        self._at(self._now + _TICK, self._tick)

    def _die(self) -> None:
        """Have a worker die that runs something."""
        self._at(self._now + self._random.exponential(self.plan.dies_every), self._die)
        if not self._running:
            return
        worker = sorted(self._running)[int(self._random.integers(len(self._running)))]
        shard = self._running.pop(worker).shard
        self.balance.lost(shard)
        self.conductor.worker_lost(worker)
        self.conductor.lost(shard, "killed", self._now)
        self._at(self._now + self.plan.replaced_after, lambda: self.conductor.worker_ready(worker))

    def _end(self, attempt: _Attempt) -> None:
        if self._running.get(attempt.worker) is not attempt:
            return
        del self._running[attempt.worker]
        shard = attempt.shard
        failed = bool(self._random.random() < self.plan.failed)
        self.balance.ended(shard, failed=failed)
        if shard.detector is None:
            self.first_looks.setdefault(shard.exposure, self._now - shard.exposure * self.plan.cadence)
        self.conductor.ended(shard, failed=failed, now=self._now, seconds=attempt.seconds)
        self._commit(shard)

    def _commit(self, shard: Shard) -> None:
        self._at(self._now + 0.5, lambda: self._committed(shard))

    def _committed(self, shard: Shard) -> None:
        self.conductor.committed(shard, self._now)

    def _stop(self, attempt: _Attempt) -> None:
        if self._running.get(attempt.worker) is attempt:
            # The quanta that have ended are not run again.
            self._left[attempt.shard] = attempt.seconds - (self._now - attempt.started)
            del self._running[attempt.worker]
            self.balance.yielded(attempt.shard)
            self.conductor.yielded(attempt.shard)

    # What is decided

    def _carry_out(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            self.balance.decided(decision)
            match decision:
                case Dispatch():
                    self._begin(decision)
                case Yield(worker=worker):
                    self._ask(self._running[worker])
                case Give(shard=shard):
                    self._commit(shard)
                case Replace(instrument, exposure, shards):
                    self.replaced += shards
                    self._at(self._now + 0.5, lambda: self._replaced(instrument, exposure))
                case Drop():
                    pass

    def _begin(self, dispatch: Dispatch) -> None:
        plan = self.plan
        seconds = plan.gather_seconds
        if dispatch.detectors is not None:
            self.gathers.append(Gather(self._now, dispatch.shard, dispatch.detectors))
        if dispatch.shard.detector is not None:
            seconds = plan.shard_seconds * float(self._random.uniform(1 - plan.spread, 1 + plan.spread))
        seconds = self._left.pop(dispatch.shard, seconds)
        attempt = _Attempt(dispatch.shard, dispatch.worker, self._now, seconds)
        self._running[dispatch.worker] = attempt
        self._at(self._now + seconds, lambda: self._end(attempt))

    def _ask(self, attempt: _Attempt) -> None:
        """Have a shard stop when the quantum that runs has ended; the last one ends the shard."""
        quantum = self.plan.shard_seconds / self.plan.quanta
        begun = math.floor((self._now - attempt.started) / quantum) + 1
        if begun * quantum < attempt.seconds:
            self._at(attempt.started + begun * quantum, lambda: self._stop(attempt))

    def _replaced(self, instrument: str, exposure: int) -> None:
        self.conductor.replaced(instrument, exposure, self._now)
