"""When a file is told, with real files."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lsst.ctrl.rapid.arrival import DirectoryWatch
from lsst.ctrl.rapid.arrival import _watch as module
from lsst.ctrl.rapid.arrival._settling import Settling
from lsst.ctrl.rapid.model import Arrival, InputError
from support.small_disk import small_disk

SECONDS = 10.0

Start = Callable[..., Any]

# The watching library warns, and goes on rightly, when a folder in a new folder is found by both of its ways.
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id .* already exists:RuntimeWarning")


def test_a_file_renamed_into_place_is_told(folder: Path, tmp_path: Path, start: Start) -> None:
    here = start()
    outside = tmp_path / "a.fits"
    outside.write_bytes(b"raw")
    os.utime(outside, (1e9, 1e9))
    before = time.time()
    outside.rename(folder / "a.fits")
    arrival = here.told.next()
    assert arrival.path == folder / "a.fits"
    assert arrival.file_closed == 1e9
    assert before <= arrival.seen <= time.time()


def test_a_file_renamed_from_a_dot_file_is_told_once(folder: Path, start: Start) -> None:
    here = start()
    (folder / ".a.fits.tmp").write_bytes(b"raw")
    (folder / ".a.fits.tmp").rename(folder / "a.fits")
    assert here.until_quiet() == [folder / "a.fits"]


def test_a_slow_writer_is_told_when_it_closes_and_not_before(folder: Path, start: Start) -> None:
    here = start()
    path = folder / "a.fits"
    with path.open("wb") as file:
        for _ in range(3):
            file.write(b"x" * 1000)
            file.flush()
            assert here.until_quiet() == []
    arrival = here.told.next()
    assert arrival.path == path
    assert path.stat().st_size == 3000
    assert here.until_quiet() == []


def test_what_is_there_at_the_start_is_told_oldest_first(folder: Path, start: Start) -> None:
    for name, when in (("b.fits", 300), ("sub/c.fits.fz", 100), ("a.fits.gz", 200)):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"raw")
        os.utime(path, (when, when))
    here = start()
    assert here.told.now() == [folder / "sub/c.fits.fz", folder / "a.fits.gz", folder / "b.fits"]


def test_a_file_that_is_being_written_at_the_start_is_told_when_it_is_closed(
    folder: Path, start: Start
) -> None:
    path = folder / "a.fits"
    with path.open("wb") as file:
        file.write(b"x")
        file.flush()
        here = start()
        assert here.until_quiet() == []
    assert here.told.next().path == path


def test_a_new_folder_that_is_filled_fast_loses_nothing(folder: Path, start: Start) -> None:
    here = start()
    expected = set()
    for night in range(5):
        deep = folder / f"2026050{night}" / "exposure"
        deep.mkdir(parents=True)
        for detector in range(10):
            path = deep / f"R{detector}.fits"
            path.write_bytes(b"raw")
            expected.add(path)
    told = [here.told.next().path for _ in expected]
    assert set(told) == expected
    assert here.until_quiet() == [], "each is told once"


def test_a_folder_that_was_filled_elsewhere_and_renamed_into_place_is_told(
    folder: Path, tmp_path: Path, start: Start
) -> None:
    here = start()
    (tmp_path / "night" / "deep").mkdir(parents=True)
    (tmp_path / "night" / "deep" / "a.fits").write_bytes(b"raw")
    (tmp_path / "night" / "b.fits").write_bytes(b"raw")
    (tmp_path / "night").rename(folder / "night")
    assert sorted(here.told.names(2)) == ["a.fits", "b.fits"]
    (folder / "night" / "deep" / "late.fits").write_bytes(b"raw")
    assert here.told.names(1) == ["late.fits"]


@pytest.mark.parametrize(
    "name", [".a.fits", "a.fits.part", "a.json", "fits", "a.fits.tmp", "a.yaml", "a.fits~"]
)
def test_what_is_no_raw_by_its_name_is_left_aside(folder: Path, start: Start, name: str) -> None:
    (folder / name).write_bytes(b"x")
    here = start()
    (folder / f"{name}2").write_bytes(b"x")
    (folder / f"{name}2").unlink()
    (folder / name).write_bytes(b"xx")
    assert here.until_quiet() == []


@pytest.mark.parametrize("name", ["a.fits", "A.FITS", "a.fits.fz", "a.fz", "a.fits.gz"])
def test_what_is_a_raw_by_its_name_is_told(folder: Path, start: Start, name: str) -> None:
    here = start()
    (folder / name).write_bytes(b"raw")
    assert here.told.names(1) == [name]


def test_hidden_folders_are_left_aside_before_and_after_the_start(folder: Path, start: Start) -> None:
    (folder / ".before").mkdir()
    (folder / ".before" / "a.fits").write_bytes(b"raw")
    here = start()
    (folder / ".before" / "b.fits").write_bytes(b"raw")
    (folder / ".after" / "deep").mkdir(parents=True)
    (folder / ".after" / "deep" / "c.fits").write_bytes(b"raw")
    assert here.until_quiet() == []
    (folder / ".after" / "deep" / "c.fits").rename(folder / "c.fits")
    assert here.told.names(1) == ["c.fits"]


def test_a_watched_folder_may_itself_be_below_a_hidden_one(tmp_path: Path) -> None:
    folder = tmp_path / ".site" / "raws"
    folder.mkdir(parents=True)
    (folder / "a.fits").write_bytes(b"raw")
    told: list[Arrival] = []
    watch = DirectoryWatch([folder], told.append)
    watch.start()
    watch.stop()
    assert [arrival.path for arrival in told] == [folder / "a.fits"]


def test_links_are_told_by_their_own_path(folder: Path, tmp_path: Path, start: Start) -> None:
    target = tmp_path / "archive.fits"
    target.write_bytes(b"raw")
    here = start()
    (folder / "soft.fits").symlink_to(target)
    assert here.told.next().path == folder / "soft.fits"
    (folder / "hard.fits").hardlink_to(target)
    assert here.told.next().path == folder / "hard.fits"


@pytest.mark.timeout(60)
def test_what_is_no_file_is_told_and_never_waited_for(folder: Path, tmp_path: Path, start: Start) -> None:
    def make(when: str) -> set[Path]:
        made = {name: folder / f"{name}-{when}.fits" for name in ("nowhere", "circle", "pipe", "linked")}
        made["nowhere"].symlink_to(tmp_path / "nowhere.fits")
        made["circle"].symlink_to(made["circle"])
        os.mkfifo(made["pipe"])
        made["linked"].symlink_to(tmp_path)
        return set(made.values())

    before = make("before")
    here = start()
    assert set(here.told.now()) == before
    after = make("after")
    assert set(here.until_quiet()) == after


def test_a_link_is_told_again_when_what_it_leads_to_comes(folder: Path, tmp_path: Path, start: Start) -> None:
    here = start()
    (folder / "soft.fits").symlink_to(tmp_path / "late.fits")
    assert here.told.names(1) == ["soft.fits"]
    (tmp_path / "late.fits").write_bytes(b"raw")
    here.watch.rescan()
    assert here.told.names(1) == ["soft.fits"]


def test_a_file_that_is_gone_before_it_was_looked_at_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    here = start()
    real = module._look_up

    def look_late(path: Path) -> os.stat_result | None:
        if path.name == "a.fits":
            path.unlink(missing_ok=True)
        return real(path)

    monkeypatch.setattr(module, "_look_up", look_late)
    (folder / "a.fits").write_bytes(b"raw")
    arrival = here.told.next()
    assert (arrival.path.name, arrival.version) == ("a.fits", None)
    assert here.until_quiet() == []
    monkeypatch.undo()
    (folder / "a.fits").write_bytes(b"raw")
    assert here.told.next().version is not None
    (folder / "a.fits").unlink()
    here.watch._tell(folder / "a.fits")
    assert here.until_quiet() == [], "what took it may have moved it"


@pytest.mark.parametrize(("modified", "closed"), [(4e9, None), (0.0, 0.0)], ids=["2096", "1970"])
def test_a_file_is_not_closed_after_it_is_seen(
    folder: Path, tmp_path: Path, start: Start, modified: float, closed: float | None
) -> None:
    here = start()
    outside = tmp_path / "a.fits"
    outside.write_bytes(b"raw")
    os.utime(outside, (modified, modified))
    outside.rename(folder / "a.fits")
    arrival = here.told.next()
    assert arrival.file_closed == (arrival.seen if closed is None else closed)


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_told_again(
    folder: Path, tmp_path: Path, start: Start
) -> None:
    here = start()
    for content in (b"bad", b"raw"):
        (tmp_path / "a.fits").write_bytes(content)
        os.utime(tmp_path / "a.fits", (1e9, 1e9))
        (tmp_path / "a.fits").rename(folder / "a.fits")
        assert here.told.next().path.read_bytes() == content


def test_nothing_is_lost_when_more_happens_than_the_system_can_tell(
    folder: Path, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    monkeypatch.setattr(module, "_POLLING_SECONDS", 0.05)
    monkeypatch.setattr(module._Handler, "on_any_event", lambda *_: None)
    here = start()
    (folder / "a.fits").write_bytes(b"raw")
    [emitter] = here.watch._observer.emitters
    emitter._inotify.on_queue_overflow()
    assert here.told.names(1) == ["a.fits"]


def test_what_the_system_does_not_tell_of_is_found_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_MISSED_SECONDS", 0.0)
    monkeypatch.setattr(module, "_OVERDUE_SECONDS", 0.0)
    real = module._Handler.on_any_event
    (folder / "a.fits").write_bytes(b"raw")
    here = start()
    assert here.told.names(1) == ["a.fits"]
    # As if there were more folders than the system watches, or another machine wrote there.
    monkeypatch.setattr(module._Handler, "on_any_event", lambda *_: None)
    (folder / "b.fits").write_bytes(b"raw")
    assert here.told.names(1) == ["b.fits"]
    with (folder / "c.fits").open("wb", buffering=0) as file:
        file.write(b"not whole")
        (folder / "d.fits").write_bytes(b"raw")
        assert here.told.names(1) == ["d.fits"]
        file.write(b", and now it is")
    assert here.told.next().path.read_bytes() == b"not whole, and now it is"
    monkeypatch.setattr(module._Handler, "on_any_event", real)
    assert here.until_quiet() == []
    assert "1 file(s) have come of which the system does not tell" in caplog.text


def test_a_folder_named_like_a_raw_is_left_aside(folder: Path, start: Start) -> None:
    here = start()
    (folder / "a.fits").mkdir()
    (folder / "a.fits" / "b.fits").write_bytes(b"raw")
    assert here.until_quiet() == [folder / "a.fits" / "b.fits"]


def test_a_file_that_is_written_anew_is_told_again(folder: Path, start: Start) -> None:
    here = start()
    path = folder / "a.fits"
    path.write_bytes(b"one")
    assert here.told.next().path == path
    path.write_bytes(b"another")
    assert here.told.next().path == path


def test_the_same_version_is_told_once(folder: Path, start: Start) -> None:
    path = folder / "a.fits"
    path.write_bytes(b"raw")
    here = start()
    assert here.told.next().path == path
    with path.open("ab"):
        pass
    here.watch.rescan()
    assert here.until_quiet() == []


def test_a_rescan_tells_what_no_event_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    monkeypatch.setattr(module._Handler, "on_any_event", lambda *_: None)
    here = start()
    (folder / "b.fits").write_bytes(b"raw")
    (folder / "a.fits").write_bytes(b"raw")
    os.utime(folder / "a.fits", (1e9, 1e9))
    assert here.told.now() == []
    here.watch.rescan()
    assert here.told.now() == [folder / "a.fits", folder / "b.fits"]
    here.watch.rescan()
    assert here.told.now() == []


def wait_until(condition: Callable[[], object]) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("polling", [False, True])
def test_a_folder_that_is_removed_and_made_anew_is_watched_again(
    folder: Path, start: Start, polling: bool, caplog: pytest.LogCaptureFixture
) -> None:
    here = start(polling=polling)
    shutil.rmtree(folder)
    wait_until(lambda: here.watch.troubles)
    assert here.watch.troubles == [
        f"{folder} cannot be watched (No such file or directory): nothing that comes there is seen."
    ]
    folder.mkdir()
    (folder / "a.fits").write_bytes(b"raw")
    assert here.told.next().path == folder / "a.fits"
    (folder / "b.fits").write_bytes(b"raw")
    assert here.told.next().path == folder / "b.fits"
    assert here.watch.troubles == []
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_a_folder_that_is_replaced_at_once_is_watched_again(folder: Path, start: Start) -> None:
    here = start()
    shutil.rmtree(folder)
    folder.mkdir()  # on many file systems with the number that the other one had
    (folder / "a.fits").write_bytes(b"raw")
    assert here.told.next().path == folder / "a.fits"
    folder.rename(folder.with_name("elsewhere"))
    folder.mkdir()
    (folder / "b.fits").write_bytes(b"raw")
    assert here.told.next().path == folder / "b.fits"
    (folder / "c.fits").write_bytes(b"raw")
    assert here.told.next().path == folder / "c.fits"


def test_what_is_mounted_over_a_folder_is_watched(folder: Path, start: Start) -> None:
    here = start()
    with small_disk(folder):
        (folder / "a.fits").write_bytes(b"raw")
        assert here.told.next().path == folder / "a.fits"
    (folder / "b.fits").write_bytes(b"raw")
    assert here.told.next().path == folder / "b.fits"


def test_several_folders_are_watched(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        (folder / "a.fits").write_bytes(b"raw")
    told: list[Arrival] = []
    watch = DirectoryWatch(folders, told.append)
    watch.start()
    watch.stop()
    assert [arrival.path.parent.name for arrival in told] == ["one", "two"]


def test_nothing_is_told_after_the_stop(folder: Path) -> None:
    told: list[Arrival] = []
    watch = DirectoryWatch([folder], told.append)
    watch.start()
    watch.stop()
    (folder / "a.fits").write_bytes(b"raw")
    assert told == []


def test_a_relative_folder_gives_absolute_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.fits").write_bytes(b"raw")
    monkeypatch.chdir(folder.parent)
    told: list[Arrival] = []
    watch = DirectoryWatch([Path(folder.name)], told.append)
    watch.start()
    watch.stop()
    assert [arrival.path for arrival in told] == [folder / "a.fits"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    watch = DirectoryWatch([tmp_path, tmp_path / "incomming"], [].append)
    with pytest.raises(InputError, match="incomming: there is no such folder"):
        watch.start()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a.fits").write_bytes(b"raw")
    with pytest.raises(InputError, match=r"a\.fits: there is no such folder"):
        DirectoryWatch([tmp_path / "a.fits"], [].append).start()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir(mode=0)
    with pytest.raises(InputError, match="secret: the folder cannot be read"):
        DirectoryWatch([tmp_path / "secret"], [].append).start()


def test_polling_tells_a_file_when_it_has_settled(
    folder: Path, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    monkeypatch.setattr(module, "_POLLING_SECONDS", 0.05)
    (folder / "before.fits").write_bytes(b"raw")
    here = start(polling=True)
    assert here.told.names(1) == ["before.fits"]
    (folder / "sub").mkdir()
    (folder / "sub" / "after.fits").write_bytes(b"raw")
    (folder / "sub" / "after.json").write_bytes(b"x")
    assert here.told.names(1) == ["after.fits"]


def test_polling_waits_while_a_file_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Path] = []
    settling = Settling(told.append)
    path = tmp_path / "a.fits"
    path.write_bytes(b"x")
    settling.look_at(path)
    looks = 0

    def grow(timeout: float) -> bool:
        nonlocal looks
        looks += 1
        if looks <= 4:
            path.write_bytes(b"x" * (looks + 1))
            assert told == []
        return looks > 6

    monkeypatch.setattr(settling._stopping, "wait", grow)
    settling._main()
    assert told == [path]


def test_where_leases_do_not_work_a_file_is_told_when_it_has_settled(
    folder: Path, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    monkeypatch.setattr(module, "_POLLING_SECONDS", 0.05)

    def refuse(descriptor: int, command: int, argument: int = 0) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(module.fcntl, "fcntl", refuse)
    (folder / "a.fits").write_bytes(b"raw")
    here = start()
    assert here.told.names(1) == ["a.fits"]


def test_a_writer_that_opens_the_file_while_we_look_does_not_end_the_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "a.fits"
    path.write_bytes(b"raw")
    real = fcntl.fcntl
    opened = []

    def open_in_between(descriptor: int, command: int, argument: int = 0) -> int:
        done = real(descriptor, command, argument)
        if command == fcntl.F_SETLEASE and argument == fcntl.F_RDLCK:
            with pytest.raises(BlockingIOError):
                os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            opened.append(path)
        return done

    monkeypatch.setattr(module.fcntl, "fcntl", open_in_between)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if module._is_being_written(path) is not None and opened else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_memory_of_what_was_told_is_bounded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    monkeypatch.setattr(module, "_PATHS_KEPT", 3)
    here = start()
    for i in range(5):
        (folder / f"{i}.fits").write_bytes(b"raw")
    here.told.names(5)
    assert len(here.watch._told) == 3


def test_writing_and_reading_do_not_fill_the_systems_queue(
    folder: Path, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    seen: list[str] = []
    real = module._Handler.on_any_event

    def note(self: Any, event: Any) -> None:
        seen.append(event.event_type)
        real(self, event)

    monkeypatch.setattr(module._Handler, "on_any_event", note)
    here = start()
    path = folder / "a.fits"
    with path.open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(b"x" * 100)
    for _ in range(20):
        path.read_bytes()
    path.chmod(0o600)
    assert here.until_quiet() == [path]
    assert set(seen) <= {"created", "closed", "moved"}
    assert len(seen) < 10
