"""How far the steps of an observing day are: made in part now and then, and whole when the day is over."""

from __future__ import annotations

__all__ = ("DayBefore", "DayProgress")

import enum
import math
from collections.abc import Iterable
from typing import override

from ..model import Shard, day_begins
from ._decisions import Withdraw
from ._pass import Pass
from ._progress import Progress
from ._steps import Place, State, StepRule

_DAY_SECONDS = 86400.0


class DayBefore(enum.Enum):
    """What earlier runs left of the steps of an observing day."""

    NOTHING = "nothing"
    """No exposure of it was processed."""

    OPEN = "open"
    """Exposures were processed, and no whole pass covers them."""

    HALF = "half"
    """A whole pass was begun and did not come to its end."""

    CLOSED = "closed"
    """A whole pass covers all exposures that were processed."""


class DayProgress(Progress):
    """How far the steps are that take all exposures of an observing day together.

    They are made in part, of all that is in the registry then, each time that so many more exposures have
    ended; each takes the place of the one before.  They are made whole when the day is over and nothing that
    has come of it is still to be done.  What is made whole is there only while it covers all exposures of
    which something has ended: it is withdrawn as soon as another one comes.

    Parameters
    ----------
    pipeline, instrument, rules
        As for an exposure; only the rules of days are taken.
    day_obs
        The day.
    every
        After how many more exposures they are made in part; 0: never.
    came
        When it was heard of first.
    """

    def __init__(
        self,
        pipeline: str,
        instrument: str,
        day_obs: int,
        rules: Iterable[StepRule],
        every: int,
        came: float,
    ) -> None:
        super().__init__(pipeline, instrument, (rule for rule in rules if rule.per_day), 0.0)
        self.day_obs = day_obs
        self._every = every
        self._labels = frozenset(rule.label for rule in self.rules)
        self._over_at = _end_of(day_obs)
        self._is_over = False
        self._was_shown = came >= self._over_at
        self._open: dict[int, None] = {}
        self._fresh = 0
        self._has_some = False
        self._is_closed = False
        self._is_withdrawn = False
        self._newest = 0
        self._newest_of_pass = 0
        self._passes = 0
        self._gather: Pass | None = None

    @staticmethod
    def place_of(pipeline: str, instrument: str, day_obs: int) -> Place:
        """Return where the steps of a pipeline for a day are found."""
        return instrument, f"{pipeline} day_obs={day_obs}"

    @property
    @override
    def place(self) -> Place:
        return self.place_of(self.pipeline, self.instrument, self.day_obs)

    @override
    def shard(self, step: str, detector: int | None) -> Shard:
        gather = self._gather
        partial, revision = (False, 0) if gather is None else (gather.partial, gather.revision)
        return self._shard(step, partial=partial, revision=revision)

    def _shard(self, step: str, *, partial: bool, revision: int) -> Shard:
        return Shard(
            self.pipeline,
            step,
            self.instrument,
            self._newest_of_pass,
            day_obs=self.day_obs,
            partial=partial,
            revision=revision,
        )

    # Events

    def resume(self, before: DayBefore) -> None:
        """Earlier runs left this of it."""
        self._has_some = before is not DayBefore.NOTHING
        self._is_closed = before in {DayBefore.CLOSED, DayBefore.HALF}
        self._fresh = int(before is DayBefore.HALF)

    def join(self, exposure: int) -> None:
        """Something of an exposure is to be done."""
        self._open[exposure] = None

    def is_open(self, exposure: int) -> bool:
        """Tell whether something of an exposure is still to be done."""
        return exposure in self._open

    @property
    def open_exposures(self) -> tuple[int, ...]:
        """The exposures of which something is still to be done."""
        return tuple(self._open)

    def settle(self, exposure: int, newness: float) -> None:
        """Everything that has come of an exposure has ended and is in the registry."""
        del self._open[exposure]
        self._fresh += 1
        self._has_some = True
        if newness >= self.newness:
            self.newness, self._newest = newness, exposure

    def commit(self, shard: Shard) -> None:
        """What a shard made is in the registry, or never will be."""
        gather = self._gather
        if gather is None or gather.revision != shard.revision:
            return
        self.committed.add((shard.step, None))
        if not gather.partial and not self._is_under_way:
            self._is_closed = True

    def withdraw(self) -> Withdraw | None:
        """Have what was made whole removed, if it does not cover all exposures any more."""
        if not self._is_closed or not (self._open or self._fresh):
            return None
        self._is_closed, self._is_withdrawn = False, True
        return self._withdraw(partial=False)

    def withdrawn(self) -> None:
        """What was to be removed is gone."""
        self._is_withdrawn = False
        if self._gather is not None:
            self._gather.held = False

    def _withdraw(self, *, partial: bool) -> Withdraw:
        labels = [rule.label for rule in self.rules]
        return Withdraw(tuple(self._shard(label, partial=partial, revision=0) for label in labels))

    # Passes

    @override
    def next_pass(self, now: float) -> Pass | None:
        if self._is_withdrawn or self._is_under_way:
            return None
        if self._is_over or now >= self._over_at:
            if self._is_closed or not self._has_some:
                return None
            if not self._open:
                return Pass(frozenset(), self._labels, revision=self._passes)
        # Where much waits when the day is over, what there is is shown once.
        wanted = 1 if now >= self._over_at and not self._was_shown else self._every
        if self._every and self._fresh >= wanted:
            self._was_shown = now >= self._over_at
            # An earlier run may have left one, too.
            return Pass(frozenset(), self._labels, partial=True, revision=self._passes, held=True)
        return None

    @override
    def removal(self, coming: Pass) -> Withdraw | None:
        return self._withdraw(partial=True) if coming.held else None

    @override
    def begin(self, coming: Pass) -> list[Shard]:
        for label in self._labels:
            self.states.pop((label, None), None)
            self.committed.discard((label, None))
        self._gather = coming
        self._newest_of_pass = self._newest
        self._passes += 1
        self._fresh = 0
        return []

    @property
    def _is_under_way(self) -> bool:
        return self._gather is not None and any((label, None) not in self.committed for label in self._labels)

    @property
    @override
    def due(self) -> float | None:
        wanted = not self._is_over and not self._is_closed and (self._has_some or self._open)
        return self._over_at if wanted and self._over_at < math.inf else None

    @override
    def pass_time(self, now: float) -> None:
        self._is_over = self._is_over or now >= self._over_at

    @override
    def shift(self, seconds: float) -> None:
        """A day ends when it ends, whatever the clock was before."""

    @override
    def close(self, now: float) -> None:
        # A day of which this run has done nothing goes on without it.
        self._is_over = self._is_over or bool(self._open or self._fresh or self._passes)

    # Gates

    @override
    def gate_is_open(self, rule: StepRule, detector: int | None, now: float) -> bool:
        if self._gather is None or self._gather.held or not self._is_under_way:
            return False
        return all((label, None) in self.committed for label in rule.after & self._labels)

    @override
    def blocked(self, rule: StepRule, detector: int | None) -> bool:
        return any(self.state(label, None) is State.FAILED for label in rule.after & self._labels)

    @property
    @override
    def finished(self) -> bool:
        if self.ready or self._is_under_way or self._is_withdrawn or self._open:
            return False
        return self._is_closed and not self._fresh

    @property
    @override
    def waits(self) -> bool:
        return False


def _end_of(day_obs: int) -> float:
    """Return when a day is over, UNIX seconds; never, if there is no such day."""
    try:
        return day_begins(day_obs) + _DAY_SECONDS
    except ValueError:
        return math.inf
