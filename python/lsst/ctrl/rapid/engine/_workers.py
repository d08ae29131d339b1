"""A pool of workers for a caller without an event loop: requests go in, events come out of a queue."""

from __future__ import annotations

__all__ = ("Ended", "Event", "Lost", "Ready", "Unfit", "Workers")

import asyncio
import dataclasses
import queue
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any
from uuid import UUID

from ._explicit import QuantaRequest
from ._messages import ShardResponse
from ._pool import WorkerPool
from ._process import WorkerLostError
from ._state import WorkerSetup


@dataclasses.dataclass(frozen=True)
class Ready:
    """A worker is warm and has nothing to do."""

    worker: str


@dataclasses.dataclass(frozen=True)
class Lost:
    """A worker process is dead; it will be replaced."""

    worker: str


@dataclasses.dataclass(frozen=True)
class Unfit:
    """A worker could not be warmed; it is tried again after a pause."""

    worker: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Ended:
    """A quantum ended on its worker, or with it."""

    worker: str
    quantum_id: UUID
    answer: ShardResponse | WorkerLostError


type Event = Ready | Lost | Unfit | Ended


class Workers:
    """A `WorkerPool` in a thread of its own.

    Parameters
    ----------
    setup
        What each worker is given.
    count
        How many.
    memory
        Bytes that each may take, as for the pool.

    Attributes
    ----------
    idle
        Names of the workers that are warm and have nothing to do.

    Notes
    -----
    The thread lives from construction to `close`, also while the caller does something else: Dask's
    heartbeats must go on for the workers to stay.
    """

    def __init__(self, setup: WorkerSetup, count: int, *, memory: float | None = None) -> None:
        self.idle: set[str] = set()
        self._count = count
        self._alive: set[str] = set()
        self._unfit: set[str] = set()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._pool = WorkerPool(
            setup,
            count,
            lambda name: self._events.put(Ready(name)),
            lambda name: self._events.put(Lost(name)),
            lambda name, reason: self._events.put(Unfit(name, reason)),
            memory=memory,
        )
        self._answers: dict[UUID, Future[ShardResponse | WorkerLostError]] = {}
        self._ended_last: UUID | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._started: Future[None] = Future()
        self._ended: Future[None] = Future()
        threading.Thread(target=self._work, name="workers", daemon=True).start()
        try:
            self._started.result()
        except BaseException:
            # Interrupted while they start: they must not outlive the caller's wish for them.
            if not self._ended.done():
                self.close()
            raise

    def next(self, timeout: float | None) -> Event | None:
        """Wait for what happens next.

        Parameters
        ----------
        timeout
            Seconds; `None` to wait as long as it takes, 0 to take only what has happened already.

        Returns
        -------
        event
            The event; `None` if nothing happened in time.

        Raises
        ------
        RuntimeError
            If no worker can be warmed.
        """
        if self._ended_last is not None:
            # The caller has taken it in, for it is here again.
            del self._answers[self._ended_last]
            self._ended_last = None
        try:
            event = self._events.get(timeout=timeout) if timeout != 0 else self._events.get_nowait()
        except queue.Empty:
            return None
        match event:
            case Ready(worker):
                self._alive.add(worker)
                self._unfit.discard(worker)
                self.idle.add(worker)
            case Lost(worker):
                self._alive.discard(worker)
                self.idle.discard(worker)
            case Unfit(worker, reason):
                self._unfit.add(worker)
                if len(self._unfit) == self._count:
                    raise RuntimeError(f"No worker could be warmed; the last one said: {reason}")
            case Ended(worker, quantum_id, answer):
                self._ended_last = quantum_id
                # The loss of a worker that answered just before may have been told already.
                if not isinstance(answer, WorkerLostError) and worker in self._alive:
                    self.idle.add(worker)
        return event

    def run(self, worker: str, quantum_id: UUID, request: QuantaRequest, timeout: float) -> None:
        """Send a quantum to an idle worker; an `Ended` event will tell how it ended.

        Parameters
        ----------
        worker
            The worker's name.
        quantum_id
            The quantum, for the event.
        request
            The request with this one quantum.
        timeout
            Seconds after which the worker process is ended.
        """
        self.idle.discard(worker)
        told = self._answers[quantum_id] = Future()

        async def run() -> None:
            answer: ShardResponse | WorkerLostError
            try:
                answer = await self._pool.run_quanta(worker, request, timeout)
            except WorkerLostError as err:
                answer = err
            told.set_result(answer)
            self._events.put(Ended(worker, quantum_id, answer))

        def begin() -> None:
            task = self._loop.create_task(run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._loop.call_soon_threadsafe(begin)

    def answer(self, quantum_id: UUID) -> ShardResponse | WorkerLostError:
        """Wait for how a quantum ended that the caller has not taken in yet.

        An interrupt may strike when its event has left the queue and not reached the caller: who is about to
        give up asks here.
        """
        return self._answers[quantum_id].result()

    def end(self, worker: str) -> None:
        """End a worker process and what it runs; it is replaced.  Returns when it is dead."""
        self._wait(self._pool.end(worker))

    def close(self) -> None:
        """End all worker processes."""
        if not self._ended.done():
            self._loop.call_soon_threadsafe(self._closing.set)
        self._ended.result()

    def _work(self) -> None:
        """Run the pool, in the thread."""
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._live())
        except BaseException as err:  # noqa: BLE001 -- raised where the caller waits
            for waited in (self._ended, self._started):
                if not waited.done():
                    waited.set_exception(err)
        else:
            self._ended.set_result(None)

    async def _live(self) -> None:
        """Start the pool and end it in one task, whose context Dask's client changes and restores."""
        try:
            await self._pool.open()
            await self._pool.warm()
            self._started.set_result(None)
            await self._closing.wait()
        finally:
            await self._pool.close()

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()
