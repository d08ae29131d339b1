"""What signals, and the loss of the terminal, mean to a run."""

from __future__ import annotations

__all__ = ("RunConsole", "signals_to")

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from typing import override

from rich.console import Console

from ..service import Executor

_LOG = logging.getLogger(__name__)

_INTERRUPTED_TWICE = 130
_STANDARD = (0, 1, 2)


class RunConsole(Console):
    """A console whose reader may go: what is printed then is lost, and the work goes on."""

    @override
    def on_broken_pipe(self) -> None:
        """Print nothing any more, where rich would end the process."""
        self.quiet = True
        _to_nowhere([self.file.fileno()])


@contextlib.contextmanager
def signals_to(executor: Executor) -> Iterator[None]:
    """Let SIGINT, SIGTERM and the end of the terminal stop a run, and a second one of the first two at once.

    SIGHUP while the terminal is there, or where there never was one, has the calibrations read anew.  Whoever
    has it ignored from the start, as ``nohup`` does, is not stopped by the end of the terminal.
    """
    loop = asyncio.get_running_loop()
    attached = _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    stopping = False

    def interrupted() -> None:
        nonlocal stopping
        if stopping:
            _LOG.error("Stopped at once; what was running is not registered.")
            executor.abandon()
            os._exit(_INTERRUPTED_TWICE)
        stopping = True
        executor.stop()

    def hung_up() -> None:
        nonlocal stopping
        if _has_terminal() or not attached:
            executor.reload()
            return
        _to_nowhere([number for number in _STANDARD if _is_dead_terminal(number)])
        if not stopping:  # shells send a signal of their own
            _LOG.warning("The terminal is gone.")
            stopping = True
            executor.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted)
    loop.add_signal_handler(signal.SIGHUP, hung_up)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)


def _has_terminal() -> bool:
    """Tell whether this process has a terminal that controls it."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _is_dead_terminal(descriptor: int) -> bool:
    """Tell whether nothing can be written there since its terminal is gone."""
    try:
        os.write(descriptor, b"")
    except OSError:
        return True
    return False


def _to_nowhere(descriptors: list[int]) -> None:
    """Have what is written there be lost."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
