"""Processes that end with the one that started them, whatever they are doing."""

from __future__ import annotations

__all__ = ("end_with_head", "end_with_parent")

import ctypes
import fcntl
import multiprocessing
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_GONE = 1


def end_with_head() -> None:
    """Have the system kill this process as soon as the process that started it is gone.

    That is the process that asked `multiprocessing` for this one, also if a fork server made it.

    Notes
    -----
    `multiprocessing` gives each process that it starts the reading end of a pipe whose writing end its parent
    alone holds, which the kernel closes however the parent ends.  The kernel is asked to send SIGKILL then.
    So it does not matter whether a thread of this process could run: a task may hold the interpreter for
    hours, and a stopped process runs nothing at all.  Other systems than Linux have no such signal.
    """
    parent = multiprocessing.parent_process()
    if parent is None or sys.platform != "linux":
        return
    pipe = parent.sentinel
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    if not parent.is_alive():  # it went before the kernel was asked
        os._exit(_GONE)


def end_with_parent() -> None:
    """Have the system kill this process when the one that forked it dies: a fork server, not the head."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
