"""How far an exposure, and a group of exposures, is."""

from __future__ import annotations

__all__ = ("ExposureProgress", "GroupProgress", "Place", "Progress", "State", "StepRule", "Turn")

import abc
import dataclasses
import enum
from collections.abc import Iterable

from ..model import Shard

type Place = tuple[str, int | str]
"""An exposure or a group: instrument, and number or name."""

type Turn = tuple[float, int]
"""Whose turn is the least is next: the newest, of these what was entered first."""

RAW = ""
"""Stands for the raw among the steps whose products are committed."""


@dataclasses.dataclass(frozen=True, slots=True)
class StepRule:
    """What the conductor must know of a step.

    Attributes
    ----------
    label
        The step's label.
    per_detector
        Whether a shard is one detector; otherwise it gathers detectors.
    after
        Labels of the steps that must have ended before.
    per_group
        Whether a shard is all exposures of a group; otherwise it is one exposure.
    needs_commit
        Whether what it reads must be in the registry before it can be planned.
    """

    label: str
    per_detector: bool
    after: frozenset[str]
    per_group: bool = False
    needs_commit: bool = False


class State(enum.Enum):
    WAITING = "waiting"
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        return self in {State.DONE, State.FAILED}


class Progress(abc.ABC):
    """The shards of some steps of one exposure or one group."""

    def __init__(
        self, pipeline: str, instrument: str, rules: Iterable[StepRule], newness: float, deadline: float
    ) -> None:
        self.pipeline = pipeline
        self.instrument = instrument
        self.rules = tuple(rules)
        self.newness = newness
        self.deadline = deadline
        self.overdue = False
        self.arrived: set[int] = set()
        self.states: dict[tuple[str, int | None], State] = {}
        self.ready: dict[Shard, None] = {}
        self.committed: set[tuple[str, int | None]] = set()
        self.entered = 0
        self.queued: Turn | None = None

    @property
    def turn(self) -> Turn:
        """When it is its turn, compared with others."""
        return -self.newness, self.entered

    @property
    @abc.abstractmethod
    def place(self) -> Place:
        """Instrument, and number of the exposure or name of the group."""

    def make_ready(self, shard: Shard) -> None:
        self.states[shard.step, shard.detector] = State.READY
        self.ready[shard] = None

    def take(self, shard: Shard) -> None:
        del self.ready[shard]
        self.states[shard.step, shard.detector] = State.RUNNING

    def state(self, step: str, detector: int | None) -> State:
        return self.states.get((step, detector), State.WAITING)

    @abc.abstractmethod
    def shard(self, step: str, detector: int | None) -> Shard:
        """Return a step's shard, of all detectors if none is named."""

    @abc.abstractmethod
    def gate_is_open(self, rule: StepRule, detector: int | None, now: float) -> bool:
        """Tell whether all that a shard waits for has happened."""

    @abc.abstractmethod
    def blocked(self, rule: StepRule, detector: int | None) -> bool:
        """Tell whether a step cannot run because one that it reads from failed.

        A gather runs without the detectors that failed.
        """

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do for what has come so far."""
        wanted = sum(len(self.arrived) if rule.per_detector else 1 for rule in self.rules)
        if self.ready or len(self.states) < wanted:
            return False
        known = all(
            (rule.label, detector) in self.states
            for rule in self.rules
            for detector in (self.arrived if rule.per_detector else [None])
        )
        return known and all(state.ended for state in self.states.values())

    @property
    def is_settled(self) -> bool:
        """Whether everything that has ended is in the registry, or never will be."""
        return self.states.keys() <= self.committed

    @property
    def waits(self) -> bool:
        """Whether a gather has not become ready yet."""
        return bool(self.arrived) and any(
            not rule.per_detector and (rule.label, None) not in self.states for rule in self.rules
        )


class ExposureProgress(Progress):
    """How far an exposure is."""

    def __init__(
        self,
        pipeline: str,
        instrument: str,
        exposure: int,
        rules: Iterable[StepRule],
        newness: float,
        deadline: float,
        expected: frozenset[int],
    ) -> None:
        super().__init__(
            pipeline, instrument, (rule for rule in rules if not rule.per_group), newness, deadline
        )
        self.exposure = exposure
        self.expected = expected
        self._by_label = {rule.label: rule for rule in self.rules}

    @property
    def place(self) -> Place:
        return self.instrument, self.exposure

    def shard(self, step: str, detector: int | None) -> Shard:
        return Shard(self.pipeline, step, self.instrument, self.exposure, detector)

    def complete(self, now: float) -> bool:
        """Tell whether no more detectors are waited for."""
        return bool(self.arrived) and (self.expected <= self.arrived or now >= self.deadline)

    def gate_is_open(self, rule: StepRule, detector: int | None, now: float) -> bool:
        if rule.per_detector:
            open_now = all(self.has_ended(label, detector) for label in rule.after)
        else:
            open_now = self.complete(now) and all(self.all_ended(label) for label in rule.after)
        return open_now and (not rule.needs_commit or self.is_committed(rule, detector))

    def has_ended(self, label: str, detector: int | None) -> bool:
        """Tell whether a step has ended for a detector, or for all when it is a gather."""
        return self.state(label, detector if self._by_label[label].per_detector else None).ended

    def all_ended(self, label: str) -> bool:
        """Tell whether a step has ended for all detectors that have come."""
        if self._by_label[label].per_detector:
            return all(self.has_ended(label, detector) for detector in self.arrived)
        return self.has_ended(label, None)

    def is_committed(self, rule: StepRule, detector: int | None) -> bool:
        """Tell whether the raws and the earlier steps' products that a shard reads are in the registry."""
        detectors = self.arrived if detector is None else {detector}
        wanted: set[tuple[str, int | None]] = {(RAW, number) for number in detectors}
        for label in rule.after & self._by_label.keys():
            if self._by_label[label].per_detector:
                wanted |= {(label, number) for number in detectors}
            else:
                wanted.add((label, None))
        return wanted <= self.committed

    def blocked(self, rule: StepRule, detector: int | None) -> bool:
        for label in rule.after:
            earlier = self._by_label[label]
            if not earlier.per_detector and self.state(label, None) is State.FAILED:
                return True
            if earlier.per_detector and rule.per_detector and self.state(label, detector) is State.FAILED:
                return True
        return False


class GroupProgress(Progress):
    """How far the steps are that take all exposures of a group together.

    Parameters
    ----------
    pipeline, instrument, rules
        As for an exposure; only the rules of groups are taken.
    group
        Name of the group.
    size
        How many exposures it has, as their headers say.
    """

    def __init__(
        self, pipeline: str, instrument: str, group: str, size: int, rules: Iterable[StepRule]
    ) -> None:
        super().__init__(pipeline, instrument, (rule for rule in rules if rule.per_group), 0.0, 0.0)
        self.group = group
        self.size = size
        self.members: dict[int, ExposureProgress] = {}
        self._own = {rule.label for rule in self.rules}

    @property
    def place(self) -> Place:
        return self.instrument, self.group

    @property
    def waits(self) -> bool:
        return any(
            (rule.label, detector) not in self.states
            for rule in self.rules
            for detector in (self.arrived if rule.per_detector else [None])
        )

    def join(self, exposure: ExposureProgress) -> None:
        """Take in an exposure, or more of its detectors."""
        self.members[exposure.exposure] = exposure
        self.arrived |= exposure.arrived
        self.newness = max(member.newness for member in self.members.values())
        self.deadline = max(member.deadline for member in self.members.values())

    def shard(self, step: str, detector: int | None) -> Shard:
        *others, newest = sorted(self.members)
        return Shard(self.pipeline, step, self.instrument, newest, detector, self.group, tuple(others))

    def gate_is_open(self, rule: StepRule, detector: int | None, now: float) -> bool:
        if len(self.members) < self.size and now < self.deadline:
            return False
        members = self.members.values()
        for label in rule.after & self._own:
            own = next(found for found in self.rules if found.label == label)
            if own.per_detector and detector is None:
                if not all(self.state(label, number).ended for number in self.arrived):
                    return False
            elif not self.state(label, detector if own.per_detector else None).ended:
                return False
        earlier = rule.after - self._own
        if detector is None:
            there = all(m.complete(now) and all(m.all_ended(label) for label in earlier) for m in members)
        else:
            there = all(
                all(m.has_ended(label, detector) for label in earlier)
                if detector in m.arrived
                else m.complete(now)
                for m in members
            )
        return there and (
            not rule.needs_commit
            or all(
                m.is_committed(rule, detector) for m in members if detector is None or detector in m.arrived
            )
        )

    def blocked(self, rule: StepRule, detector: int | None) -> bool:
        for label in rule.after:
            if label in self._own:
                if State.FAILED in {self.state(label, None), self.state(label, detector)}:
                    return True
            elif all(
                State.FAILED in {member.state(label, None), member.state(label, detector)}
                for member in self.members.values()
            ):
                return True
        return False
