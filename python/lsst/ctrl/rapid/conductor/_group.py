"""How far a group of exposures is."""

from __future__ import annotations

__all__ = ("GroupProgress",)

from collections.abc import Iterable
from typing import override

from ..model import Shard
from ._exposure import ExposureProgress
from ._progress import Progress
from ._steps import Place, State, StepRule


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
        super().__init__(pipeline, instrument, (rule for rule in rules if rule.per_group), 0.0)
        self.group = group
        self.size = size
        self.members: dict[int, ExposureProgress] = {}
        self._own = {rule.label for rule in self.rules}
        self._deadline = 0.0
        self._overdue = False

    @property
    @override
    def place(self) -> Place:
        return self.instrument, self.group

    @property
    @override
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
        self._deadline = max(member.deadline for member in self.members.values())

    def pass_time(self, now: float) -> None:
        """Note what has become due, so that it is not due again."""
        self._overdue = self._overdue or now >= self._deadline

    def shift(self, seconds: float) -> None:
        """The clock was set by so many seconds: what is due moves with it."""
        self._deadline += seconds

    def close(self, now: float) -> None:
        """No more raws will come."""
        self._deadline = min(self._deadline, now)
        self._overdue = True

    @property
    @override
    def due(self) -> float | None:
        return self._deadline if self.waits and not self._overdue else None

    @property
    @override
    def finished(self) -> bool:
        if self.ready or self.waits:
            return False
        return all(state.ended for state in self.states.values())

    def ended_earlier(self, shard: Shard, state: State) -> None:
        """A shard ended in an earlier run."""
        self.states[shard.step, shard.detector] = state
        self.committed.add((shard.step, shard.detector))

    @override
    def shard(self, step: str, detector: int | None) -> Shard:
        *others, newest = sorted(self.members)
        return Shard(self.pipeline, step, self.instrument, newest, detector, self.group, tuple(others))

    @override
    def gate_is_open(self, rule: StepRule, detector: int | None, now: float) -> bool:
        if len(self.members) < self.size and now < self._deadline:
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

    @override
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
