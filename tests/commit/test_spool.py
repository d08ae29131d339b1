"""What waits for the registry: in memory, on disk, in its order, within its bounds; no registry is needed."""

from __future__ import annotations

import dataclasses
import json
import queue
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy.exc

from lsst.ctrl.rapid.commit import Committed, Committer, Item, RemoveItem, ShardItem, Spool, SpoolError
from lsst.ctrl.rapid.model import InputError
from lsst.ctrl.rapid.plan import DatasetMessage

SECONDS = 60


class FakeRegistrar:
    """Registers nothing, and keeps in which order it was asked to; away or silent when told to be."""

    def __init__(self) -> None:
        self.away = False
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()
        self.registered: list[int | None] = []

    def __enter__(self) -> FakeRegistrar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def prepare(self, item: Item) -> None:
        pass

    def commit(self, items: list[Item]) -> list[Committed]:
        self.asked.set()
        self.answers.wait(SECONDS)
        if self.away:
            raise sqlalchemy.exc.OperationalError("COMMIT", {}, Exception("nobody there"))
        self.registered += [item.shard.detector for item in items]
        return [Committed(item, time.time()) for item in items]


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.fixture
def only(on_sqlite):
    """The bench on one database: which, does not matter here."""
    return on_sqlite


@pytest.fixture
def registrar() -> FakeRegistrar:
    return FakeRegistrar()


def committer_of(
    registrar: FakeRegistrar, spool: Spool | None, told: queue.Queue[Committed], **more: int
) -> Committer:
    return Committer(lambda: registrar, told.put, interval=0.01, batch=2, spool=spool, **more)  # type: ignore[arg-type, return-value]


def detectors(told: queue.Queue[Committed], count: int) -> list[int | None]:
    return [told.get(timeout=SECONDS).item.shard.detector for _ in range(count)]


def test_items_are_read_as_they_were_written(only, tmp_path: Path) -> None:
    spool = only.spool(tmp_path / "spool")
    shard = only.shard(90)
    message = DatasetMessage.of(only.raws[0].ref)
    items = [
        only.run,
        *only.raws[:2],
        dataclasses.replace(shard, outputs=(message,), replaces=message, supersedes="out/partial/x"),
        RemoveItem((dataclasses.replace(shard.shard, detector=None, revision=1),), only.run),
    ]
    spool.write(7, items)
    assert [path.name for path in spool.folder.iterdir()] == ["000000000007.json"]
    again = only.spool(spool.folder)
    assert again.numbers == [7]
    read = again.read(7)
    assert read == items
    assert [r.toDict() for r in read[1].records] == [r.toDict() for r in items[1].records]
    assert read[1].records is read[2].records, "raws of an exposure share them"
    assert read[1].ref.dataId.hasRecords()


@pytest.mark.parametrize("damage", ["cut", "version", "record", "formatter"])
def test_a_file_that_cannot_be_read_is_kept_aside(only, tmp_path: Path, damage: str) -> None:
    spool = only.spool(tmp_path / "spool")
    spool.write(1, [only.raws[0]])
    path = spool.folder / "000000000001.json"
    whole = json.loads(path.read_text())
    match damage:
        case "version":
            whole["version"] = 2
        case "record":
            whole["records"][0][0] = "{}"
        case "formatter":
            whole["items"][0]["formatter"] = "os.system"
    path.write_text(path.read_text()[:-100] if damage == "cut" else json.dumps(whole))
    with pytest.raises(SpoolError, match=r"000000000001\.json cannot be read .*; it is kept as .*aside"):
        spool.read(1)
    assert spool.numbers == []
    assert [kept.name for kept in (spool.folder / "aside").iterdir()] == ["000000000001.json"]


def test_what_is_on_disk_is_registered_first_at_the_next_start(
    only, registrar: FakeRegistrar, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: queue.Queue[Committed] = queue.Queue()
    registrar.away = True
    first = committer_of(registrar, only.spool(tmp_path / "spool"), told)
    first.start()
    for detector in range(5):
        first.submit(only.shard(detector))
    wait_for(lambda: first.state.spooled == 5)
    assert first.state.away_since is not None
    first.submit(only.shard(5))
    first.close()
    assert first.left == (6, 6)
    assert told.empty(), "nothing is told as registered or as failed"
    assert "6 item(s), 6 shard(s) among them, are not registered yet" in caplog.text

    (tmp_path / "spool" / "000000000099.json").write_text("{")
    again = committer_of(registrar, only.spool(tmp_path / "spool"), told)
    with pytest.raises(sqlalchemy.exc.OperationalError, match="nobody there"):
        again.start()
    registrar.away = False
    again = committer_of(registrar, only.spool(tmp_path / "spool"), told)
    again.start()
    assert registrar.registered == [0, 1, 2, 3, 4, 5]
    assert [one.item.shard.detector for one in again.drained] == registrar.registered
    assert "000000000099.json cannot be read" in caplog.text
    again.submit(only.shard(6))
    assert detectors(told, 1) == [6]
    again.close()
    assert again.left == (0, 0)
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["aside"]


def test_results_of_another_output_are_not_touched(only, registrar: FakeRegistrar, tmp_path: Path) -> None:
    spool = only.spool(tmp_path / "spool")
    spool.write(1, [only.shard(1)])
    path = spool.folder / "000000000001.json"
    path.write_text(path.read_text().replace('"output":"out"', '"output":"theirs"'))
    committer = committer_of(registrar, spool, queue.Queue())
    with pytest.raises(InputError, match=r"belong to output 'theirs' of repository .*Start once with these"):
        committer.start()
    assert path.exists()
    assert not registrar.registered


def test_when_the_registry_is_back_all_is_registered_in_its_order(
    only, registrar: FakeRegistrar, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: queue.Queue[Committed] = queue.Queue()
    registrar.away = True
    committer = committer_of(registrar, only.spool(tmp_path / "spool"), told)
    committer.start()
    for detector in range(5):
        committer.submit(only.shard(detector))
    wait_for(lambda: committer.state.spooled == 5)
    for detector in range(5, 9):
        committer.submit(only.shard(detector))
    registrar.away = False
    assert detectors(told, 9) == registrar.registered == list(range(9))
    committer.close()
    assert committer.state.away_since is None
    assert list((tmp_path / "spool").iterdir()) == []
    assert caplog.text.count("Nothing can be registered (the registry is out of reach") == 1
    assert "The registry takes results again after" in caplog.text


def test_a_registry_that_does_not_answer_fills_no_memory(
    only, registrar: FakeRegistrar, tmp_path: Path
) -> None:
    told: queue.Queue[Committed] = queue.Queue()
    registrar.answers.clear()
    committer = committer_of(registrar, only.spool(tmp_path / "spool"), told, in_memory=4)
    committer.start()
    committer.submit(only.shard(0))
    assert registrar.asked.wait(SECONDS)
    for detector in range(1, 20):
        committer.submit(only.shard(detector))
    wait_for(lambda: committer.state.spooled >= 15)
    # Whoever is killed now leaves nothing on disk without what was submitted before it.
    found = only.spool(tmp_path / "spool")
    spooled = [item.shard.detector for number in found.numbers for item in found.read(number)]
    assert spooled == list(range(len(spooled)))
    registrar.answers.set()
    assert detectors(told, 20) == registrar.registered == list(range(20))
    committer.close()
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("bound", ["limit", "disk"])
def test_at_its_bound_the_spool_says_so_and_loses_nothing(
    only, registrar: FakeRegistrar, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch, bound: str,
) -> None:  # fmt: skip
    told: queue.Queue[Committed] = queue.Queue()
    registrar.away = True
    size = len(only.spool(tmp_path / "size")._form.write([only.shard(0), only.shard(1)]))
    if bound == "disk":
        usage = shutil.disk_usage(tmp_path)

        def look(_: Path) -> object:
            is_full = (tmp_path / "spool" / "000000000001.json").exists()
            return usage._replace(free=0 if is_full else usage.total)

        monkeypatch.setattr(shutil, "disk_usage", look)
    committer = committer_of(
        registrar, only.spool(tmp_path / "spool", 1.5 * size if bound == "limit" else 1e9), told
    )
    committer.start()
    for detector in range(6):
        committer.submit(only.shard(detector))
    wait_for(lambda: committer.state.full)
    wait_for(lambda: "Nothing more is dispatched" in caplog.text)
    assert ("'spool_limit'" if bound == "limit" else "MiB free") in committer.state.full
    assert committer.state.spooled == 2
    registrar.away = False
    assert detectors(told, 6) == list(range(6))
    committer.close()
    assert committer.state.full == ""
    assert caplog.text.count("Nothing more is dispatched") == 1


def test_without_a_spool_what_is_left_at_the_end_is_told(only, registrar: FakeRegistrar) -> None:
    told: queue.Queue[Committed] = queue.Queue()
    registrar.away = True
    committer = committer_of(registrar, None, told)
    committer.start()
    committer.submit(only.shard(0))
    committer.close()
    assert "out of reach: nobody there" in told.get(timeout=SECONDS).error
    assert isinstance(only.shard(0), ShardItem)
