"""Quick starts: workers are forked from a process that imports once, while the head is still starting."""

from __future__ import annotations

__all__ = ("WORKER_ENVIRONMENT", "interrupts_ignored", "start_fork_server", "uncollected")

import contextlib
import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver

WORKER_ENVIRONMENT = {
    # Dask has workers return memory to the system at once; images would be paged in anew for each quantum.
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_MMAP_THRESHOLD_": str(1 << 27),
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # A process with threads must not be forked; pyarrow's allocator would start one.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    # Dask gives all workers one seed; it must be there when the fork server starts.
    "PYTHONHASHSEED": "6640",
}
"""Environment of worker processes; a variable that the user has set stays as it is."""


def start_fork_server(preload: Sequence[str]) -> None:
    """Start the process from which workers are forked, if there is none yet; return while it imports.

    Parameters
    ----------
    preload
        Modules that it imports; what is not among them, each worker imports itself.  They must not start
        threads when they are imported.

    Notes
    -----
    Elsewhere than in the main thread the server does not ignore SIGINT.  The server ends when this process
    and all that were forked from the server have ended.
    """
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(preload))
    # The C libraries read these when a process starts: a forked one has them from the server or not at all.
    added = {name: value for name, value in WORKER_ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(added)
    try:
        with interrupts_ignored():
            forkserver.ensure_running()
    finally:
        for name in added:
            del os.environ[name]


@contextlib.contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Ignore SIGINT while processes are started: they inherit it, so that Ctrl-C reaches the head alone.

    Only a process's main thread can do so; from elsewhere nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Leave what is imported here to the end of the process: the garbage collector never looks through it.

    Looking through everything takes it some 0.1 s, again and again while modules are imported, later in the
    middle of a run, and at its end.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
