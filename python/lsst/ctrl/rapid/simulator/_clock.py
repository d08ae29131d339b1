"""The clock that the camera waits by."""

from __future__ import annotations

__all__ = ("SYSTEM_CLOCK", "Clock")

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time, and lets it pass."""

    def now(self) -> float:
        """Return the time, UNIX seconds."""
        ...

    def wait_until(self, moment: float) -> None:
        """Return when the time has come, at once if it has passed.

        Parameters
        ----------
        moment
            UNIX seconds.
        """
        ...


class _SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        return time.time()

    def wait_until(self, moment: float) -> None:
        wait = moment - time.time()
        if wait > 0:
            time.sleep(wait)


SYSTEM_CLOCK: Clock = _SystemClock()
