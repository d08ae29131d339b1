"""The processes of a soak: the executor's head with its workers, and the camera."""

from __future__ import annotations

__all__ = ("Camera", "Head")

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from ..control import SOCKET_NAME, ControlClient, ControlError, StatusReport

_POLL = 0.2
_START_SECONDS = 180.0
_STOP_SECONDS = 180.0


class _Command:
    """A command of ours in a process and a session of its own, with its log in a file."""

    def __init__(self, words: Sequence[str], log: Path) -> None:
        self.log = log
        self.started = time.time()
        with log.open("ab") as stream:
            self.process = subprocess.Popen(  # noqa: S603 -- our own command
                [sys.executable, "-m", "lsst.ctrl.rapid.cli", *words],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self.process.pid

    @property
    def ended(self) -> int | None:
        """Its exit code; `None` while it runs."""
        return self.process.poll()

    def kill(self) -> None:
        """Kill it; the processes that it has started are left."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int | None:
        """Send SIGTERM and wait until it has ended; returns its exit code, `None` if it had to be killed."""
        self.process.terminate()
        return self.wait(_STOP_SECONDS)

    def wait(self, seconds: float) -> int | None:
        """Wait until it ends by itself; returns its exit code, `None` if it had to be killed."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None


class Camera(_Command):
    """``rapid-exec simulate``."""


class Head(_Command):
    """``rapid-exec run``.

    Parameters
    ----------
    words
        Arguments of the command, ``run`` first.
    log
        Where its log goes.
    work_dir
        Its work folder.
    """

    def __init__(self, words: Sequence[str], log: Path, work_dir: Path) -> None:
        super().__init__(words, log)
        self._client = ControlClient(work_dir / SOCKET_NAME)
        self._seen: dict[int, psutil.Process] = {}

    def status(self) -> StatusReport | None:
        """Return how far it is; `None` if it does not answer."""
        with contextlib.suppress(ControlError):
            status = self._client.status()
            return status if status.pid == self.pid else None
        return None

    def do(self, order: Callable[[ControlClient], object]) -> str:
        """Give it an order; returns why it is not carried out, or ``""``."""
        try:
            order(self._client)
        except ControlError as err:
            return str(err)
        return ""

    def wait_until_running(self) -> bool:
        """Wait until its workers take work; `False` if it ends before, or does not get so far."""
        until = time.monotonic() + _START_SECONDS
        while self.ended is None and time.monotonic() < until:
            status = self.status()
            if (
                status is not None
                and status.phase == "running"
                and status.workers.warm == status.workers.wanted
            ):
                return True
            time.sleep(_POLL)
        return False

    def workers(self) -> list[psutil.Process]:
        """Return its worker processes that are there now."""
        found = list(self._find_workers())
        self._seen.update((one.pid, one) for one in found)
        return found

    def _find_workers(self) -> Iterator[psutil.Process]:
        # The head starts a fork server, the nannies have it fork the workers.
        with contextlib.suppress(psutil.Error):
            for server in psutil.Process(self.pid).children():
                with contextlib.suppress(psutil.Error):
                    yield from server.children()

    def end_leftovers(self, seconds: float = 0.0) -> int:
        """Kill workers that have outlived it by so many seconds; returns how many there were."""
        _, left = psutil.wait_procs(list(self._seen.values()), timeout=seconds)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return len(left)
