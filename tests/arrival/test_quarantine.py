"""Where refused files go, with real files in one and in two file systems."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lsst.ctrl.rapid.arrival import Quarantine
from lsst.ctrl.rapid.model import FileVersion, InputError, RefusedFile


class Moving:
    """A quarantine, and a landing folder from which it takes."""

    def __init__(self, folder: Path) -> None:
        self.landing = folder / "landing"
        self.landing.mkdir()
        self.folder = folder / "quarantine"
        self.registered: set[Path] = set()
        self.within_one = True

    def take(self, *paths: Path, version: FileVersion | None = None) -> None:
        """Have files moved, and wait for it."""
        quarantine = Quarantine(self.folder, self.registered.__contains__)
        for path in paths:
            try:
                seen = FileVersion.of(path.stat())
            except OSError:
                seen = FileVersion.of(path.lstat())
            quarantine.take(path, version or seen, RefusedFile.of(path, "it is bad", seen))
        quarantine.close()

    def write(self, name: str, content: bytes = b"bad") -> Path:
        path = self.landing / name
        path.write_bytes(content)
        return path

    @property
    def found(self) -> dict[str, str]:
        """What is in the quarantine, links by what they lead to."""
        return {
            path.name: str(path.readlink()) if path.is_symlink() else path.read_text()
            for path in self.folder.iterdir()
            if path.suffix != ".reason"
        }


@pytest.fixture(params=["one file system", "two file systems"])
def moving(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Moving]:
    moving = Moving(tmp_path)
    moving.within_one = request.param == "one file system"
    if not moving.within_one:
        real = Path.rename

        def rename(self: Path, target: Path) -> Path:
            if self.parent == moving.landing:
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            return real(self, target)

        monkeypatch.setattr(Path, "rename", rename)
    return moving


def test_files_are_moved_with_their_reason_and_never_overwritten(moving: Moving) -> None:
    for content in (b"first", b"second", b"third"):
        moving.take(moving.write("a.fits", content))
    assert moving.found == {"a.fits": "first", "a.fits.1": "second", "a.fits.2": "third"}
    assert list(moving.landing.iterdir()) == []
    told = RefusedFile.model_validate_json((moving.folder / "a.fits.1.reason").read_text())
    assert (told.path, told.reason, told.size) == (str(moving.landing / "a.fits"), "it is bad", 6)
    assert not [path.name for path in moving.folder.iterdir() if path.name.startswith(".")]


def test_what_the_repository_has_stays(moving: Moving) -> None:
    path = moving.write("a.fits")
    moving.registered.add(path)
    moving.take(path)
    assert path.exists()
    assert not moving.folder.exists()


def test_what_was_replaced_since_it_was_refused_stays(moving: Moving) -> None:
    version = FileVersion.of(moving.write("a.fits").stat())
    moving.take(moving.write("a.fits", b"good now"), version=version)
    assert (moving.landing / "a.fits").read_bytes() == b"good now"
    assert not moving.folder.exists()


def test_links_are_moved_and_not_what_they_lead_to(moving: Moving, tmp_path: Path) -> None:
    outside = tmp_path / "archive.fits"
    outside.write_bytes(b"good")
    for name, target in (("out.fits", outside), ("nowhere.fits", tmp_path / "nowhere")):
        (moving.landing / name).symlink_to(target)
    moving.take(*moving.landing.iterdir())
    assert moving.found == {"out.fits": str(outside), "nowhere.fits": str(tmp_path / "nowhere")}
    assert list(moving.landing.iterdir()) == []
    assert outside.read_bytes() == b"good"


def test_odd_names_are_moved(moving: Moving) -> None:
    names = [b"a\nb.fits", b"\xff.fits", b"-a b.fits", b"x" * 250 + b".fits"]
    paths = [moving.landing / os.fsdecode(name) for name in names]
    for path in paths:
        path.write_bytes(b"bad")
    moving.take(*paths)
    assert list(moving.landing.iterdir()) == []
    assert set(moving.found) == {os.fsdecode(name[:200]) for name in names}


def test_what_cannot_be_moved_stays_and_is_told(moving: Moving, caplog: pytest.LogCaptureFixture) -> None:
    moving.folder.write_text("in the way")
    path = moving.write("a.fits")
    moving.take(path)
    assert path.read_bytes() == b"bad"
    [line] = [record.getMessage() for record in caplog.records]
    assert "a.fits cannot be moved to" in line
    assert "File exists; it stays" in line


def test_a_fault_of_the_disk_leaves_nothing_behind(moving: Moving, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((Path, "rename") if moving.within_one else (os, "fsync")), full)
    path = moving.write("a.fits")
    moving.take(path)
    assert path.read_bytes() == b"bad"
    assert list(moving.folder.iterdir()) == []


def test_a_pipe_is_moved_within_its_file_system(moving: Moving) -> None:
    os.mkfifo(moving.landing / "a.fits")
    moving.take(moving.landing / "a.fits")
    left = [path for folder in (moving.landing, moving.folder) for path in folder.iterdir() if path.is_fifo()]
    assert len(left) == 1


@pytest.mark.parametrize("place", ["landing", "landing/bad", "landing/.bad", "file"])
def test_a_folder_that_cannot_be_one_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "landing").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"quarantine: .*(is in the watched folder|nothing can be written)"):
        Quarantine.check(tmp_path / place, [tmp_path / "landing"])


def test_a_folder_that_is_not_there_yet_is_taken(tmp_path: Path) -> None:
    Quarantine.check(tmp_path / "new" / "quarantine", [tmp_path / "landing"])
