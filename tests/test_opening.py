"""Repositories whose last writer was killed while it wrote."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

import pytest
import sqlalchemy.exc
from click.testing import CliRunner

from lsst.ctrl.rapid._opening import open_to_read
from lsst.ctrl.rapid.cli import main
from lsst.ctrl.rapid.model import InputError
from support.half_written import TABLE, leave_half_written
from support.registered import INSTRUMENT, make_registry
from support.small_disk import small_disk


def test_what_was_half_written_is_taken_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_registry(tmp_path)
    leave_half_written(root)
    with open_to_read(root) as butler:
        assert butler.query_dimension_records("instrument")[0].name == INSTRUMENT
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"{root}/gen3.sqlite3: a process was killed while it wrote to it" in caplog.text
    with sqlite3.connect(f"{root}/gen3.sqlite3") as connection:
        assert TABLE not in str(connection.execute("SELECT name FROM sqlite_master").fetchall())


def test_who_reads_when_it_happens_can_read_again(tmp_path: Path) -> None:
    root = make_registry(tmp_path)
    with open_to_read(root) as butler:
        assert butler.query_dimension_records("instrument")
        leave_half_written(root)
        with pytest.raises(sqlalchemy.exc.OperationalError, match="readonly database"):
            butler.query_dimension_records("detector")
        assert butler.query_dimension_records("detector")


def test_who_may_not_write_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with small_disk(tmp_path / "disk", "16m") as disk:
        root = make_registry(disk.folder)
        leave_half_written(root)
        subprocess.run(["mount", "-o", "remount,ro", str(disk.folder)], check=True)
        with pytest.raises(sqlalchemy.exc.OperationalError):
            open_to_read(root)
    assert "this user cannot take back what it had half written" in caplog.text


def test_no_repository_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: the repository cannot be opened"):
        open_to_read(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "command", [["check", "{root}", "--landing", "{root}"], ["doctor", "-b", "{root}"]], ids=lambda c: c[0]
)
def test_commands_read_what_was_half_written(command: list[str], tmp_path: Path) -> None:
    root = make_registry(tmp_path)
    leave_half_written(root)
    done = CliRunner().invoke(main, [word.format(root=root) for word in command])
    assert "readonly" not in done.output
    assert done.exit_code in {0, 1}, done.output


def test_a_registry_out_of_reach_is_one_line(tmp_path: Path) -> None:
    root = make_registry(tmp_path)
    config = Path(root) / "butler.yaml"
    config.write_text(config.read_text().replace("sqlite:///<butlerRoot>", "sqlite:////nowhere"))
    done = CliRunner().invoke(main, ["check", root, "--landing", root])
    assert done.exit_code == 1
    assert "Error: the registry is out of reach (unable to open database file)." in done.output
