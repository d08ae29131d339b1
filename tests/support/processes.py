"""Runs the real command in processes of its own, as a user does."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from lsst.ctrl.rapid.cli import main
from lsst.ctrl.rapid.model import Report
from support.forking import ForkedProcess, ProgramName, fork
from support.installed import remember_packages

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


def is_alive(number: int) -> bool:
    """Tell whether a process could still do something; one whose end nobody has asked for yet cannot."""
    try:
        state = Path("/proc", str(number), "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def rapid_exec_anew(*arguments: str | Path, cwd: Path) -> None:
    """Run ``rapid-exec`` in a new interpreter, as a user does, and wait for it."""
    done = subprocess.run(
        [sys.executable, "-m", "lsst.ctrl.rapid.cli", *map(str, arguments)],
        cwd=cwd, env=environment(), capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def rapid_exec(*arguments: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run ``rapid-exec`` in a process of its own and wait for it."""
    done = _run("rapid-exec", arguments, cwd)
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def _run(
    program: ProgramName, arguments: Sequence[str | Path], cwd: Path
) -> subprocess.CompletedProcess[str]:
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = fork(program, words, cwd=cwd, environment=environment(), out=out, err=err)
        try:
            code = process.wait(TIMEOUT)
        finally:
            process.kill()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess([program, *words], code, out.read(), err.read())


def rapid_here(*arguments: str | Path, code: int = 0) -> str:
    """Run a short ``rapid-exec`` command in this process; returns what it printed."""
    remember_packages()
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def pipetask(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run upstream's ``pipetask`` in a process of its own and wait for it."""
    return _run("pipetask", arguments, cwd)


@dataclasses.dataclass
class Running:
    """A ``rapid-exec run`` that goes on while the test works."""

    process: ForkedProcess
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
