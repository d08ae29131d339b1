"""Runs the real command in processes of its own, as a user does."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner

from lsst.ctrl.rapid.cli import main
from lsst.ctrl.rapid.model import Report

ROOT = Path(__file__).parents[2]
SUMMIT = ROOT / "pipelines" / "summit.yaml"

TIMEOUT = 240.0


def environment(sources: Iterable[Path] = ()) -> dict[str, str]:
    """Return the environment of a child process: what is tested, its commands, and more sources."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, [ROOT / "python", ROOT / "tests", *sources])),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def rapid_exec(*arguments: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run ``rapid-exec`` and wait for it."""
    done = subprocess.run(
        [sys.executable, "-m", "lsst.ctrl.rapid.cli", *map(str, arguments)],
        cwd=cwd, env=environment(), capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def rapid_here(*arguments: str | Path, code: int = 0) -> str:
    """Run a short ``rapid-exec`` command in this process; returns what it printed."""
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def pipetask(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run upstream's ``pipetask`` and wait for it."""
    return subprocess.run(
        ["pipetask", *map(str, arguments)],
        cwd=cwd, env=environment(), capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip


@dataclasses.dataclass
class Running:
    """A ``rapid-exec run`` that goes on while the test works."""

    process: subprocess.Popen[str]
    log: Path
    work: Path

    def wait_for(self, condition: Callable[[], object], what: str, seconds: float = TIMEOUT) -> None:
        """Wait until something holds; fail with the log when it does not, or when the command ends before."""
        until = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                pytest.fail(f"the run ended before {what}:\n{self.log.read_text()}")
            if time.monotonic() > until:
                pytest.fail(f"waited {seconds:g} s for {what}:\n{self.log.read_text()}")
            time.sleep(0.02)

    def wait_for_log(self, text: str, times: int = 1, seconds: float = TIMEOUT) -> None:
        """Wait until the log has a text so often."""
        self.wait_for(lambda: self.log.read_text().count(text) >= times, f"{text!r} was logged", seconds)

    def end(self) -> int:
        """Wait for the command's end and return its exit code."""
        return self.process.wait(TIMEOUT)

    @property
    def report(self) -> Report:
        """The report that it wrote."""
        return Report.model_validate_json((self.work / "report.json").read_text())
