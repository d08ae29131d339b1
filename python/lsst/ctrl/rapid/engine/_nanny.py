"""Dask's nanny of one worker process: it replaces it, and tells how each process of it ended."""

from __future__ import annotations

__all__ = ("Exit", "WatchedNanny")

import asyncio
import contextlib
import dataclasses
import logging
import signal
from typing import Any, override

from distributed import Nanny
from distributed.core import Status

from ._memory import system_kills
from ._pauses import Pauses
from ._plugin import CLOSED

_LOG = logging.getLogger(__name__)

_START_SECONDS = 300.0
"""Longest time from the start of a process to its word that it is there."""

_MEGABYTE = 1e6


@dataclasses.dataclass(frozen=True)
class Exit:
    """How a worker process ended.

    Attributes
    ----------
    code
        Its exit code, negative if a signal killed it; 255 if that is not known.
    memory
        What is known of memory being the reason, in words; empty if nothing.
    """

    code: int
    memory: str = ""

    @override
    def __str__(self) -> str:
        """Return it in words that follow the name of the process."""
        if self.code < 0:
            told = signal.strsignal(-self.code) or "unknown"
            return f"was killed by signal {-self.code} ({told})" + (self.memory and f"; {self.memory}")
        if self.code == CLOSED:
            return "was closed, or lost its connection to the head"
        return f"exited with code {self.code}"


class WatchedNanny(Nanny):
    """A nanny that tells how its worker processes end, and replaces each, however often that takes.

    Parameters
    ----------
    *args, **kwargs
        As for Dask's nanny.

    Attributes
    ----------
    exited
        How the present worker process ended, once it has.
    pauses
        Those before a replacement; whoever has warmed a worker says that it succeeded.

    Notes
    -----
    Dask's nanny starts a replacement at once, again and again, and gives up for good when one cannot be
    started, or when a worker says that it closes, as it does when it has lost its connection.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.pauses = Pauses()
        self._replacing = False
        self._last: Exit | None = None
        self._memory = ""
        self._kills = system_kills()
        super().__init__(*args, **kwargs)

    @override
    def log_event(self, topic: str | list[str], msg: Any) -> None:
        """Learn that the worker process is ended for its memory."""
        super().log_event(topic, msg)  # type: ignore[no-untyped-call]  # upstream is untyped
        if topic == "worker-restart-memory":
            limit = self.memory_manager.memory_limit or 0
            self._memory = (
                f"out of memory: it used {msg['rss'] / _MEGABYTE:.0f} MB, and may use "
                f"{limit / _MEGABYTE:.0f} MB"
            )

    @override
    def close_gracefully(self, reason: str = "nanny-close-gracefully") -> None:
        """Leave it to whoever started this nanny to close it: the worker that says so is replaced."""

    @override
    def _on_worker_exit_sync(self, exitcode: int) -> None:
        memory, self._memory = self._memory, ""
        kills = system_kills()
        if not memory and exitcode == -signal.SIGKILL and kills > self._kills:
            memory = "out of memory: the system had none left, and has killed a process"
        self._kills = kills
        self._last = Exit(exitcode, memory)
        if not self.exited.done():
            self.exited.set_result(self._last)
        self.exited = self.exited.get_loop().create_future()
        if not self._replacing:
            super()._on_worker_exit_sync(exitcode)  # type: ignore[no-untyped-call]  # upstream is untyped

    @override
    async def instantiate(self) -> Status:
        """Start a worker process; one that takes another's place as often as it takes, after pauses."""
        if self.process is None:
            return await super().instantiate()
        self._replacing = True
        try:
            while self.status is Status.running:
                if (pause := self.pauses.next()) > 0:
                    _LOG.warning(
                        "Worker worker-%s was started %d time(s) and did not become warm; the last process "
                        "%s. It is started again in %g s.",
                        self.name,
                        self.pauses.failures - 1,
                        self._last or "could not be started",
                        pause,
                    )
                    await asyncio.sleep(pause)
                if self.status is Status.running and await self._start() is Status.running:
                    return Status.running
        finally:
            self._replacing = False
        return self.status

    async def _start(self) -> Status:
        """Start the process once; it is ended if it does not say in time that it is there."""
        assert self.process is not None, "There was one before."
        self._last = None
        try:
            async with asyncio.timeout(_START_SECONDS):
                return await self.process.start()
        except TimeoutError:
            _LOG.error("A process for worker worker-%s said nothing for %g s.", self.name, _START_SECONDS)
            if (started := self.process.process) is not None:
                with contextlib.suppress(ValueError):  # it has ended meanwhile
                    await started.kill()
                    await started.join(_START_SECONDS)
        except Exception as err:  # noqa: BLE001 -- whatever it is, it is tried again
            _LOG.error("No process for worker worker-%s could be started: %s", self.name, err)
        return Status.failed
