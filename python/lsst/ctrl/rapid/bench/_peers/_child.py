"""Processes of our own that are told what to do."""

from __future__ import annotations

__all__ = ("Child", "Crew", "obey")

import contextlib
import gc
import multiprocessing
import signal
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

_END_SECONDS = 30.0
_ANSWER_SECONDS = 600.0

type Call = tuple[str, tuple[Any, ...]]
"""Name of a method, and arguments."""


class Child:
    """A child process with an interpreter of its own, and a pipe to it.

    Parameters
    ----------
    name
        Its name, for errors.
    target
        What it runs, given its end of the pipe, in its main thread; its first message says that it is
        ready.  It must be importable and returns when the pipe is closed or it is told `None`.
    args
        More arguments of it.

    Notes
    -----
    It ignores SIGINT: Ctrl-C reaches its parent, which ends it.
    """

    def __init__(self, name: str, target: Callable[..., None], *args: Any) -> None:
        self._name = name
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_main, args=(theirs, target, args), name=name)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """Its process ID."""
        assert self._process.pid is not None, "It was started."
        return self._process.pid

    def send(self, message: Any) -> None:
        """Tell it something; if it has ended, `receive` says so."""
        with contextlib.suppress(BrokenPipeError):
            self.connection.send(message)

    def receive(self) -> Any:
        """Return what it says next.

        Raises
        ------
        RuntimeError
            If it has failed, or ended, or says nothing for ten minutes.
        """
        if not self.connection.poll(_ANSWER_SECONDS):
            raise RuntimeError(f"{self._name}: no answer within {_ANSWER_SECONDS:g} s.")
        try:
            answer = self.connection.recv()
        except EOFError:
            self._process.join(_END_SECONDS)
            code = self._process.exitcode
            raise RuntimeError(f"{self._name}: its process ended with exit code {code}.") from None
        if isinstance(answer, _Failure):
            raise RuntimeError(f"{self._name}: {answer.told}")  # noqa: TRY004 -- it is the child that failed
        return answer

    def call(self, method: str, *args: Any) -> Any:
        """Call a method of what `obey` serves, and wait for its answer."""
        self.send((method, args))
        return self.receive()

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self._process.join(_END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.connection.close()


class Crew:
    """Children that share work: whoever is free takes the next piece."""

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = list(children)

    def run(self, calls: Sequence[Call]) -> None:
        """Have calls made, each by one of the children; returns when all have been made."""
        left = list(reversed(calls))
        by_connection: dict[Any, Child] = {child.connection: child for child in self.children}
        busy: set[Any] = set()
        for child in self.children[: len(left)]:
            child.send(left.pop())
            busy.add(child.connection)
        while busy:
            for connection in wait(list(busy)):
                child = by_connection[connection]
                child.receive()
                if left:
                    child.send(left.pop())
                else:
                    busy.discard(connection)

    def close(self) -> None:
        """End all."""
        for child in self.children:
            with contextlib.suppress(OSError):
                child.connection.send(None)
        for child in self.children:
            child.close()


class _Failure:
    """What a child sends in place of an answer."""

    def __init__(self, told: str) -> None:
        self.told = told


def obey(connection: Connection, make: Callable[..., Any], *args: Any) -> None:
    """Make an object and call the methods that are asked for, one after another; for `Child`'s target.

    Parameters
    ----------
    connection
        To the parent.
    make
        Makes the object; a method ``close`` is called at the end.
    args
        Its arguments.
    """
    served = make(*args)
    # As the executor's processes do; else the garbage collector looks through all modules time and again.
    gc.freeze()
    connection.send("ready")
    with contextlib.closing(served):
        while (call := connection.recv()) is not None:
            connection.send(_answer(served, *call))


def _answer(served: Any, method: str, arguments: tuple[Any, ...]) -> Any:
    """Call a method; what it raises is told in place of what it returns."""
    try:
        return getattr(served, method)(*arguments)
    except Exception:  # noqa: BLE001 -- told to the parent, whatever it is
        return _Failure(traceback.format_exc())


def _main(connection: Connection, target: Callable[..., None], args: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        target(connection, *args)
    except EOFError:
        return
    except BaseException:  # noqa: BLE001 -- told to the parent, whatever it is
        with contextlib.suppress(OSError):
            connection.send(_Failure(traceback.format_exc()))
