"""What is done in every worker process before it is warmed, also in one that the nanny replaced."""

from __future__ import annotations

__all__ = ("CLOSED", "Separate")

import contextlib
import os
import signal
from pathlib import Path
from typing import override

import numpy as np
from distributed import Worker, WorkerPlugin

from .._lifeline import end_with_head, end_with_parent
from ._giving_back import give_memory_back

CLOSED = os.EX_UNAVAILABLE
"""Exit code of a worker process that was closed, or lost its connection to the head."""

_FIRST_TO_BE_KILLED = "500"
"""Half of the greatest preference there is; more than that of a head that has grown to half of the memory."""


class Separate(WorkerPlugin):
    """Part a worker process from the terminal and from its siblings, but not from the head."""

    @override
    def setup(self, worker: Worker) -> None:
        """Do so in the main thread of the worker process, where this is called."""
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        # It was forked with the state of the server's generator: all workers would draw the same numbers.
        np.random.seed()
        end_with_parent()  # for Dask takes it for dead when the fork server is
        end_with_head()
        give_memory_back()
        # When the system runs out of memory it kills a process: better a worker than the head.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_BE_KILLED)

    @override
    def teardown(self, worker: Worker) -> None:
        """End the process at once, and what it runs: the connection to the head is closed or lost.

        Nobody will hear how a shard ended that still runs, so it is not to write any more.
        """
        os._exit(CLOSED)
