"""What the conductor must know of a step, and how far one of its shards is."""

from __future__ import annotations

__all__ = ("RAW", "Place", "State", "StepRule")

import dataclasses
import enum

type Place = tuple[str, int | str]
"""An exposure, a group or a day: instrument, and number or name."""

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
        Whether a shard is all exposures of a group; otherwise it is one exposure, or all of a day.
    per_day
        Whether a shard is all exposures of an observing day.
    needs_commit
        Whether what it reads must be in the registry before it can be planned.
    """

    label: str
    per_detector: bool
    after: frozenset[str]
    per_group: bool = False
    per_day: bool = False
    needs_commit: bool = False


class State(enum.Enum):
    """How far a shard is."""

    WAITING = "waiting"
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self in {State.DONE, State.FAILED}
