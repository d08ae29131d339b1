"""One worker process, seen from the head: calls to its actor, and how it ended."""

from __future__ import annotations

__all__ = ("TimeLimitError", "WorkerAbsentError", "WorkerLostError", "WorkerProcess")

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable
from typing import Any

from ._nanny import WatchedNanny

_TELL_SECONDS = 10.0
"""Longest time between the parts of Dask that learn how a process ended."""


class WorkerLostError(RuntimeError):
    """The worker died, or had to be ended, while it had a shard; the message says why.

    Parameters
    ----------
    message
        Why.
    exit_code
        Of the worker process, negative if a signal killed it; `None` if it is not known.
    """

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class WorkerAbsentError(WorkerLostError):
    """The worker was gone before the shard was sent: nothing of it has begun."""


class TimeLimitError(WorkerLostError):
    """The worker was ended because it took longer than it may."""


class WorkerProcess:
    """One worker process.

    Parameters
    ----------
    name
        The worker's name, which its replacement will have, too.
    address
        Where Dask reaches it.
    nanny
        Its nanny, if that is here; then the process is one of this machine.

    Attributes
    ----------
    actor
        Dask's proxy of its `ShardActor`.
    pid
        Its process ID; `None` if it is not known yet, or it is elsewhere and not warm.
    lost
        Done when it is gone.
    running
        Number of the call that runs a shard there; `None` if there is none.
    """

    def __init__(self, name: str, address: str, nanny: WatchedNanny | None) -> None:
        self.name = name
        self.address = address
        self.actor: Any = None
        self.pid: int | None = None if nanny is None else nanny.pid
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.running: int | None = None
        self._exited = None if nanny is None else nanny.exited

    async def call(self, method: str, *args: bytes | int, timeout: float) -> bytes:  # noqa: ASYNC109
        """Call the actor, raced against the loss of its process and a deadline.

        Raises
        ------
        TimeoutError
            If there is no answer in time.
        WorkerLostError
            If the process is gone, or out of reach.
        """
        answer: bytes = await self.race(getattr(self.actor, method)(*args), timeout)
        return answer

    async def race(self, work: Awaitable[Any], seconds: float) -> Any:
        """Await what needs the process, raced against its loss and a deadline.

        Raises
        ------
        TimeoutError
            If it is not done in time.
        WorkerLostError
            If the process is gone, or out of reach.
        """
        call = asyncio.ensure_future(_awaited(work))
        both: list[asyncio.Future[Any]] = [call, self.lost]
        try:
            await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if call.done() and call.exception() is None:
                return call.result()
            if call.done() and not self.lost.done():
                # The connection broke a moment before the scheduler told of the loss.
                await asyncio.wait([self.lost], timeout=_TELL_SECONDS)
            if not self.lost.done() and not call.done():
                raise TimeoutError
        finally:
            call.cancel()
        raise await self.bury()

    def kill(self) -> bool:
        """Send the process SIGKILL, if it is here; it does nothing more then, whatever it was doing.

        Returns
        -------
        here
            Whether it is, or was, a process of this machine.
        """
        if self._exited is None:
            return False
        if self.pid is not None and not self._exited.done():  # else another process may have its number
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        return True

    async def bury(self) -> WorkerLostError:
        """Make sure that a process which is lost is dead, as far as that can be done from here; returns why.

        Its nanny may learn a moment after the scheduler how it ended.  One that was out of reach is ended.
        """
        if self._exited is None:
            return WorkerLostError(f"worker process {self.pid} died, or is out of reach")
        await asyncio.wait([self._exited], timeout=_TELL_SECONDS)
        if self._exited.done():
            ended = self._exited.result()
            return WorkerLostError(f"worker process {self.pid} {ended}", ended.code)
        self.kill()
        await asyncio.wait([self._exited], timeout=_TELL_SECONDS)
        return WorkerLostError(f"worker process {self.pid} was out of reach, and was ended", -signal.SIGKILL)


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work
