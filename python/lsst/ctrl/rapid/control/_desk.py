"""Where orders are taken, whichever way they come: carried out, logged, remembered."""

from __future__ import annotations

__all__ = ("ControlDesk",)

import logging
import time
from collections import deque
from typing import assert_never

from ..model import InputError
from ._controllable import Controllable, NotNowError
from ._messages import (
    Answer,
    CatchUpRequest,
    DrainRequest,
    LiveSettings,
    PauseRequest,
    ReloadRequest,
    Request,
    ResumeRequest,
    SetRequest,
)
from ._status import Change, ClusterReport, StatusReport

_LOG = logging.getLogger(__name__)

_REMEMBERED = 20
_LONGEST = 500


class ControlDesk:
    """Takes orders for an executor.

    Parameters
    ----------
    executor
        What carries them out.

    Notes
    -----
    Every order is in the log with who gave it, through which way, and what became of it; the latest are in
    the status, too.
    """

    def __init__(self, executor: Controllable) -> None:
        self._executor = executor
        self._changes: deque[Change] = deque(maxlen=_REMEMBERED)

    @property
    def settings(self) -> LiveSettings:
        """What can be changed, as it is now."""
        return self._executor.settings

    def status(self) -> StatusReport:
        """Return how far the run is, and what was changed by whom."""
        return self._executor.status().model_copy(update={"changes": tuple(reversed(self._changes))})

    def cluster(self) -> ClusterReport:
        """Return what the workers do."""
        return self._executor.cluster()

    async def do(self, request: Request, through: str) -> Answer:
        """Carry an order out.

        Parameters
        ----------
        request
            The order.
        through
            Which way it came, and what the system tells of who sent it.

        Raises
        ------
        InputError
            If it can never be done.
        NotNowError
            If it cannot be done at this moment.
        """
        who = f"{request.by} ({through})"
        # On one line, whatever it holds: it must not look like another line of the log.
        what = " ".join(_described(request).split())[:_LONGEST]
        try:
            done = await self._carry_out(request)
        except (InputError, NotNowError) as err:
            _LOG.warning("%s: %s is refused: %s", who, what, err)
            self._changes.append(Change(time=time.time(), who=who, what=what, refused=str(err)))
            raise
        _LOG.info("%s: %s: %s", who, what, done)
        self._changes.append(Change(time=time.time(), who=who, what=what))
        return Answer(done=done)

    async def _carry_out(self, request: Request) -> str:
        executor, by = self._executor, request.by
        match request:
            case SetRequest():
                executor.change(request.changes, by)
                return "It holds from now on."
            case PauseRequest():
                executor.pause(by)
                return "Paused: what runs goes on, nothing more is begun, arrivals are taken in."
            case ResumeRequest():
                executor.resume(by)
                return "Resumed."
            case DrainRequest():
                executor.drain(by)
                return "Draining: what has come is finished, then the run ends."
            case ReloadRequest():
                return await executor.reload(by, code=request.code)
            case CatchUpRequest():
                return await executor.catch_up(request.since, request.where, by)
            case _:
                assert_never(request)


def _described(request: Request) -> str:
    match request:
        case SetRequest():
            return f"set {request.changes}"
        case PauseRequest():
            return "pause"
        case ResumeRequest():
            return "resume"
        case DrainRequest():
            return "drain"
        case ReloadRequest():
            return "reload, code too" if request.code else "reload"
        case CatchUpRequest():
            since = "" if request.since is None else f" since {request.since}"
            return f"catch up{since}" + (f" where {request.where}" if request.where else "")
        case _:
            assert_never(request)
