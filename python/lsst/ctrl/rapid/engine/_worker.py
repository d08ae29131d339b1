"""What lives in a worker process: one actor that holds everything warm and runs one shard at a time."""

from __future__ import annotations

__all__ = ("ShardActor",)

import gc
import os
import pickle
import socket
import time
from collections.abc import Callable

from lsst.daf.butler.cli.cliLog import CliLog

from .._earth_orientation import use_local_table
from .._phases import Phase, reached
from ..model import LogSettings
from ._execution import explain
from ._explicit import QuantaRequest
from ._messages import ShardRequest, ShardResponse, WarmUp
from ._state import WorkerSetup, WorkerState

_FULL_COLLECTION = 50
"""After so many shards all garbage is collected, not only that of the shard."""


class ShardActor:
    """The actor of a worker process.

    Parameters
    ----------
    setup
        A pickled `WorkerSetup`.

    Notes
    -----
    Methods never raise and return bytes: an exception or result that cannot be unpickled would hang the
    caller.  The state is built in `warm`, in the thread that runs all methods, not with the actor, which Dask
    constructs in another one.
    """

    def __init__(self, setup: bytes) -> None:
        self._setup = setup
        self._state: WorkerState | None = None
        self._shards = 0
        self._asked: int | None = None

    def warm(self) -> bytes:
        """Build the state: imports, datastore, plans.

        Returns
        -------
        answer
            A `WarmUp`, serialised.
        """
        start = time.monotonic()
        reason = ""
        try:
            setup: WorkerSetup = pickle.loads(self._setup)  # noqa: S301 -- made by the head of this very run
            _initialise_logging(setup.log)
            use_local_table()
            self._state = WorkerState(setup)
        except BaseException as err:  # noqa: BLE001 -- see the class
            reason = f"{type(err).__name__}: {err}"
        if not reason:
            # What is here now stays and is not looked through again; tasks run with collection on.
            gc.collect()
            gc.freeze()
            gc.enable()
        answer = WarmUp(
            ok=not reason,
            reason=reason,
            pid=os.getpid(),
            host=socket.gethostname(),
            seconds=time.monotonic() - start,
        )
        return answer.model_dump_json().encode()

    async def ask_yield(self, call: int) -> bytes:
        """Have a call end before its next quantum; Dask runs this beside it.

        Parameters
        ----------
        call
            The call's number.  If it has ended already, nobody else is stopped for it.
        """
        self._asked = call
        return b""

    def run(self, request: bytes, call: int = 0) -> bytes:
        """Run a shard.

        Parameters
        ----------
        request
            A `ShardRequest`, serialised.
        call
            The call's number, for `ask_yield`.

        Returns
        -------
        answer
            A `ShardResponse`, serialised.  What was written before a failure is in it.
        """

        def take(state: WorkerState, at: float) -> ShardResponse:
            shard = ShardRequest.model_validate_json(request)
            return state.run(shard, at, lambda: self._asked == call)

        return self._answer(take)

    def run_quanta(self, request: bytes, call: int = 0) -> bytes:
        """Run quanta that were planned elsewhere.

        Parameters
        ----------
        request
            A `QuantaRequest`, pickled.
        call
            The call's number, for `ask_yield`.

        Returns
        -------
        answer
            A `ShardResponse`, serialised.  What was written before a failure is in it.
        """

        def take(state: WorkerState, at: float) -> ShardResponse:
            quanta: QuantaRequest = pickle.loads(request)  # noqa: S301 -- made by the head of this very run
            return state.run_quanta(quanta, at, lambda: self._asked == call)

        return self._answer(take)

    def _answer(self, work: Callable[[WorkerState, float], ShardResponse]) -> bytes:
        """Do work, and answer whatever happens."""
        started = time.time()
        try:
            assert self._state is not None, "A worker is warmed before it is given shards."
            response = work(self._state, started)
        except BaseException as err:  # noqa: BLE001 -- see the class
            response = ShardResponse(ok=False, reason=explain(err), started=started, finished=time.time())
        reached(Phase.WRITTEN)
        answer = response.model_dump_json().encode()
        del response
        self._shards += 1
        gc.collect(2 if self._shards % _FULL_COLLECTION == 0 else 1)
        return answer


def _initialise_logging(log: LogSettings) -> None:
    """Set logging up as ``pipetask`` does: log datasets capture the root logger; terminals get nothing."""
    CliLog.initLog(longlog=True, log_tty=False, log_file=log.files)
    CliLog.setLogLevels([(component or None, level) for component, level in log.levels])
