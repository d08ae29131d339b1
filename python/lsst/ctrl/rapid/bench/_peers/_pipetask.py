"""Plain ``pipetask run``: a cold process for each image, or one for all."""

from __future__ import annotations

__all__ = ("ColdPipetaskPeer", "SinglePipetaskPeer", "find_pipetask")

import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ...model import InputError
from .._raws import INSTRUMENT, TinyRaw
from .._site import INPUTS, Repository, pipeline_file
from ._central import Central


class _Pipetask:
    """A RUN that is complete but for what its quanta write, and the command that runs quanta into it."""

    def __init__(self, repository: Repository, run: str) -> None:
        self.repository = repository
        self._central = Central(repository, run)
        self._command = find_pipetask()
        self._cpu = 0.0

    def start(self) -> None:
        """Nothing is warm."""

    def prepare(self, raws: Sequence[TinyRaw]) -> Sequence[TinyRaw]:
        """Register the raws."""
        return self._central.register(raws)

    def cpu(self) -> float:
        """Return the CPU seconds of its processes until now."""
        return self._cpu

    def close(self) -> None:
        """Close the connection; nothing runs."""
        self._central.close()

    def _run(self, where: str, processes: int) -> str:
        command = [
            self._command, "run",
            "-b", str(self.repository.root),
            "-p", str(pipeline_file()),
            "-i", INPUTS,
            "--output-run", self._central.run,
            "--extend-run", "--skip-init-writes", "--no-versions",
            "-d", where,
            "-j", str(processes),
        ]  # fmt: skip
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- it is ours
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._cpu += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if done.returncode:
            raise RuntimeError(f"pipetask ended with exit code {done.returncode}: {done.stderr[-2000:]}")
        return self._central.run


class ColdPipetaskPeer(_Pipetask):
    """The peer (a).

    Parameters
    ----------
    repository
        Its own.
    """

    name = "(a) pipetask, cold, per image"

    def __init__(self, repository: Repository) -> None:
        super().__init__(repository, "bench/cold")

    def process(self, raws: Sequence[TinyRaw]) -> str:
        """Run a process for each raw, one after another."""
        for raw in raws:
            self._run(f"{_of(raw)} AND detector = {raw.detector}", 1)
        return self._central.run


class SinglePipetaskPeer(_Pipetask):
    """The peer (b).

    Parameters
    ----------
    repository
        Its own.
    processes
        ``-j``: 1 runs all quanta in the one process, more start a process for each quantum.
    """

    def __init__(self, repository: Repository, processes: int = 1) -> None:
        super().__init__(repository, "bench/single")
        self.processes = processes

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"(b) one pipetask -j {self.processes}"

    def process(self, raws: Sequence[TinyRaw]) -> str:
        """Run one process on all raws."""
        detectors = ", ".join(str(raw.detector) for raw in raws)
        return self._run(f"{_of(raws[0])} AND detector IN ({detectors})", self.processes)

    def choose(self, sample: Sequence[TinyRaw], other: Sequence[TinyRaw], most: int) -> dict[int, float]:
        """Take as many processes, 1 or ``most``, as are faster on a sample.

        Parameters
        ----------
        sample, other
            Two exposures of the same detectors.
        most
            How many processes may be used at once.

        Returns
        -------
        seconds
            By number of processes.
        """
        seconds = {}
        for count, raws in ((1, sample), (most, other)):
            self.processes = count
            there = self.prepare(raws)
            started = time.monotonic()
            self.process(there)
            seconds[count] = time.monotonic() - started
        self.processes = min(seconds, key=lambda count: seconds[count])
        return seconds


def find_pipetask() -> str:
    """Return the ``pipetask`` of this Python, or else the first on the search path.

    Raises
    ------
    InputError
        If there is none.
    """
    found = shutil.which("pipetask", path=str(Path(sys.executable).parent)) or shutil.which("pipetask")
    if found is None:
        raise InputError("There is no command 'pipetask' here; install lsst-ctrl-mpexec, or set it up.")
    return found


def _of(raw: TinyRaw) -> str:
    return f"instrument = '{INSTRUMENT}' AND exposure = {raw.exposure}"
