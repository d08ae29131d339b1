"""When no worker was free: the part of a shard's latency that is no overhead of ours."""

from __future__ import annotations

__all__ = ("FreeWorkerClock",)

import bisect


class FreeWorkerClock:
    """Remembers the intervals in which no worker was free: until the first is warm, none is."""

    def __init__(self) -> None:
        self._begins = [float("-inf")]
        self._ends: list[float] = []
        self._latest = float("-inf")

    def update(self, free: int, now: float) -> None:
        """Tell how many workers are free now; a clock that was set back stands still until it catches up."""
        now = self._latest = max(now, self._latest)
        none_free = len(self._begins) > len(self._ends)
        if free == 0 and not none_free:
            self._begins.append(now)
        elif free > 0 and none_free:
            self._ends.append(now)

    def none_free(self, begin: float, end: float) -> float:
        """Return for how many seconds between two times no worker was free."""
        total = 0.0
        first = max(0, bisect.bisect_right(self._begins, begin) - 1)
        for i in range(first, len(self._begins)):
            if self._begins[i] >= end:
                break
            until = self._ends[i] if i < len(self._ends) else end
            total += max(0.0, min(until, end) - max(self._begins[i], begin))
        return total
