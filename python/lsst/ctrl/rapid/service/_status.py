"""What a person sees of a running executor."""

from __future__ import annotations

__all__ = ("ExposureStatus", "Status")

import dataclasses
from collections.abc import Sequence

from ..model import Outcome


@dataclasses.dataclass(slots=True)
class ExposureStatus:
    """How far an exposure is."""

    instrument: str
    exposure: int
    pipeline: str
    observation_type: str
    physical_filter: str
    expected: int
    arrived: int = 0
    ended: dict[int, Outcome] = dataclasses.field(default_factory=dict)
    """How each detector ended: it failed if any of its steps has."""
    gathered: str = "waits"
    announced: bool = False
    first_closed: float | None = None
    last_committed: float | None = None

    def detector_ended(self, detector: int, outcome: Outcome) -> None:
        """A step of a detector has ended."""
        if outcome is not Outcome.SHED and self.ended.get(detector) is not Outcome.FAILED:
            self.ended[detector] = outcome

    @property
    def done(self) -> int:
        """Detectors of which every step that has ended is done."""
        return sum(outcome is Outcome.DONE for outcome in self.ended.values())

    @property
    def failed(self) -> int:
        """Detectors of which a step failed."""
        return sum(outcome is Outcome.FAILED for outcome in self.ended.values())

    @property
    def running(self) -> int:
        """Detectors that have come and not ended."""
        return self.arrived - self.done - self.failed


@dataclasses.dataclass(frozen=True, slots=True)
class Status:
    """A moment of a running executor."""

    phase: str
    exposures: Sequence[ExposureStatus]
    workers: int
    free_workers: int
    running: int
    waiting: int
    uncommitted: int
    refused: int
    overhead_ms: float | None
    elapsed: float
