"""The workers, seen from the head: start, warm, call one shard at a time, notice death, end what hangs."""

from __future__ import annotations

__all__ = ("WorkerPool",)

import asyncio
import contextlib
import itertools
import logging
import pickle
import signal
from collections.abc import Callable, Mapping
from typing import Any

import dask
from distributed import Client, LocalCluster
from distributed.utils import get_mp_context

from .._startup import WORKER_ENVIRONMENT, interrupts_ignored, start_fork_server
from ..model import WorkersSpec
from ._explicit import QuantaRequest
from ._memory import memory_limit
from ._messages import ShardRequest, ShardResponse, WarmUp
from ._nanny import WatchedNanny
from ._network import cluster_options
from ._plugin import Separate
from ._process import TimeLimitError, WorkerAbsentError, WorkerLostError, WorkerProcess
from ._state import WorkerSetup
from ._worker import ShardActor

_LOG = logging.getLogger(__name__)

_DASK_CONFIG = {
    # The actor's memory is the work itself: Dask must neither spill nor pause a worker for it, only end one
    # that takes more than it may.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 1.0,
    # A task that holds the interpreter keeps its worker from saying that it lives; its time limit ends it.
    "distributed.scheduler.worker-ttl": None,
    # The nanny replaces a worker, however long that takes.
    "distributed.deploy.lost-worker-timeout": "36500d",
    "distributed.admin.tick.limit": "60s",
    # Nobody looks at what Dask measures of itself, fifty times a second in each of its parts.
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "30s",
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.worker.profile.enabled": False,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.allowed-failures": 1_000_000,
    "distributed.worker.daemon": True,
    # A replaced worker is warm at once, too.
    "distributed.worker.multiprocessing-method": "forkserver",
    "distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT,
}

_WARM_UP_SECONDS = 300.0

_ASK_SECONDS = 60.0
"""A task that holds the interpreter may keep its worker from hearing what it is asked."""

_START_SECONDS = 300.0
_END_SECONDS = 60.0


class WorkerPool:
    """Warm worker processes on Dask, each with one `ShardActor`.

    Parameters
    ----------
    setup
        What each worker is given.
    workers
        How many.
    on_ready
        Called in the event loop with a worker's name when it can take a shard, also after it was replaced.
    on_lost
        Called in the event loop with the name of a worker that can take none any more.
    on_failed
        Called in the event loop, each time, with the name of a worker that could not be warmed, and why.
    network
        How head and workers reach each other; on this machine only if `None`.
    memory
        Bytes that each worker may take before its process is ended; `None`: as `memory_limit` says.

    Raises
    ------
    InputError
        If that is not possible.

    Notes
    -----
    Every await on a worker is raced against its loss and a deadline, so none hangs.  A worker that dies
    is replaced by its nanny under the same name, and warmed; so is one that could not be warmed, after a
    pause that becomes longer each time.
    """

    def __init__(
        self,
        setup: WorkerSetup,
        workers: int,
        on_ready: Callable[[str], None],
        on_lost: Callable[[str], None],
        on_failed: Callable[[str, str], None],
        *,
        network: WorkersSpec | None = None,
        memory: float | None = None,
    ) -> None:
        self._setup = pickle.dumps(setup)
        self._count = workers
        self._memory = int(memory or memory_limit(workers))
        self._on_ready = on_ready
        self._on_lost = on_lost
        self._on_failed = on_failed
        self._network = cluster_options(network or WorkersSpec())
        self._stack = contextlib.AsyncExitStack()
        self._client: Any = None  # distributed's client; its methods are not typed
        self._nannies: Mapping[Any, WatchedNanny] = {}
        self._workers: dict[str, WorkerProcess] = {}
        self._prepared: set[str] = set()
        self._calls = itertools.count(1)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False

    async def open(self) -> None:
        """Start the processes; they do nothing until `warm`.

        Raises
        ------
        RuntimeError
            If they do not start.
        """
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._open()
        except TimeoutError:
            raise RuntimeError(f"The worker processes did not start within {_START_SECONDS:g} s.") from None

    async def _open(self) -> None:
        self._stack.enter_context(dask.config.set(_DASK_CONFIG))
        get_mp_context()  # it sets modules of its own, once; ours must come after
        start_fork_server([__package__])
        with interrupts_ignored():
            cluster = await self._stack.enter_async_context(
                LocalCluster(
                    worker_class=WatchedNanny,
                    n_workers=self._count,
                    threads_per_worker=1,
                    processes=True,
                    asynchronous=True,
                    dashboard_address="127.0.0.1:0",
                    scheduler_kwargs={"dashboard": False},
                    memory_limit=self._memory,
                    silence_logs=logging.CRITICAL,
                    **self._network,
                )
            )
        client: Any = await self._stack.enter_async_context(
            # Else each call goes through the scheduler, both ways.
            Client(cluster, asynchronous=True, direct_to_workers=True)
        )
        self._client = client
        self._nannies = cluster.workers
        await client.register_plugin(Separate(), name="separate")

    async def warm(self) -> None:
        """Begin to warm the workers; `on_ready` tells when each can take a shard."""
        client = self._client
        client.subscribe_topic("all", self._on_event)
        self._stack.callback(client.unsubscribe_topic, "all")
        known = await client.scheduler.identity(n_workers=-1)
        for address in known["workers"]:
            self._spawn(self._prepare(address))

    async def close(self) -> None:
        """End all workers; what runs is lost."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        for worker in self._workers.values():
            worker.lost.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                await self._stack.aclose()

    def kill(self) -> None:
        """End the worker processes at once, without waiting."""
        self._closing = True
        for worker in self._workers.values():
            worker.kill()

    async def run(self, name: str, request: ShardRequest, timeout: float) -> ShardResponse:  # noqa: ASYNC109
        """Run a shard on a worker.

        Parameters
        ----------
        name
            The worker's name.
        request
            The shard.
        timeout
            Seconds after which the worker process is ended.

        Raises
        ------
        WorkerLostError
            If there is no answer: the process is dead when this is raised, so nothing is written any more.
        """
        return await self._call(name, "run", request.model_dump_json().encode(), timeout)

    async def run_quanta(
        self,
        name: str,
        request: QuantaRequest,
        timeout: float,  # noqa: ASYNC109
    ) -> ShardResponse:
        """Run quanta that were planned elsewhere on a worker.

        Parameters
        ----------
        name
            The worker's name.
        request
            The quanta.
        timeout
            Seconds for all of them, after which the worker process is ended.

        Raises
        ------
        WorkerLostError
            If there is no answer: the process is dead when this is raised, so nothing is written any more.
            A `TimeLimitError` if that was for the deadline, a `WorkerAbsentError` if nothing has begun.
        """
        return await self._call(name, "run_quanta", pickle.dumps(request), timeout)

    async def _call(self, name: str, method: str, request: bytes, seconds: float) -> ShardResponse:
        worker = self._workers.get(name)
        if worker is None or worker.running is not None:
            raise WorkerAbsentError(f"worker {name} was lost before the shard reached it")
        worker.running = next(self._calls)
        try:
            answer = await worker.call(method, request, worker.running, timeout=seconds)
        except TimeoutError:
            await self._end(worker)
            raise TimeLimitError(
                f"time limit of {seconds:g} s exceeded; worker process {worker.pid} was ended",
                -signal.SIGKILL,
            ) from None
        finally:
            worker.running = None
        return ShardResponse.model_validate_json(answer)

    def ask_yield(self, name: str) -> bool:
        """Ask the shard that a worker has now to stop before its next quantum; returns at once.

        Its `run` or `run_quanta` returns a response that has ``yielded`` set, unless nothing was left to be
        run.  Only that shard hears of it, however late the request reaches the worker.

        Parameters
        ----------
        name
            The worker's name.

        Returns
        -------
        asked
            `False` if nobody was asked: the worker is gone, or nothing has been sent to it.
        """
        worker = self._workers.get(name)
        if worker is None or worker.running is None:
            return False
        self._spawn(self._ask_yield(worker, worker.running))
        return True

    async def _ask_yield(self, worker: WorkerProcess, call: int) -> None:
        try:
            await worker.call("ask_yield", call, timeout=_ASK_SECONDS)
        except (WorkerLostError, TimeoutError) as err:
            _LOG.debug("Worker %s could not be asked to yield: %s", worker.name, err)

    async def end(self, name: str) -> None:
        """End a worker process, and what it runs; it is replaced.  Returns when it is known to be dead."""
        worker = self._workers.get(name)
        if worker is not None:
            await self._end(worker)

    def pid(self, name: str) -> int | None:
        """Return the process ID of a worker that is warm."""
        worker = self._workers.get(name)
        return None if worker is None else worker.pid

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _on_event(self, event: tuple[float, dict[str, Any]]) -> None:
        _, message = event
        if self._closing:
            return
        match message.get("action"):
            case "add-worker":
                self._spawn(self._prepare(message["worker"]))
            case "remove-worker":
                self._lose(message["worker"])

    async def _prepare(self, address: str) -> None:
        """Put an actor on a worker process and warm it."""
        if address in self._prepared:
            return
        self._prepared.add(address)
        known = await self._client.scheduler.identity(n_workers=-1)
        if address not in known["workers"]:
            return
        number = known["workers"][address]["name"]
        nanny = self._nannies.get(number)
        name = f"worker-{number}"
        worker = self._workers[name] = WorkerProcess(name, address, nanny)
        try:
            answer = await self._warm(worker)
            if not answer.ok:
                raise RuntimeError(answer.reason)
        except Exception as err:  # noqa: BLE001 -- whatever it is, the worker cannot be used
            reason = str(err) or f"it took longer than {_WARM_UP_SECONDS:g} s"
            if self._workers.get(name, worker) is worker and not self._closing:
                self._on_failed(name, reason)
            await self._end(worker)
            return
        worker.pid = answer.pid
        if nanny is not None:
            nanny.pauses.succeeded()
        _LOG.info("Worker %s (process %d) is warm after %.1f s.", name, answer.pid, answer.seconds)
        self._on_ready(name)

    async def _warm(self, worker: WorkerProcess) -> WarmUp:
        """Put an actor on a worker process and have it build its state."""
        placed = self._client.submit(
            ShardActor,
            self._setup,
            actor=True,
            workers=[worker.address],
            allow_other_workers=False,
            pure=False,
        )
        worker.actor = await worker.race(placed, _WARM_UP_SECONDS)
        return WarmUp.model_validate_json(await worker.call("warm", timeout=_WARM_UP_SECONDS))

    def _lose(self, address: str) -> None:
        for name, worker in list(self._workers.items()):
            if worker.address == address:
                del self._workers[name]
                if not worker.lost.done():
                    worker.lost.set_result(None)
                _LOG.warning("Worker %s (process %s) is gone; it will be replaced.", name, worker.pid)
                self._on_lost(name)
                # Dask may say so of one that lives: it would never be replaced.
                self._spawn(worker.bury())

    async def _end(self, worker: WorkerProcess) -> None:
        """End a worker process and wait until it is known to be gone."""
        if not worker.kill():
            # Its nanny, which is elsewhere, kills it if it does not end by itself.
            with contextlib.suppress(TimeoutError, OSError):
                async with asyncio.timeout(_END_SECONDS):
                    await self._client.restart_workers(
                        [worker.address], timeout=_END_SECONDS, raise_for_error=False
                    )
        await asyncio.wait([worker.lost], timeout=_END_SECONDS)
        if not self._closing:
            self._lose(worker.address)
            await worker.bury()
