"""One worker process, seen from the head: calls to its actor, and how it ended."""

from __future__ import annotations

__all__ = ("TimeLimitError", "WorkerAbsentError", "WorkerLostError", "WorkerProcess")

import asyncio
import signal
from typing import Any


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
    exited
        What will be its exit code; `None` if nobody here can tell.

    Attributes
    ----------
    actor
        Dask's proxy of its `ShardActor`.
    pid, host
        Where it is, known once it is warm.
    lost
        Done when it is gone.
    running
        Number of the call that runs a shard there; `None` if there is none.
    """

    def __init__(self, name: str, address: str, exited: asyncio.Future[int] | None) -> None:
        self.name = name
        self.address = address
        self.exited = exited
        self.actor: Any = None
        self.pid: int | None = None
        self.host = ""
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.running: int | None = None

    async def call(self, method: str, *args: bytes | int, timeout: float) -> bytes:  # noqa: ASYNC109
        """Call the actor, raced against the loss of its process and a deadline."""
        call: asyncio.Future[bytes] = asyncio.ensure_future(_awaited(getattr(self.actor, method)(*args)))
        both: list[asyncio.Future[Any]] = [call, self.lost]
        await asyncio.wait(both, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if call.done() and call.exception() is None:
            return call.result()
        if call.done() and not self.lost.done():
            # The connection broke a moment before the scheduler told of the loss.
            await asyncio.wait([self.lost], timeout=10)
        gone = self.lost.done() or call.done()
        call.cancel()
        if gone:
            raise self._loss(await self._exit_code())
        raise TimeoutError

    async def _exit_code(self) -> int | None:
        """Return how the process ended, which its nanny may learn a moment after the scheduler."""
        if self.exited is None:
            return None
        await asyncio.wait([self.exited], timeout=10)
        return self.exited.result() if self.exited.done() else None

    def _loss(self, code: int | None) -> WorkerLostError:
        """Return the error for a process that ended so."""
        if code is None:
            return WorkerLostError(f"worker process {self.pid} died")
        if code < 0:
            told = signal.strsignal(-code) or "unknown"
            return WorkerLostError(f"worker process {self.pid} was killed by signal {-code} ({told})", code)
        return WorkerLostError(f"worker process {self.pid} exited with code {code}", code)


async def _awaited(future: Any) -> bytes:
    answer: bytes = await future
    return answer
