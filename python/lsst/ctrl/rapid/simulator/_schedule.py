"""What is still to come of the exposures that were taken, by the time when it is due."""

from __future__ import annotations

__all__ = ("Schedule",)

import heapq
from collections import defaultdict

from ._fate import Fate, Sending


class Schedule:
    """Puts what is to come in order: by the time when it is due, then as exposures and fates have it."""

    def __init__(self) -> None:
        self._due: list[tuple[float, bool, int, int, Sending]] = []
        self._held: defaultdict[int, list[tuple[float, int, Sending]]] = defaultdict(list)

    def close(self, fate: Fate, closed: float) -> None:
        """Add the raws of an exposure, and let go what waited for its shutter.

        Parameters
        ----------
        fate
            What happens to the exposure.  Each exposure is closed once, in the order of their numbers.
        closed
            When its shutter closed, UNIX seconds.
        """
        for index, sending in enumerate(fate.sendings):
            self._held[sending.after].append((closed, index, sending))
        for own, index, sending in self._held.pop(fate.number, ()):
            due = sending.due(own, closed)
            heapq.heappush(self._due, (due, sending.overtaken, sending.number, index, sending))

    @property
    def next_due(self) -> float | None:
        """When the next one is due, UNIX seconds; `None` if there is none or its shutter has yet to close."""
        return self._due[0][0] if self._due else None

    def pop(self, now: float) -> Sending | None:
        """Return what is due, the next in order, and forget it; `None` if nothing is.

        Parameters
        ----------
        now
            UNIX seconds.
        """
        return heapq.heappop(self._due)[-1] if self._due and self._due[0][0] <= now else None
