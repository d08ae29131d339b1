"""How far an exposure is."""

from __future__ import annotations

__all__ = ("ExposureProgress", "State", "StepRule")

import dataclasses
import enum
from collections.abc import Iterable

from ..model import Shard


@dataclasses.dataclass(frozen=True, slots=True)
class StepRule:
    """What the conductor must know of a step.

    Attributes
    ----------
    label
        The step's label.
    per_detector
        Whether a shard is one detector; otherwise it gathers an exposure.
    after
        Labels of the steps that must have ended before.
    """

    label: str
    per_detector: bool
    after: frozenset[str]


class State(enum.Enum):
    WAITING = "waiting"
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        return self in {State.DONE, State.FAILED}


class ExposureProgress:
    """How far an exposure is."""

    def __init__(
        self,
        pipeline: str,
        instrument: str,
        exposure: int,
        rules: Iterable[StepRule],
        newness: float,
        deadline: float,
    ) -> None:
        self.pipeline = pipeline
        self.instrument = instrument
        self.exposure = exposure
        self.rules = tuple(rules)
        self.newness = newness
        self.deadline = deadline
        self.overdue = False
        self.arrived: set[int] = set()
        self.states: dict[tuple[str, int | None], State] = {}
        self.ready: dict[Shard, None] = {}

    def shard(self, step: str, detector: int | None) -> Shard:
        return Shard(self.pipeline, step, self.instrument, self.exposure, detector)

    def rule(self, label: str) -> StepRule:
        return next(rule for rule in self.rules if rule.label == label)

    def make_ready(self, shard: Shard) -> None:
        self.states[shard.step, shard.detector] = State.READY
        self.ready[shard] = None

    def take(self, shard: Shard) -> None:
        del self.ready[shard]
        self.states[shard.step, shard.detector] = State.RUNNING

    def state(self, step: str, detector: int | None) -> State:
        return self.states.get((step, detector), State.WAITING)

    def has_ended(self, rule: StepRule, detector: int | None) -> bool:
        return self.state(rule.label, detector if rule.per_detector else None).ended

    def all_ended(self, rule: StepRule) -> bool:
        if rule.per_detector:
            return all(self.has_ended(rule, detector) for detector in self.arrived)
        return self.has_ended(rule, None)

    def blocked(self, rule: StepRule, detector: int | None) -> bool:
        """Tell whether a step cannot run because one that it reads from failed.

        A gather runs without the detectors that failed.
        """
        for earlier in map(self.rule, rule.after):
            if not earlier.per_detector and self.state(earlier.label, None) is State.FAILED:
                return True
            if (
                earlier.per_detector
                and rule.per_detector
                and self.state(earlier.label, detector) is State.FAILED
            ):
                return True
        return False

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do for what has come so far."""
        return not self.waits and not self.ready and all(state.ended for state in self.states.values())

    @property
    def waits(self) -> bool:
        """Whether a gather has not become ready yet."""
        return bool(self.arrived) and any(
            not rule.per_detector and (rule.label, None) not in self.states for rule in self.rules
        )
