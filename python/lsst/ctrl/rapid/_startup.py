"""Quick starts: head and workers share what is imported once."""

from __future__ import annotations

__all__ = (
    "WORKER_ENVIRONMENT",
    "fork_server_from_here",
    "interrupts_ignored",
    "seldom_collected",
    "start_fork_server",
    "uncollected",
    "worker_environment",
)

import contextlib
import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import forkserver, resource_tracker, util
from pathlib import Path
from typing import NoReturn

import setproctitle

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

_MALLOC_PARAMETERS = {-1: "MALLOC_TRIM_THRESHOLD_", -3: "MALLOC_MMAP_THRESHOLD_"}
"""Numbers of malloc.h, and the variables that stand for them."""

_NAME = "rapid-worker"

_SELDOM = (20_000, 10, 20)
"""Thresholds of the garbage collector, the first one thirty times Python's own."""


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
    with worker_environment(), interrupts_ignored():
        forkserver.ensure_running()


def fork_server_from_here(preload: Sequence[str]) -> None:
    """Make a copy of this process the one from which workers are forked, if there is none yet.

    What is imported already is imported for all.  Where that cannot be done the server is started as
    `start_fork_server` does: on other systems than Linux, and in a process that has threads.

    Parameters
    ----------
    preload
        Modules that the server imports in addition; they must not start threads when they are imported.

    Notes
    -----
    Call it as early as all is imported, before anything is opened: a worker has a copy of it all.
    """
    set_malloc = _malloc_setter()
    if set_malloc is None or len(list(Path("/proc/self/task").iterdir())) > 1:
        start_fork_server(preload)
        return

    def fork(path: object, args: Sequence[object], passfds: Sequence[int]) -> int:  # noqa: ARG001
        sys.stdout.flush()
        sys.stderr.flush()
        return os.fork() or _serve(str(args[-1]), passfds, set_malloc)

    resource_tracker.ensure_running()
    # The standard library starts the server with this function alone, and tells it by arguments what to do.
    spawn = util.spawnv_passfds
    try:
        util.spawnv_passfds = fork
        start_fork_server(preload)
    finally:
        util.spawnv_passfds = spawn


def _serve(code: str, passed: Sequence[int], set_malloc: Callable[[int, int], int]) -> NoReturn:
    """Do in a forked process what it would do as a new one that runs ``code``."""
    status = 1
    try:
        gc.freeze()
        gc.enable()
        first = 3
        for kept in sorted(passed):
            os.closerange(first, kept)
            first = kept + 1
        os.closerange(first, os.sysconf("SC_OPEN_MAX"))
        # Who stops the head by its name must not hit its workers.
        setproctitle.setproctitle(_NAME)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whatever the head does at it
        for parameter, variable in _MALLOC_PARAMETERS.items():
            set_malloc(parameter, int(os.environ[variable]))
        exec(code, {})  # noqa: S102 -- of the standard library, which a new process would be given
    except SystemExit:
        status = 0
    except BaseException:  # noqa: BLE001 -- whatever it is, it must not come back into the head's code
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _malloc_setter() -> Callable[[int, int], int] | None:
    """Return what does for this process what variables do for a new one; `None` elsewhere than in glibc."""
    if sys.platform != "linux":
        return None
    found: Callable[[int, int], int] | None = getattr(ctypes.CDLL(None), "mallopt", None)
    return found


@contextlib.contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Ignore SIGINT and SIGHUP while processes are started, which inherit that.

    So Ctrl-C, and the end of the terminal, reach the head alone.  Only a process's main thread can do so;
    from elsewhere nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def worker_environment() -> Iterator[None]:
    """Have the `WORKER_ENVIRONMENT` for a while.

    C libraries read it when they are loaded, or when a process starts: a forked one has it from the process
    that it was forked from or not at all.
    """
    added = {name: value for name, value in WORKER_ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


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


@contextlib.contextmanager
def seldom_collected() -> Iterator[None]:
    """Have the garbage collector look at what is made from now on, less often, and not at what is there.

    A process that lives for months and keeps a night's records is otherwise stopped for some 0.1 s, again and
    again, while all of it is looked through for little.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
