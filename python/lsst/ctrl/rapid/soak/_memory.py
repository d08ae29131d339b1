"""The resident memory of head and workers, and whether it grows."""

from __future__ import annotations

__all__ = ("MemorySampler", "fit_slope")

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import psutil

from ._result import Slope

_EVERY = 1.0
_WARM_UP = 30.0
"""Seconds of a process's life in which it fills its caches."""
_SHORTEST = 30.0
"""Seconds after that without which nothing can be said."""
_CORRELATED = 10
"""So many samples tell as much as one that is independent: memory is taken and given back by shards."""
_MOST = 150.0
"""MiB by which a warm process may grow in any case: calibrations of detectors that are new to it, and the
heap's ups and downs."""
_MIB = 2**20


class MemorySampler:
    """Looks at processes every second, in a thread of its own.

    Parameters
    ----------
    processes
        Returns those that are there, each with what it is; called in that thread.

    Attributes
    ----------
    samples
        By what a process is and its process ID: moments, UNIX seconds, and its memory, MiB.
    """

    def __init__(self, processes: Callable[[], Iterable[tuple[str, psutil.Process]]]) -> None:
        self._processes = processes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._main, name="memory", daemon=True)
        self.samples: defaultdict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _main(self) -> None:
        while not self._stop.wait(_EVERY):
            now = time.time()
            for what, process in self._processes():
                try:
                    resident = process.memory_info().rss / _MIB
                except psutil.Error:
                    continue
                if resident:  # a process that is ending has none
                    self.samples[what, process.pid].append((now, resident))

    def slopes(self, limit: float) -> list[Slope]:
        """Return how each process grew that lived long enough.

        Parameters
        ----------
        limit
            How fast it may, MiB a minute.
        """
        found = []
        for (what, pid), samples in sorted(self.samples.items(), key=lambda item: item[1][0]):
            slope = fit_slope(what, pid, samples, limit)
            if slope is not None:
                found.append(slope)
        return found


def fit_slope(what: str, pid: int, samples: Sequence[tuple[float, float]], limit: float) -> Slope | None:
    """Return how a process grew; `None` if it did not live long enough.

    Parameters
    ----------
    what, pid
        The process.
    samples
        Moments, seconds, and its memory, MiB; the first is of its start.
    limit
        How fast it may grow, MiB a minute.  It is too much if the slope of all samples but those of the
        warm-up is above it by more than twice its standard error, and so is that of their second half, and if
        it has grown by more than 150 MiB in all.
    """
    if not samples:
        return None
    warm = samples[0][0] + _WARM_UP
    values = np.array([one for one in samples if one[0] >= warm])
    if len(values) < 8 or values[-1, 0] - values[0, 0] < _SHORTEST:
        return None
    slope, error = _fit(values)
    later, later_error = _fit(values[len(values) // 2 :])
    minutes = float(values[-1, 0] - values[0, 0]) / 60
    return Slope(
        process=what,
        pid=pid,
        minutes=minutes,
        first_mib=values[0, 1],
        last_mib=values[-1, 1],
        slope=slope,
        error=error,
        later_slope=later,
        too_steep=slope - 2 * error > limit and later - 2 * later_error > limit and slope * minutes > _MOST,
    )


def _fit(values: np.ndarray) -> tuple[float, float]:
    """Return slope and standard error, per minute."""
    minutes = (values[:, 0] - values[:, 0].mean()) / 60
    spread = float((minutes**2).sum())
    slope = float((minutes * values[:, 1]).sum()) / spread
    residuals = values[:, 1] - values[:, 1].mean() - slope * minutes
    independent = max(3.0, len(values) / _CORRELATED)
    variance = float((residuals**2).mean()) * independent / (independent - 2)
    return slope, float(np.sqrt(variance / spread * len(values) / independent))
