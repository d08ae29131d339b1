"""The file of what was refused: every line once, whatever the disk does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lsst.ctrl.rapid.commit import Ledger
from lsst.ctrl.rapid.model import FileVersion, RefusedFile

VERSION = FileVersion(5, 10**18, 7)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "work" / "ledger.jsonl"


def refused(
    name: str = "a.fits", reason: str = "is empty", version: FileVersion | None = VERSION
) -> RefusedFile:
    return RefusedFile.of(Path("/landing") / name, reason, version)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_is_in_the_file_at_once(path: Path) -> None:
    ledger = Ledger(path)
    ledger.refuse(refused())
    [line] = lines(path)
    assert (line["path"], line["reason"], line["size"]) == ("/landing/a.fits", "is empty", 5)
    assert ledger.needs_sync
    ledger.sync()
    assert not ledger.needs_sync


def test_the_same_version_is_known_after_a_restart(path: Path) -> None:
    Ledger(path).refuse(refused())
    ledger = Ledger(path)
    assert ledger.has(refused())
    assert not ledger.has(refused(reason="is another"))
    assert not ledger.has(refused(version=FileVersion(5, 10**18 + 1, 7)))
    assert not ledger.has(refused("b.fits"))
    assert not ledger.has(refused(version=None))


def test_names_may_be_anything(path: Path) -> None:
    ledger = Ledger(path)
    for name in (b"a\nb.fits", b"\xff.fits", "\u00e9\u2028.fits".encode()):
        ledger.refuse(refused(os.fsdecode(name), f"{os.fsdecode(name)!r} is empty"))
    names = [Path(line["path"]).name for line in lines(path)]
    assert names == ["a\nb.fits", "\\xff.fits", "\u00e9\u2028.fits"]
    assert Ledger(path).has(refused("a\nb.fits", repr("a\nb.fits") + " is empty"))


def test_a_line_that_was_cut_short_spoils_no_other(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"path": "/landing/x.fits", "rea')
    ledger = Ledger(path)
    ledger.refuse(refused())
    half, whole = path.read_text().splitlines()
    assert half.endswith("rea")
    assert json.loads(whole)["path"] == "/landing/a.fits"
    assert Ledger(path).has(refused())


def test_lines_wait_in_their_order_while_the_file_cannot_be_written(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.write_text("in the way")
    ledger = Ledger(path)
    for name in ("a.fits", "b.fits", "c.fits"):
        ledger.refuse(refused(name))
        ledger.sync()
    assert ledger.waiting == 3
    assert "File exists" in ledger.trouble
    assert ledger.has(refused("b.fits")), "it is not refused a second time"
    path.parent.unlink()
    ledger.sync()
    assert [Path(line["path"]).name for line in lines(path)] == ["a.fits", "b.fits", "c.fits"]
    assert (ledger.waiting, ledger.trouble, ledger.needs_sync) == (0, "", False)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_a_full_disk_leaves_no_half_line(path: Path) -> None:
    """A limit on the size of files fails a write in its middle, as a full disk does."""
    ledger = Ledger(path)
    ledger.refuse(refused())
    whole = path.read_bytes()
    child = os.fork()
    if child == 0:
        import resource
        import signal

        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, resource.RLIM_INFINITY))
            ledger.refuse(refused("b.fits"))
            if ledger.waiting != 1 or path.read_bytes() != whole:
                os._exit(1)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            ledger.sync()
            os._exit(0 if len(lines(path)) == 2 else 2)
        finally:
            os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
