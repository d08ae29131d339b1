"""Gives back to the system what the heap of a worker process holds and nothing uses."""

from __future__ import annotations

__all__ = ("give_memory_back",)

import ctypes
import threading
import time
from collections.abc import Callable

_EVERY_SECONDS = 60.0


def give_memory_back(every: float = _EVERY_SECONDS) -> None:
    """Start a thread that does so time and again, as long as this process lives.

    Parameters
    ----------
    every
        Seconds between two times.

    Notes
    -----
    Workers keep what is freed (`lsst.ctrl.rapid._startup.WORKER_ENVIRONMENT`), for a quantum would page the
    images of the one before in anew.  But what lives long settles between what does not, so that with
    time the heap becomes larger than what was ever used at once: two workers of a simulated camera grew by 11
    to 13 MiB a minute.  Once a minute costs some hundredths of a second.  Nothing is done where the C
    library has no ``malloc_trim``.
    """
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return

    def go_on() -> None:
        while True:
            time.sleep(every)
            trim(0)

    threading.Thread(target=go_on, name="giving memory back", daemon=True).start()
