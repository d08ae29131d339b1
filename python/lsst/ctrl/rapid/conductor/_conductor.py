"""Which shard runs when and where: one deterministic class, events and a clock in, decisions out."""

from __future__ import annotations

__all__ = ("Conductor", "Dispatch", "Give")

import dataclasses
import heapq
import itertools
import math
from collections.abc import Mapping, Sequence

from ..model import Shard
from ._progress import RAW, ExposureProgress, GroupProgress, Place, Progress, State, StepRule, Turn

_NOT_YET_KNOWN = -math.inf
"""Newness of an exposure of which only shards that ended in an earlier run were told."""


@dataclasses.dataclass(frozen=True, slots=True)
class Dispatch:
    """Send a shard to a worker."""

    shard: Shard
    worker: str
    attempt: int


@dataclasses.dataclass(frozen=True, slots=True)
class Give:
    """Give a shard up: it ends as failed without running (again)."""

    shard: Shard
    reason: str
    attempt: int


class Conductor:
    """Decides which shard runs when and where.

    Parameters
    ----------
    steps
        Steps of each pipeline by its name, each after those that it depends on.
    expected
        Expected detectors of each instrument.
    gather_deadline
        Seconds from an exposure's first raw until its gathers run without the detectors that have not come.
    attempts
        How often a shard is tried whose worker died under it.

    Notes
    -----
    Newest exposure first.  A gather runs when every expected detector has ended, or, after the
    deadline, every one that has come.  A failed detector counts as ended.  A detector goes back to the worker
    that it was on before, unless that one is busy and another is free.  No shard runs twice at once, and none
    that ended runs again.  A step of a group runs when as many exposures have come and ended as their headers
    say, or after the deadline of the newest.

    The class has no clock and does no I/O: the same events at the same times give the same decisions.
    """

    def __init__(
        self,
        steps: Mapping[str, Sequence[StepRule]],
        expected: Mapping[str, frozenset[int]],
        gather_deadline: float,
        attempts: int = 2,
    ) -> None:
        self._steps = steps
        self._expected = expected
        self._gather_deadline = gather_deadline
        self._attempts = attempts
        self._expected_of: dict[Place, frozenset[int]] = {}
        self._exposures: dict[Place, ExposureProgress] = {}
        self._groups: dict[Place, GroupProgress] = {}
        self._group_of: dict[Place, Place] = {}
        self._active: dict[Place, Progress] = {}
        self._turns: list[tuple[Turn, Place]] = []
        self._entered = itertools.count()
        self._workers: set[str] = set()
        self._free: dict[str, None] = {}
        self._running: dict[Shard, str] = {}
        self._tries: dict[Shard, int] = {}
        self._affinity: dict[tuple[str, int], str] = {}
        self._given_up: list[Give] = []
        self._draining = False

    # Events

    def expect(self, instrument: str, exposure: int, detectors: frozenset[int]) -> None:
        """Expect these detectors of an exposure, not those of its instrument; told before its first raw."""
        self._expected_of[instrument, exposure] = detectors
        if (found := self._exposures.get((instrument, exposure))) is not None:
            found.expected = detectors

    def worker_ready(self, worker: str) -> None:
        """A worker can take a shard."""
        self._workers.add(worker)
        self._free[worker] = None

    def worker_lost(self, worker: str) -> None:
        """A worker can take none any more; the shard that it had is told by `lost`."""
        self._workers.discard(worker)
        self._free.pop(worker, None)

    def raw(
        self,
        pipeline: str,
        instrument: str,
        exposure: int,
        detector: int,
        now: float,
        newness: float,
        group: str = "",
        group_size: int = 1,
    ) -> Sequence[Shard]:
        """A raw of an expected detector can be worked on.

        Parameters
        ----------
        pipeline
            Name of the pipeline for it.
        instrument, exposure, detector
            What it is.
        now
            The time.
        newness
            The greater, the earlier its exposure's turn; the first raw's counts.
        group, group_size
            Name of its exposure's group, and how many exposures that has.

        Returns
        -------
        shards
            Those that it made ready.
        """
        found = self._exposure(pipeline, instrument, exposure, now, newness)
        found.arrived.add(detector)
        self._enter(found)
        if any(rule.per_group for rule in self._steps[pipeline]):
            whole = self._group(pipeline, instrument, group, group_size)
            whole.join(found)
            self._group_of[found.place] = whole.place
            self._enter(whole)
        return self._advance(found, now, detector)

    def committed(self, shard: Shard, now: float) -> Sequence[Shard]:
        """What a shard made is in the registry, or never will be; returns the shards that this made ready."""
        if shard.group is not None:
            if (whole := self._groups.get((shard.instrument, shard.group))) is not None:
                whole.committed.add((shard.step, shard.detector))
            return []
        return self._note_commit(shard.instrument, shard.exposure, shard.step, shard.detector, now)

    def raw_committed(self, instrument: str, exposure: int, detector: int, now: float) -> Sequence[Shard]:
        """A raw is in the registry, or never will be; returns the shards that this made ready."""
        return self._note_commit(instrument, exposure, RAW, detector, now)

    def already_ended(self, shard: Shard, *, failed: bool, now: float) -> None:
        """A shard ended in an earlier run: it is not run again, and counts in its exposure's gather."""
        if shard.group is not None:
            whole = self._group(shard.pipeline, shard.instrument, shard.group, 1)
            whole.states[shard.step, shard.detector] = State.FAILED if failed else State.DONE
            whole.committed.add((shard.step, shard.detector))
            return
        found = self._exposure(shard.pipeline, shard.instrument, shard.exposure, now, _NOT_YET_KNOWN)
        if shard.detector is not None:
            found.arrived.add(shard.detector)
        found.states[shard.step, shard.detector] = State.FAILED if failed else State.DONE
        found.committed.add((shard.step, shard.detector))

    def ended(self, shard: Shard, *, failed: bool, now: float) -> Sequence[Shard]:
        """A shard has ended on its worker, which is free again; returns the shards that it made ready."""
        worker = self._running.pop(shard)
        if worker in self._workers:
            self._free[worker] = None
        return self._end(shard, State.FAILED if failed else State.DONE, now)

    def lost(self, shard: Shard, reason: str, now: float) -> Sequence[Shard]:
        """The worker of a shard is gone: the shard is tried again, or given up.

        Returns
        -------
        shards
            Those that giving it up made ready: it counts as ended in its exposure's gather.
        """
        del self._running[shard]
        attempt = self._tries[shard]
        if attempt < self._attempts:
            self._make_ready(self._progress(shard), shard)
            return []
        self._given_up.append(Give(shard, f"{reason} (attempt {attempt} of {self._attempts})", attempt))
        return self._end(shard, State.FAILED, now)

    def tick(self, now: float) -> Sequence[Shard]:
        """Time has passed; returns the gathers whose deadline made them ready."""
        due = [found for found in self._active.values() if now >= found.deadline]
        for found in due:
            found.overdue = True
        return [shard for found in due for shard in self._advance(found, now)]

    def close_gates(self, now: float) -> Sequence[Shard]:
        """No more raws will come: open gathers run with what is there; returns those that are ready now."""
        ready: list[Shard] = []
        for found in list(self._active.values()):
            found.deadline = min(found.deadline, now)
            found.overdue = True
            ready += self._advance(found, now)
        return ready

    def drain(self) -> None:
        """Dispatch nothing more; what runs may end."""
        self._draining = True

    def forget(self, instrument: str, exposure: int) -> Sequence[int] | None:
        """Forget an exposure, with those of its group: what became of it is in the registry.

        Whoever tells of it again must first tell what ended of it, by `already_ended`, as after a restart.

        Returns
        -------
        forgotten
            The exposures that are forgotten, this one included; `None` if something of them is still to be
            done or to be committed, and nothing was forgotten.
        """
        if not self.is_settled(instrument, exposure):
            return None
        group = self._group_of.get((instrument, exposure))
        whole = None if group is None else self._groups[group]
        forgotten = [exposure] if whole is None else list(whole.members)
        for number in forgotten:
            self._exposures.pop((instrument, number), None)
            self._group_of.pop((instrument, number), None)
            self._expected_of.pop((instrument, number), None)
        if whole is not None:
            del self._groups[whole.place]
        return forgotten

    # Decisions

    def decide(self) -> list[Dispatch | Give]:
        """Return what to do now."""
        decisions: list[Dispatch | Give] = [*self._given_up]
        self._given_up.clear()
        if self._draining:
            return decisions
        while self._free and (newest := self._newest_with_work()) is not None:
            shard, worker = self._place(newest)
            del self._free[worker]
            newest.take(shard)
            self._running[shard] = worker
            self._tries[shard] = self._tries.get(shard, 0) + 1
            if shard.detector is not None:
                self._affinity[shard.instrument, shard.detector] = worker
            decisions.append(Dispatch(shard, worker, self._tries[shard]))
        return decisions

    # What is seen

    @property
    def running(self) -> Mapping[Shard, str]:
        """The shards that run, and where."""
        return self._running

    @property
    def free_workers(self) -> int:
        """Number of workers that could take a shard."""
        return len(self._free)

    @property
    def ready(self) -> int:
        """Number of shards that wait for a worker."""
        return sum(len(found.ready) for found in self._active.values())

    @property
    def idle(self) -> bool:
        """Whether nothing runs, waits for a worker, or is about to be given up."""
        return not self._running and not self._given_up and (self._draining or self.ready == 0)

    @property
    def open_gates(self) -> int:
        """Number of exposures whose gather still waits for detectors."""
        return sum(found.waits for found in self._active.values())

    @property
    def next_deadline(self) -> float | None:
        """When `tick` must be called at the latest; `None` when time alone opens no gate."""
        waiting = (found.deadline for found in self._active.values() if found.waits and not found.overdue)
        return min(waiting, default=None)

    def expected(self, instrument: str, exposure: int) -> frozenset[int]:
        """Return the expected detectors of an exposure."""
        return self._expected_of.get((instrument, exposure), self._expected[instrument])

    def missing(self, instrument: str, exposure: int) -> frozenset[int]:
        """Return the expected detectors of an exposure that have not come."""
        found = self._exposures[instrument, exposure]
        return found.expected - found.arrived

    def is_finished(self, instrument: str, exposure: int) -> bool:
        """Tell whether everything that has come of an exposure has ended, its gathers and group included."""
        return (instrument, exposure) in self._exposures and not self.is_active(instrument, exposure)

    def is_active(self, instrument: str, exposure: int) -> bool:
        """Tell whether something of an exposure, or of its group, is still to be done."""
        place = (instrument, exposure)
        return place in self._active or self._group_of.get(place) in self._active

    def is_settled(self, instrument: str, exposure: int) -> bool:
        """Tell whether all of an exposure and its group has ended and is registered, or never will be."""
        place = (instrument, exposure)
        group = self._group_of.get(place)
        found: list[Progress] = [self._exposures[place]] if place in self._exposures else []
        if group is not None:
            whole = self._groups[group]
            found = [*whole.members.values(), whole]
        return all(one.place not in self._active and one.is_settled for one in found)

    def settled(self, instrument: str, exposure: int) -> Sequence[int | str]:
        """Return which exposures, by number, and which group, by name, are settled with an exposure.

        Returns
        -------
        settled
            Nothing, if something of them is still to be done or to be committed.
        """
        if not self.is_settled(instrument, exposure):
            return []
        group = self._group_of.get((instrument, exposure))
        if group is None:
            return [exposure]
        whole = self._groups[group]
        return [*whole.members, whole.group]

    def is_known(self, shard: Shard) -> bool:
        """Tell whether a shard is ready, runs or has ended."""
        place = (shard.instrument, shard.exposure if shard.group is None else shard.group)
        found: Progress | None = self._exposures.get(place) or self._groups.get(place)
        return found is not None and (shard.step, shard.detector) in found.states

    # How

    def _exposure(
        self, pipeline: str, instrument: str, exposure: int, now: float, newness: float
    ) -> ExposureProgress:
        """Return an exposure, new or known."""
        found = self._exposures.get((instrument, exposure))
        if found is None:
            found = self._exposures[instrument, exposure] = ExposureProgress(
                pipeline,
                instrument,
                exposure,
                self._steps[pipeline],
                newness,
                deadline=now + self._gather_deadline,
                expected=self.expected(instrument, exposure),
            )
        elif found.newness == _NOT_YET_KNOWN:
            found.newness = newness
        return found

    def _group(self, pipeline: str, instrument: str, group: str, size: int) -> GroupProgress:
        """Return a group, new or known."""
        found = self._groups.get((instrument, group))
        if found is None:
            found = GroupProgress(pipeline, instrument, group, size, self._steps[pipeline])
            self._groups[instrument, group] = found
        found.size = max(found.size, size)
        return found

    def _progress(self, shard: Shard) -> Progress:
        if shard.group is not None:
            return self._groups[shard.instrument, shard.group]
        return self._exposures[shard.instrument, shard.exposure]

    def _note_commit(
        self, instrument: str, exposure: int, step: str, detector: int | None, now: float
    ) -> Sequence[Shard]:
        found = self._exposures.get((instrument, exposure))
        if found is None:
            return []
        found.committed.add((step, detector))
        if not any(rule.needs_commit for rule in self._steps[found.pipeline]):
            return []
        return self._advance(found, now, detector)

    def _end(self, shard: Shard, state: State, now: float) -> Sequence[Shard]:
        found = self._progress(shard)
        found.states[shard.step, shard.detector] = state
        self._tries.pop(shard, None)
        return self._advance(found, now, shard.detector)

    def _advance(self, found: Progress, now: float, detector: int | None = None) -> list[Shard]:
        """Open what gates can be opened of an exposure and its group; returns the shards behind them.

        Where only a detector of an exposure has news, others of it wait for the same as before.
        """
        concerned = None if detector is None or isinstance(found, GroupProgress) else [detector]
        ready = self._open_gates_of(found, now, concerned)
        group = self._group_of.get(found.place)
        if group is not None:
            ready += self._open_gates_of(self._groups[group], now)
        return ready

    def _open_gates_of(
        self, found: Progress, now: float, detectors: Sequence[int] | None = None
    ) -> list[Shard]:
        ready: list[Shard] = []
        concerned = sorted(found.arrived) if detectors is None else detectors
        moved = True
        while moved:
            moved = False
            for rule in found.rules:
                for detector in concerned if rule.per_detector else [None]:
                    known = (rule.label, detector) in found.states
                    if known or not found.gate_is_open(rule, detector, now):
                        continue
                    shard = found.shard(rule.label, detector)
                    if found.blocked(rule, detector):
                        found.states[rule.label, detector] = State.FAILED
                        self._given_up.append(Give(shard, "an earlier step failed", 0))
                        moved = True
                    else:
                        self._make_ready(found, shard)
                        ready.append(shard)
        if found.finished:
            self._active.pop(found.place, None)
        return ready

    def _enter(self, found: Progress) -> None:
        """Have something to be done with an exposure or a group; those of one newness in order of entry."""
        if found.place not in self._active:
            self._active[found.place] = found
            found.entered = next(self._entered)
        elif found.ready:
            self._queue(found)

    def _make_ready(self, found: Progress, shard: Shard) -> None:
        found.make_ready(shard)
        self._queue(found)

    def _queue(self, found: Progress) -> None:
        """Have a turn for an exposure or a group with work; an earlier one is void if it has changed."""
        if found.turn != found.queued:
            found.queued = found.turn
            heapq.heappush(self._turns, (found.turn, found.place))

    def _newest_with_work(self) -> Progress | None:
        """Return whose turn it is: however much waits, without looking at all of it."""
        while self._turns:
            turn, place = self._turns[0]
            found = self._active.get(place)
            valid = found is not None and found.queued == turn
            if found is not None and valid and found.ready:
                return found
            heapq.heappop(self._turns)
            if found is not None and valid:
                found.queued = None
        return None

    def _place(self, found: Progress) -> tuple[Shard, str]:
        """Return an exposure's next shard and its worker: gathers, then detectors that free workers know."""
        strangers: Shard | None = None
        taken: Shard | None = None
        for gather in (shard for shard in found.ready if shard.detector is None):
            return gather, next(iter(self._free))
        for shard in found.ready:
            assert shard.detector is not None, "Gathers were looked at before."
            at_home = self._affinity.get((shard.instrument, shard.detector))
            if at_home in self._free:
                return shard, at_home
            if at_home is None:
                strangers = strangers or shard
            else:
                taken = taken or shard
        rest = strangers or taken
        assert rest is not None, "An exposure with work has a ready shard."
        return rest, next(iter(self._free))
