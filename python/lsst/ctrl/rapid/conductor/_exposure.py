"""How far an exposure is: its detectors, and the passes of its gathers."""

from __future__ import annotations

__all__ = ("ExposureProgress", "Gathering")

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import override

from ..model import Shard
from ._decisions import Replace
from ._pass import Pass
from ._progress import Progress
from ._steps import RAW, Place, State, StepRule


@dataclasses.dataclass(frozen=True, slots=True)
class Gathering:
    """When gathers run that not all detectors have come to.

    Attributes
    ----------
    timeout
        Seconds from the first ended detector until a partial gather.
    deadline
        Seconds from the first raw until the gather runs without the detectors that have not come.
    day_update
        After how many more exposures the steps of their observing day are made in part; 0: never.
    """

    timeout: float = math.inf
    deadline: float = math.inf
    day_update: int = 0


class ExposureProgress(Progress):
    """How far an exposure is.

    Parameters
    ----------
    pipeline, instrument, rules, newness
        As for `Progress`; the rules of groups and days are left out.
    exposure
        Its number.
    gathering
        When its gathers run without all detectors.
    came
        When its first raw came.
    expected
        Detectors that are processed.
    only
        Of these, the detectors of which a step is run, by label; all where it is not named.
    """

    def __init__(
        self,
        pipeline: str,
        instrument: str,
        exposure: int,
        rules: Iterable[StepRule],
        newness: float,
        gathering: Gathering,
        came: float,
        expected: frozenset[int],
        only: Mapping[str, frozenset[int]] | None = None,
    ) -> None:
        own = (rule for rule in rules if not rule.per_group and not rule.per_day)
        super().__init__(pipeline, instrument, own, newness)
        self.exposure = exposure
        self.expected = expected
        self.deadline = came + gathering.deadline
        self.timeout = gathering.timeout
        self._ended: dict[str, set[int]] = {rule.label: set() for rule in self.rules if rule.per_detector}
        self._whole: set[int] = set()
        self.first_ended: float | None = None
        self.gather: Pass | None = None
        self._overdue = False
        self._timed_out = False
        self._by_label = {rule.label: rule for rule in self.rules}
        self._labels = frozenset(rule.label for rule in self.rules if not rule.per_detector)
        self._only = _inherited(self.rules, only or {})
        self._before = _before_gathers(self.rules)
        self._at_once = _gathers_at_once(self.rules, self._before)
        self._first_gathers = [r.after for r in self.rules if not r.per_detector and r.after <= self._before]

    @property
    @override
    def place(self) -> Place:
        return self.instrument, self.exposure

    @override
    def shard(self, step: str, detector: int | None) -> Shard:
        partial, revision = False, 0
        if detector is None and self.gather is not None:
            partial, revision = self.gather.partial, self.gather.revision
        return Shard(
            self.pipeline, step, self.instrument, self.exposure, detector, partial=partial, revision=revision
        )

    # Events

    def arrive(self, detector: int, now: float) -> None:
        """A raw has come."""
        self.arrived.add(detector)
        self._note_detector(detector, now)

    @override
    def end(self, shard: Shard, state: State, now: float) -> None:
        if shard.detector is None and not self.is_current(shard):
            return
        super().end(shard, state, now)
        if shard.detector is not None:
            self._note_detector(shard.detector, now)

    def ended_earlier(self, shard: Shard, state: State, gathered: frozenset[int] | None = None) -> None:
        """A shard ended in an earlier run.

        Parameters
        ----------
        shard, state
            The shard, and how it ended.
        gathered
            Of a gather, the detectors that it took; `None` if it is not made again whatever comes.
        """
        if shard.detector is not None:
            self.arrived.add(shard.detector)
        else:
            if self.gather is None:
                self.gather = Pass(gathered or frozenset(), self._labels)
            self.gather.final = self.gather.final or gathered is None
        self.states[shard.step, shard.detector] = state
        self.committed.add((shard.step, shard.detector))
        if shard.detector is not None:
            self._note_detector(shard.detector, None)

    def _note_detector(self, detector: int, now: float | None) -> None:
        """Note what has ended of a detector; ``now`` unless it was in an earlier run."""
        for label, ended in self._ended.items():
            if self.has_ended(label, detector):
                ended.add(detector)
        if all(detector in self._ended[label] for label in self._before):
            self._whole.add(detector)
            if self.first_ended is None and now is not None:
                self.first_ended = now

    def is_current(self, shard: Shard) -> bool:
        """Tell whether a gather is of the pass that runs or has run last."""
        gather = self.gather
        return gather is not None and (gather.partial, gather.revision) == (shard.partial, shard.revision)

    def replaced(self) -> None:
        """What earlier passes made has been pruned."""
        if self.gather is not None:
            self.gather.held = False

    # Passes

    def complete(self, now: float) -> bool:
        """Tell whether no more detectors are waited for."""
        return bool(self.arrived) and (self.expected <= self.arrived or now >= self.deadline)

    @override
    def next_pass(self, now: float) -> Pass | None:
        last = self.gather
        if not self._labels or not self.arrived or (last is not None and not self._may_follow(last)):
            return None
        if self.complete(now) and self._can_begin():
            detectors = frozenset(self.arrived)
            if last is None or last.partial:
                return Pass(detectors, self._labels)
            if not last.final and detectors > last.detectors:
                return Pass(detectors, self._labels, revision=last.revision + 1, held=True)
            return None
        if last is None and self._at_once and self._is_timed_out(now) and self._has_one_done():
            return Pass(frozenset(self._whole), self._at_once, partial=True)
        return None

    @override
    def removal(self, coming: Pass) -> Replace | None:
        if not coming.held:
            return None
        shards = tuple(self.shard(rule.label, None) for rule in self.rules if not rule.per_detector)
        return Replace(self.instrument, self.exposure, shards)

    @override
    def begin(self, coming: Pass) -> list[Shard]:
        dropped = list(self.ready_of(None))
        for shard in dropped:
            self._waits_no_more(shard)
        for label in self._labels:
            self.states.pop((label, None), None)
            self.committed.discard((label, None))
        self.gather = coming
        return dropped

    def pass_time(self, now: float) -> None:
        """Note what has become due, so that it is not due again."""
        self._overdue = self._overdue or now >= self.deadline
        self._timed_out = self._timed_out or self._is_timed_out(now)

    def shift(self, seconds: float) -> None:
        """The clock was set by so many seconds: what is due moves with it."""
        self.deadline += seconds
        if self.first_ended is not None:
            self.first_ended += seconds

    def close(self, now: float) -> None:
        """No more raws will come."""
        self.deadline = min(self.deadline, now)
        self._overdue = self._timed_out = True

    @property
    @override
    def due(self) -> float | None:
        if not self.waits:
            return None
        times = [] if self._overdue else [self.deadline]
        if self.gather is None and self.first_ended is not None and not self._timed_out and self._at_once:
            times.append(self.first_ended + self.timeout)
        return min(times, default=None)

    def _can_begin(self) -> bool:
        """Tell whether all that some gather reads has ended, of all detectors that have come."""
        return any(all(self.all_ended(label) for label in after) for after in self._first_gathers)

    def _is_timed_out(self, now: float) -> bool:
        return self.first_ended is not None and now >= self.first_ended + self.timeout

    def _may_follow(self, last: Pass) -> bool:
        """Tell whether another pass may begin: the last one has ended, or is partial and has not begun."""
        states = [self.state(label, None) for label in last.labels]
        if last.partial and State.RUNNING not in states and not any(state.ended for state in states):
            return True
        if last.held or not all(state.ended for state in states):
            return False
        # What is removed before it is made again must have been registered before.
        return last.partial or all((label, None) in self.committed for label in last.labels)

    def _has_one_done(self) -> bool:
        return any(
            all(self.state(label, detector) is not State.FAILED for label in self._before)
            for detector in self._whole
        )

    # Gates

    @override
    def gate_is_open(self, rule: StepRule, detector: int | None, now: float) -> bool:
        if rule.per_detector:
            wanted = detector is not None and self.wants(rule.label, detector)
            open_now = wanted and all(self.has_ended(label, detector) for label in rule.after)
        else:
            gather = self.gather
            open_now = (
                gather is not None
                and not gather.held
                and rule.label in gather.labels
                and all(self._has_ended_of(label, gather) for label in rule.after)
            )
        return open_now and (not rule.needs_commit or self.is_committed(rule, detector))

    def _has_ended_of(self, label: str, gather: Pass) -> bool:
        """Tell whether a step has ended for all that a pass gathers, or in that pass."""
        if self._by_label[label].per_detector:
            return all(self.has_ended(label, detector) for detector in gather.detectors)
        return self.state(label, None).ended

    def wants(self, label: str, detector: int) -> bool:
        """Tell whether a step is run for a detector."""
        return label not in self._only or detector in self._only[label]

    def has_ended(self, label: str, detector: int | None) -> bool:
        """Tell whether a step has ended for a detector, or for all when it is a gather."""
        if self._by_label[label].per_detector:
            if detector is not None and not self.wants(label, detector):
                return True
            return self.state(label, detector).ended
        return self.gather is not None and not self.gather.partial and self.state(label, None).ended

    def all_ended(self, label: str) -> bool:
        """Tell whether a step has ended for all detectors that have come."""
        if label in self._ended:
            return len(self._ended[label]) == len(self.arrived)
        return self.has_ended(label, None)

    def is_committed(self, rule: StepRule, detector: int | None) -> bool:
        """Tell whether the raws and the earlier steps' products that a shard reads are in the registry."""
        detectors = self.arrived if detector is None else {detector}
        wanted: set[tuple[str, int | None]] = {(RAW, number) for number in detectors}
        for label in rule.after & self._by_label.keys():
            if self._by_label[label].per_detector:
                wanted |= {(label, number) for number in detectors if self.wants(label, number)}
            else:
                wanted.add((label, None))
        return wanted <= self.committed

    @override
    def blocked(self, rule: StepRule, detector: int | None) -> bool:
        for label in rule.after:
            earlier = self._by_label[label]
            if not earlier.per_detector and self.state(label, None) is State.FAILED:
                return True
            if earlier.per_detector and rule.per_detector and self.state(label, detector) is State.FAILED:
                return True
        return False

    @property
    @override
    def finished(self) -> bool:
        if self.ready or self._gather_is_open:
            return False
        for rule in self.rules:
            detectors = self.arrived if rule.per_detector else ()
            if any(self.wants(rule.label, d) and (rule.label, d) not in self.states for d in detectors):
                return False
        return all(state.ended for state in self.states.values())

    @property
    @override
    def waits(self) -> bool:
        return bool(self.arrived) and self._gather_is_open

    @property
    def _gather_is_open(self) -> bool:
        """Whether a pass of gathers is still to begin, or has shards that are not ready."""
        gather = self.gather
        if not self._labels:
            return False
        if gather is None or gather.partial:
            return True
        # The numbers first: it is asked for often.
        more = len(self.arrived) > len(gather.detectors) and self.arrived > gather.detectors
        if more and not gather.final:
            return True
        return any((label, None) not in self.states for label in self._labels)


def _before_gathers(rules: Iterable[StepRule]) -> frozenset[str]:
    """Return the steps for detectors that no gather comes before."""
    found: set[str] = set()
    for rule in rules:
        if rule.per_detector and rule.after <= found:
            found.add(rule.label)
    return frozenset(found)


def _gathers_at_once(rules: Iterable[StepRule], before: frozenset[str]) -> frozenset[str]:
    """Return the gathers that can run with some detectors, while others are still to come.

    Not those that read what is made of detectors after a gather, nor those planned from what is registered,
    where a partial result never is.
    """
    found: set[str] = set()
    for rule in rules:
        if not rule.per_detector and not rule.needs_commit and rule.after <= before | found:
            found.add(rule.label)
    return frozenset(found)


def _inherited(rules: Iterable[StepRule], only: Mapping[str, frozenset[int]]) -> Mapping[str, frozenset[int]]:
    """Return the detectors of each step that is not run for all: none without those that it reads from."""
    found: dict[str, frozenset[int]] = {}
    for rule in rules:
        if not rule.per_detector:
            continue
        limits = [found[label] for label in rule.after if label in found]
        if rule.label in only:
            limits.append(only[rule.label])
        if limits:
            found[rule.label] = frozenset.intersection(*limits)
    return found
