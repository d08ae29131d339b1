"""Notices that somebody has set the clock: what waits for a time must not wait for another one."""

from __future__ import annotations

__all__ = ("ClockWatch",)

import logging
import time
from collections.abc import Callable

_LOG = logging.getLogger(__name__)

_STEP_SECONDS = 1.0
"""A clock that is corrected by less than this, or little by little, is not told of."""


class ClockWatch:
    """Compares the clock with one that nobody sets.

    Parameters
    ----------
    clock, steady
        UNIX seconds, and seconds that always pass.
    """

    def __init__(
        self, clock: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._steady = steady
        self._offset = clock() - steady()

    def step(self) -> float:
        """Return by how many seconds the clock was set since this was last called; 0 if it was not."""
        offset = self._clock() - self._steady()
        step = offset - self._offset
        if abs(step) < _STEP_SECONDS:
            return 0.0
        self._offset = offset
        _LOG.warning(
            "The clock was set by %+.1f s. Gathers wait as long as they would have; times in the report are "
            "those of the clock.",
            step,
        )
        return step
