"""Opens gates: makes shards ready whose inputs have ended, and begins passes of gathers."""

from __future__ import annotations

__all__ = ("Gates",)

from collections.abc import Sequence

from ..model import Shard
from ._day import DayProgress
from ._decisions import Decision, Drop, Give
from ._dispatcher import Dispatcher
from ._exposure import ExposureProgress
from ._known import Known
from ._progress import Progress
from ._steps import Place, State


class Gates:
    """Opens what gates can be opened of exposures, groups and days.

    Parameters
    ----------
    known
        The exposures, groups and days that have come.
    dispatcher
        Takes what is ready.
    """

    def __init__(self, known: Known, dispatcher: Dispatcher) -> None:
        self._known = known
        self._dispatcher = dispatcher
        self._timed: dict[Place, Progress] = {}
        self._told: list[Decision] = []

    # What is to be told

    def tell(self, decision: Decision) -> None:
        """Have something told that is not a dispatch."""
        self._told.append(decision)

    def take_told(self) -> list[Decision]:
        """Return what is to be told, once."""
        told, self._told = self._told, []
        return told

    @property
    def has_told(self) -> bool:
        """Whether something is to be told."""
        return bool(self._told)

    # Time

    def pass_time(self, now: float) -> list[Shard]:
        """Open what time alone opens; returns the shards behind it."""
        due = [found for found in self._timed.values() if found.due is not None and now >= found.due]
        for found in due:
            found.pass_time(now)
        return [shard for found in due for shard in self.advance(found, now)]

    @property
    def next_deadline(self) -> float | None:
        """When time alone opens something next; `None` if it does not."""
        times = (found.due for found in self._timed.values())
        return min((time for time in times if time is not None), default=None)

    # Gates

    def settle_in_day(self, place: Place, now: float) -> list[Shard]:
        """Have an exposure in its day as settled, if it is; returns what that makes ready."""
        day = self._known.settle_in_day(place)
        return [] if day is None else self.advance_day(day, now)

    def advance_day(self, day: DayProgress, now: float) -> list[Shard]:
        """Do what is due for a day; returns the shards that are ready."""
        if (withdraw := day.withdraw()) is not None:
            self._told.append(withdraw)
        if not day.finished:
            self.enter(day)
        return self._open(day, now)

    def advance(self, found: Progress, now: float, detector: int | None = None) -> list[Shard]:
        """Open what gates can be opened of an exposure and its group; returns the shards behind them.

        Where only a detector of an exposure has news, others of it wait for the same as before.
        """
        concerned = None
        if isinstance(found, ExposureProgress):
            concerned = None if detector is None else [detector]
        ready = self._open(found, now, concerned)
        if (group := self._known.group_of(found.place)) is not None:
            ready += self._open(group, now)
        return ready

    def _open(self, found: Progress, now: float, detectors: Sequence[int] | None = None) -> list[Shard]:
        ready: list[Shard] = []
        # Also what was shed is committed, which never came to be worked on.
        concerned = sorted(found.arrived if detectors is None else found.arrived.intersection(detectors))
        moved = True
        while moved:
            moved = self._begin_pass(found, now)
            for rule in found.rules:
                for detector in concerned if rule.per_detector else [None]:
                    known = (rule.label, detector) in found.states
                    if known or not found.gate_is_open(rule, detector, now):
                        continue
                    shard = found.shard(rule.label, detector)
                    if found.blocked(rule, detector):
                        found.end(shard, State.FAILED, now)
                        self._told.append(Give(shard, "an earlier step failed", 0))
                        moved = True
                    else:
                        self._dispatcher.make_ready(shard)
                        ready.append(shard)
        if found.finished:
            self._known.active.pop(found.place, None)
        if found.due is None:
            self._timed.pop(found.place, None)
        else:
            self._timed[found.place] = found
        return ready

    def _begin_pass(self, found: Progress, now: float) -> bool:
        """Begin the next pass of gathers, if it is due; tells whether it was."""
        coming = found.next_pass(now)
        if coming is None:
            return False
        removal = found.removal(coming)
        for shard in found.begin(coming):
            self._dispatcher.drop(shard)
            self._told.append(Drop(shard))
        if removal is not None:
            self._told.append(removal)
        return True

    def enter(self, found: Progress) -> None:
        """Have something to be done with it; what is of one newness in order of entry."""
        if found.place not in self._known.active:
            self._known.active[found.place] = found
            self._dispatcher.enter(found)
        else:
            self._dispatcher.requeue(found)
