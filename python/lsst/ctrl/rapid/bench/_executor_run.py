"""An executor in a process of its own, asked for one measurement after another."""

from __future__ import annotations

__all__ = ("ExecutorRun",)

import contextlib
from collections.abc import Sequence
from typing import override

from ._executor_child import FINISH, Processed, Start, Task, run_measured
from ._peers._child import Child
from ._raws import TinyRaw


class ExecutorRun(contextlib.AbstractContextManager["ExecutorRun"]):
    """An executor in a process of its own; while nothing is asked of it, it does nothing.

    So that several can be measured by turns, each measurement is a call of its own.  A context manager that
    ends the process.

    Parameters
    ----------
    task
        In what it runs.

    Raises
    ------
    RuntimeError
        By every method, if something was not done.
    """

    def __init__(self, task: Task) -> None:
        self._child = Child("an executor", run_measured, task)
        self.start: Start = self._child.receive()
        """How it started."""

    def overhead(self, raw: TinyRaw) -> float:
        """Send a raw while all workers are idle; returns the seconds from its close to its task's start."""
        seconds: float = self._child.call("overhead", raw)
        return seconds

    def process(self, exposures: Sequence[Sequence[TinyRaw]]) -> Processed:
        """Send exposures one after another, as fast as can be, and wait until all is registered."""
        processed: Processed = self._child.call("process", exposures)
        return processed

    def hold(self, raws: Sequence[TinyRaw]) -> int:
        """Have raws processed, but not registered; returns the number of batches for `register`."""
        batches: int = self._child.call("hold", raws)
        return batches

    def plan(self, number: int) -> float:
        """Make the message to the worker of a shard that was held, and its quanta; returns CPU seconds.

        It is CPU time, for nothing is waited for.
        """
        seconds: float = self._child.call("plan", number)
        return seconds

    def finish(self) -> None:
        """End the executor; what was held can be registered then."""
        self._child.call(FINISH)

    def register(self, number: int) -> float:
        """Register a batch of what was held, with nothing beside it; returns seconds a dataset."""
        seconds: float = self._child.call("register", number)
        return seconds

    @override
    def __exit__(self, *_: object) -> None:
        self._child.close()
