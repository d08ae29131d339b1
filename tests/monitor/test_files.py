"""Files that others read, on a disk without room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lsst.ctrl.rapid.model import Shard, ShardReport
from lsst.ctrl.rapid.monitor import RunRecord, whole_file
from lsst.ctrl.rapid.publish import FolderPublisher
from support.small_disk import SmallDisk, small_disk

End = Callable[..., ShardReport]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", "256k") as disk:
        yield disk


def test_a_file_is_whole_or_as_it_was(disk: SmallDisk) -> None:
    path = disk.folder / "new" / "report.json"
    with whole_file(path) as temporary:
        temporary.write_text("old")
        assert temporary.suffix == ".json"
        assert temporary.parent == path.parent
        assert not path.exists()
    disk.fill()
    with pytest.raises(OSError, match="No space left on device"), whole_file(path) as temporary:
        temporary.write_text("new" * 100_000)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_published_copy_is_whole_or_not_there(disk: SmallDisk, tmp_path: Path) -> None:
    source, shard = tmp_path / "plot.png", Shard("summit", "step1b", "LSSTCam", 1)
    source.write_bytes(b"x" * 100_000)
    publisher = FolderPublisher(disk.folder)
    disk.fill()
    with pytest.raises(OSError, match="No space left on device"):
        publisher.publish(shard, 20261124, "plot", source)
    assert not [path for path in disk.folder.rglob("*") if path.is_file() and path.name != ".filler"]
    disk.make_room()
    assert publisher.publish(shard, 20261124, "plot", source).read_bytes() == source.read_bytes()


def test_a_report_loses_nothing_for_a_full_disk(
    disk: SmallDisk, record: RunRecord, end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lsst.ctrl.rapid.monitor._shelf._SHARDS_KEPT", 2)
    full = RunRecord(record.facts, disk.folder)
    ended = {detector: end(1, detector, 1002.0 + detector) for detector in range(90)}

    def put(detectors: range) -> None:
        for detector in detectors:
            full.ended(Shard("summit", "step1a", "LSSTCam", 1, detector), ended[detector])

    put(range(30))
    disk.fill()
    put(range(30, 60))
    disk.make_room()
    put(range(60, 90))
    report = full.report(ended=1200.0, interrupted=False)
    assert [shard.data_id["detector"] for shard in report.shards] == list(range(90))
    assert report.shards == tuple(ended.values())
