"""What a person sees of a running executor."""

from __future__ import annotations

__all__ = ("ExposureStatus", "Status")

import dataclasses
from collections.abc import Container, Sequence

from ..commit import RegistryState
from ..conductor import Backlog
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
    ended: dict[int, dict[str, Outcome]] = dataclasses.field(default_factory=dict)
    """How the steps of each detector ended; ``""`` stands for those that an earlier run ended."""
    gathered: str = "waits"
    announced: bool = False
    first_closed: float | None = None
    last_committed: float | None = None

    def detector_ended(self, detector: int, step: str, outcome: Outcome) -> None:
        """A step of a detector has ended."""
        if outcome is not Outcome.SHED:
            self.ended.setdefault(detector, {})[step] = outcome

    def count(self, steps: Container[str]) -> tuple[int, int]:
        """Return how many detectors are done with some steps, and how many failed in one of them."""
        ends = [
            {outcome for step, outcome in outcomes.items() if not step or step in steps}
            for outcomes in self.ended.values()
        ]
        return sum(found == {Outcome.DONE} for found in ends), sum(Outcome.FAILED in found for found in ends)

    @property
    def done(self) -> int:
        """Detectors of which every step that has ended is done."""
        return sum(set(found.values()) == {Outcome.DONE} for found in self.ended.values())

    @property
    def failed(self) -> int:
        """Detectors of which a step failed."""
        return sum(Outcome.FAILED in found.values() for found in self.ended.values())

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
    registry: RegistryState
    refused: int
    shed: int
    backlog: Backlog | None
    troubles: Sequence[str]
    overhead_ms: float | None
    elapsed: float
