"""``rapid-exec run`` as a person starts it: a process of its own, known by what it prints."""

from __future__ import annotations

__all__ = ("Launched", "import_seconds")

import contextlib
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ..model import Report

_LINES_TOLD = 15


class Launched:
    """A running ``rapid-exec run``; it is ended when the context is left.

    Parameters
    ----------
    arguments
        Those of ``rapid-exec run``.
    report
        Where it is told to leave its report.

    Attributes
    ----------
    started
        When the process was started, UNIX seconds.
    """

    def __init__(self, arguments: Sequence[str], report: Path) -> None:
        command = [sys.executable, "-m", "lsst.ctrl.rapid.cli", "run", *arguments, "--report", str(report)]
        self._report = report
        self._lines: list[str] = []
        self._new: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.started = time.time()
        self._process = subprocess.Popen(  # noqa: S603 -- our own command
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join()

    def wait_for(self, pattern: str, seconds: float) -> re.Match[str]:
        """Wait for a line that has a pattern.

        Raises
        ------
        RuntimeError
            If there is none in time, or the process ends before.
        """
        until = time.monotonic() + seconds
        while True:
            with contextlib.suppress(queue.Empty):
                line = self._new.get(timeout=max(0.0, until - time.monotonic()))
                if line is None:
                    raise RuntimeError(
                        f"rapid-exec run ended before it said {pattern!r}; {self._last_lines()}"
                    )
                if found := re.search(pattern, line):
                    return found
            if time.monotonic() > until:
                raise RuntimeError(f"rapid-exec run did not say {pattern!r} in time; {self._last_lines()}")

    def result(self, seconds: float) -> Report:
        """Wait until it has ended by itself, and return its report.

        Raises
        ------
        RuntimeError
            If it does not end in time, or not well.
        """
        try:
            code = self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"rapid-exec run did not end in time; {self._last_lines()}") from None
        self._reader.join()
        if code:
            raise RuntimeError(f"rapid-exec run ended with exit code {code}; {self._last_lines()}")
        return Report.model_validate_json(self._report.read_text())

    def _read(self) -> None:
        for line in self._iterate():
            self._lines.append(line)
            self._new.put(line)
        self._new.put(None)

    def _iterate(self) -> Iterator[str]:
        assert self._process.stdout is not None, "It is a pipe."
        with self._process.stdout as stream:
            yield from stream

    def _last_lines(self) -> str:
        return "it said last:\n" + "".join(self._lines[-_LINES_TOLD:])


def import_seconds(modules: Sequence[str]) -> float:
    """Return how long a fresh Python takes until it has imported modules, its own start included."""
    code = f"import {', '.join(modules)}, time; print(time.time())"
    started = time.time()
    done = subprocess.run(  # noqa: S603 -- our own code
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return float(done.stdout) - started
