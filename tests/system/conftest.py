"""Starts the real command, and ends it with its test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from support.processes import SUMMIT, Running, environment


@pytest.fixture
def start_run(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start ``rapid-exec run`` in a process group of its own; what still runs at the end is killed."""
    started: list[Running] = []

    def start(*arguments: str | Path, pipeline: Path = SUMMIT, sources: Sequence[Path] = ()) -> Running:
        work = tmp_path / "work"
        log = tmp_path / f"run-{len(started)}.log"
        with log.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "lsst.ctrl.rapid.cli", "run", str(pipeline), "--work-dir", str(work),
                 *map(str, arguments)],
                cwd=tmp_path, env=environment(sources), stdout=stream, stderr=subprocess.STDOUT, text=True,
                start_new_session=True,
            )  # fmt: skip
        started.append(Running(process, log, work))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            os.killpg(running.process.pid, 9)
            running.process.wait()
