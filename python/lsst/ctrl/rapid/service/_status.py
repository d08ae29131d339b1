"""What a person sees of a running executor."""

from __future__ import annotations

__all__ = ("ExposureStatus", "Status")

import dataclasses
from collections.abc import Sequence


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
    done: int = 0
    failed: int = 0
    gathered: str = "waits"
    announced: bool = False
    first_closed: float | None = None
    last_committed: float | None = None

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
