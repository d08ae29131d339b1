"""Starts the real command, and ends it with its test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from support.forking import fork
from support.processes import SUMMIT, Running, environment


@pytest.fixture
def start_run(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start ``rapid-exec run`` in a process group of its own; what still runs at the end is killed."""
    started: list[Running] = []

    def start(*arguments: str | Path, pipeline: Path = SUMMIT, sources: Sequence[Path] = ()) -> Running:
        work = tmp_path / "work"
        log = tmp_path / f"run-{len(started)}.log"
        with log.open("w") as stream:
            process = fork(
                "rapid-exec", ["run", str(pipeline), "--work-dir", str(work), *map(str, arguments)],
                cwd=tmp_path, environment=environment(sources), out=stream, err=stream,
            )  # fmt: skip
        started.append(Running(process, log, work))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            os.killpg(running.process.pid, 9)
            running.process.wait()
