"""What is deleted when, and what never is."""

from __future__ import annotations

import logging
import types
from pathlib import Path
from uuid import uuid4

import pytest
from lsst.daf.butler import Butler, StorageClassFactory
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.daf.butler.datastore.stored_file_info import StoredFileInfo

from lsst.ctrl.rapid.datastore import ScratchFolder
from lsst.ctrl.rapid.engine import ShardResponse
from lsst.ctrl.rapid.model import Shard
from lsst.ctrl.rapid.plan import DatasetMessage, records_from_message, records_to_message
from lsst.ctrl.rapid.service._scratch import Scratch, ScratchRecord

RUN = "rapid/20261122/p-x"
SHARD = Shard("p", "step1a", "LSSTCam", 1, 2)


class Bench:
    """A repository without datasets, and scratch of two types, of which one is read by a later step."""

    def __init__(self, root: Path) -> None:
        Butler.makeRepo(str(root))
        self.root = root
        with Butler.from_config(str(root), writeable=True) as butler:
            self.store = butler._datastore.name
            self.folder = ScratchFolder(butler._datastore, "rapid")
        gather = types.SimpleNamespace(reads=lambda _: ["later", "kept"])
        pipeline = types.SimpleNamespace(name="p", steps=[gather])
        self.scratch = Scratch(frozenset({"later", "within"}), [pipeline], self.folder)

    def response(self, *names: str, place: str = f"rapid_scratch/{RUN}") -> ShardResponse:
        """Return the response of a shard that wrote a dataset of each type."""
        outputs, infos = [], {}
        for name in names:
            output = DatasetMessage(dataset_type=name, id=uuid4(), run=RUN, values=("LSSTCam", 1, 2))
            path = f"{place}/{name}_{output.id}.json"
            (self.root / place).mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text("{}")
            outputs.append(output)
            infos[output.id] = {
                "file_datastore_records": [
                    StoredFileInfo(
                        formatter="lsst.daf.butler.formatters.json.JsonFormatter",
                        path=path,
                        storageClass=StorageClassFactory().getStorageClass("StructuredDataDict"),
                        component=None,
                        checksum=None,
                        file_size=2,
                    )
                ]
            }
        records = records_to_message({self.store: DatastoreRecordData(records=infos)})
        return ShardResponse(
            ok=True, started=0.0, finished=1.0, outputs=tuple(outputs), datastore_records=records
        )

    def left(self) -> list[str]:
        """Types of the files that are there, when all that was to be deleted is."""
        self.scratch._thread.submit(lambda: None).result(60)
        return sorted(file.name.rpartition("_")[0] for file in self.root.rglob("*_*.json"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "repo")


def test_what_a_later_step_reads_stays_until_it_is_released(bench: Bench) -> None:
    told = bench.scratch.take(SHARD, response := bench.response("kept", "later", "within"))
    assert [output.dataset_type for output in told.outputs] == ["kept"]
    [data] = records_from_message(told.datastore_records).values()
    assert set(data.records) == {told.outputs[0].id}
    record = ScratchRecord.model_validate_json(told.scratch)
    assert record.outputs == response.outputs[1:2]
    assert bench.left() == ["kept", "later"]
    bench.scratch.release("LSSTCam", 3)
    assert bench.left() == ["kept", "later"]
    bench.scratch.release("LSSTCam", 1)
    assert bench.left() == ["kept"]
    bench.scratch.release("LSSTCam", 1)
    bench.scratch.close()


def test_a_shard_without_scratch_is_registered_as_it_is(bench: Bench) -> None:
    told = bench.scratch.take(SHARD, response := bench.response("kept", "more"))
    assert (told.outputs, told.datastore_records) == (response.outputs, response.datastore_records)
    assert not told.scratch
    assert bench.scratch.take(SHARD, None).outputs == ()


def test_what_an_earlier_run_left_is_released_like_ones_own(bench: Bench) -> None:
    before = bench.response("later")
    bench.scratch.adopt(SHARD, before.outputs, before.datastore_records)
    kept = bench.response("kept")
    bench.scratch.adopt(SHARD, kept.outputs, kept.datastore_records)
    bench.scratch.release("LSSTCam", 1)
    assert bench.left() == ["kept"]


def test_what_a_shard_that_yielded_left_can_be_discarded(bench: Bench) -> None:
    bench.scratch.discard(bench.response("kept", "later", "within"))
    assert bench.left() == ["kept"]


def test_nothing_outside_the_folder_is_deleted(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    for place in (RUN, "rapid_scratch/another/20261122/p-x", f"rapid_scratch/../{RUN}"):
        bench.scratch.take(SHARD, bench.response("later", place=place))
    bench.scratch.release("LSSTCam", 1)
    assert bench.left() == ["later"] * 3
    assert caplog.text.count("stays") == 3


def test_a_file_that_cannot_be_deleted_is_told_and_the_others_are(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    response = bench.response("later", "later")
    first = next(bench.root.rglob("later_*.json"))
    first.unlink()
    first.mkdir()
    bench.scratch.take(SHARD, response)
    with caplog.at_level(logging.ERROR):
        bench.scratch.release("LSSTCam", 1)
        assert bench.left() == ["later"]
    assert f"{first} cannot be removed" in caplog.text.replace("file://", "")
