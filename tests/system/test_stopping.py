"""A run that is told to stop and does not end in time, one whose head is killed, and the one that follows."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.model import Outcome, Report
from support.processes import environment
from support.steered_tasks import look_pipeline

IN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Has a process that leads a session be controlled by the terminal that is its input."""


class Place:
    """A work folder, and tasks that are told what to do."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self.log = folder / "log"
        self.started: list[psutil.Process] = []
        self.orders = folder / "orders"
        self.orders.mkdir()
        self.pipeline = folder / "steered.yaml"
        self.pipeline.write_text(look_pipeline(self.orders))

    def command(self, *options: str) -> list[str]:
        start = ["-m", "lsst.ctrl.rapid.cli", "run", str(self.pipeline), "--work-dir", str(self.work)]
        return [*start, "--detectors", "90..92", "--workers", "2", *options]

    @contextlib.contextmanager
    def starts(
        self, command: list[str], stdin: int, stdout: int | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start a command in a session of its own, and end it with the test."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.log.parent, env=environment(), stdin=stdin,
                stdout=stdin if stdout is None else stdout, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            for left in self.started:
                with contextlib.suppress(psutil.NoSuchProcess):
                    left.kill()

    def tree(self, process: subprocess.Popen[bytes]) -> list[psutil.Process]:
        """Return what a process has started, and those in turn; they are killed at the end."""
        self.started = psutil.Process(process.pid).children(recursive=True)
        return self.started

    def said(self, line: str) -> int:
        file = self.orders / "said"
        return file.read_text().splitlines().count(line) if file.exists() else 0

    def files(self) -> set[Path]:
        return {file for file in (self.work / "repo" / "rapid").rglob("*.*") if file.is_file()}

    @property
    def report(self) -> Report:
        return Report.model_validate_json((self.work / "report.json").read_text())

    def ends(self) -> dict[tuple[str, object], Outcome]:
        return {(s.step, s.data_id.get("detector")): s.outcome for s in self.report.shards}


def wait_until(holds: Callable[[], object], what: str) -> None:
    until = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < until, f"waited for {what}"
        time.sleep(0.02)


def are_gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


@contextlib.contextmanager
def terminal() -> Iterator[tuple[int, Callable[[], None]]]:
    """Yield a terminal in which somebody looks, and what makes it go."""
    master, slave = pty.openpty()
    gone = threading.Event()

    def look() -> None:
        while not gone.is_set():
            if select.select([master], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    os.read(master, 65536)
        os.close(master)

    looking = threading.Thread(target=look)
    looking.start()

    def go() -> None:
        gone.set()
        looking.join()

    try:
        yield slave, go
    finally:
        go()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("stopping"))


def test_what_does_not_end_in_time_is_given_up_when_the_terminal_is_gone(place: Place) -> None:
    (place.orders / "first.91").write_text("hang")
    command = place.command("--simulate", "2", "--cadence", "10000", "--drain-limit", "0.2")
    with (
        terminal() as (slave, go),
        place.starts([sys.executable, "-c", IN_TERMINAL, *command], slave) as run,
    ):
        os.close(slave)
        wait_until(lambda: place.said("end next 90") and place.said("end next 92"), "two detectors")
        wait_until(lambda: place.said("begin first 91"), "the third")
        started = place.tree(run)
        assert len(started) >= 4, "workers, what forks them, and the camera"
        go()
        assert run.wait(120) == 3, place.log.read_text()
        wait_until(lambda: are_gone(started), "all to be gone")
    assert place.report.interrupted
    assert place.report.given_up == 1
    assert place.ends() == {("step1a", 90): Outcome.DONE, ("step1a", 92): Outcome.DONE}
    with Butler.from_config(str(place.work / "repo")) as butler:
        found = butler.query_datasets("look_next", "rapid", explain=False)
        assert sorted(int(ref.dataId["detector"]) for ref in found) == [90, 92]


def test_nobody_outlives_a_head_that_is_killed_and_nothing_more_is_written(place: Place) -> None:
    # No Python can run in a worker whose task holds the interpreter, and nothing in one that is stopped.
    (place.orders / "first.91").write_text("hold")
    command = place.command("--simulate", "2", "--cadence", "10000")
    with place.starts([sys.executable, *command], subprocess.DEVNULL) as run:
        wait_until(lambda: place.said("begin first 91") == 3, "both workers to hang")
        started = place.tree(run)
        workers = [one for one in started if one.parent() != psutil.Process(run.pid)]
        workers[0].suspend()
        files = place.files()
        run.kill()
        run.wait()
        wait_until(lambda: are_gone(started), "all to be gone")
    said = (place.orders / "said").read_text()
    (place.orders / "first.91").unlink()
    assert place.files() == files
    assert (place.orders / "said").read_text() == said


def test_the_next_run_does_the_rest_though_nobody_reads_what_it_prints(place: Place) -> None:
    nobody, output = os.pipe()
    os.close(nobody)
    command = place.command("--until-idle", "1")
    with place.starts([sys.executable, *command], subprocess.DEVNULL, output) as run:
        os.close(output)
        assert run.wait(240) == 0, place.log.read_text()
    assert not place.report.interrupted
    assert {s.outcome for s in place.report.shards} == {Outcome.DONE}
    with Butler.from_config(str(place.work / "repo")) as butler:
        products = butler.query_datasets("look_next", "rapid", find_first=False, explain=False)
        assert sorted(int(ref.dataId["detector"]) for ref in products) == [90, 90, 91, 91, 92, 92]
        assert len(butler.query_datasets("look_total", "rapid", find_first=False, explain=False)) == 2
        assert {butler.getURI(ref).exists() for ref in products} == {True}
