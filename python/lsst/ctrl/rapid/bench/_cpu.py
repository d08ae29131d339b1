"""CPU seconds of processes and of all that they have started."""

from __future__ import annotations

__all__ = ("cpu_seconds",)

import contextlib
from collections.abc import Iterable

import psutil


def cpu_seconds(roots: Iterable[int]) -> float:
    """Return what process trees have used until now, user and system.

    Parameters
    ----------
    roots
        Process IDs of the trees' roots; one that has ended counts nothing.

    Notes
    -----
    A process counts what it has used and what its children had used that have ended and that it has waited
    for (``getrusage(2)``).  So the difference of two calls is what the tree has used in between, unless a
    process ended whose parent does not wait for it.
    """
    total = 0.0
    for root in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(root)
            for one in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = one.cpu_times()
                    total += times.user + times.system + times.children_user + times.children_system
    return total
