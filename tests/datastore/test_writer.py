"""Files and records of `LocalWriter` are those of upstream's datastore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import astropy.table
import numpy as np
import pytest
from lsst.daf.butler import DatasetProvenance, FileDataset
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.images import Image
from lsst.pipe.base import TaskMetadata

from lsst.ctrl.rapid.datastore import LocalWriter, add_files, without_files, write_under_own_names

from .conftest import Place

THINGS: dict[str, Any] = {
    "StructuredDataDict": {"a": 1},
    "NumpyArray": np.arange(12.0),
    "ArrowAstropy": astropy.table.Table({"x": [1, 2, 3]}),
    "ImageV2": Image(np.ones((4, 5), np.float32)),
    "TaskMetadata": TaskMetadata.from_dict({"quantum": {"start": 1.0}}),
    "Plot": None,
}


def thing(storage_class: str) -> Any:
    if storage_class == "Plot":
        from matplotlib.figure import Figure

        return Figure(figsize=(1, 1))
    return THINGS[storage_class]


@pytest.mark.parametrize("storage_class", sorted(THINGS))
def test_the_same_file_with_the_same_record(place: Place, storage_class: str) -> None:
    """One dataset, written by upstream's datastore and by ours, one after the other."""
    ref, obj = place.ref(storage_class), thing(storage_class)
    theirs, ours = place.datastore(), place.datastore()
    theirs.put(obj, ref)
    files = place.files()
    contents = [(place.root / name).read_bytes() for name in files]
    for name in files:
        (place.root / name).unlink()
    assert LocalWriter(ours).put(obj, ref)
    assert place.files() == files
    written = [(place.root / name).read_bytes() for name in files]
    # Images and tables carry the time at which they were written, or identities of their own.
    if storage_class not in {"ImageV2", "Plot"}:
        assert written == contents
    assert ours.export_records([ref]) == theirs.export_records([ref])
    if storage_class != "Plot":  # it has no reader
        assert type(ours.get(ref)) is type(theirs.get(ref))
    assert without_files(ours, [ref], ours.export_records([ref])) == []
    (place.root / files[0]).unlink()
    assert without_files(ours, [ref], ours.export_records([ref])) == [ref]


def test_provenance_is_written_with_it(place: Place) -> None:
    provenance = DatasetProvenance(quantum_id=place.ref("ImageV2").id)
    texts = []
    for name, put in (
        ("theirs", place.datastore().put),
        ("ours", LocalWriter(place.datastore()).put),
    ):
        put(THINGS["ImageV2"], place.ref("ImageV2", name), provenance=provenance)
        [file] = [found for found in place.files() if f"{name}_" in found]
        texts.append((place.root / file).read_bytes())
    for text in texts:
        assert str(provenance.quantum_id).encode() in text


def test_a_dataset_is_written_once(place: Place) -> None:
    ref, writer = place.ref("StructuredDataDict"), LocalWriter(place.datastore())
    writer.put({"first": 1}, ref)
    [file] = place.files()
    with pytest.raises(ConflictingDefinitionError, match="already"):
        writer.put({"second": 2}, ref)
    assert "first" in (place.root / file).read_text()


def test_what_cannot_be_serialised_leaves_nothing(place: Place) -> None:
    ref, datastore = place.ref("StructuredDataDict"), place.datastore()
    with pytest.raises(RuntimeError, match=r"Failed to serialize dataset thing@.* using formatter .*Yaml"):
        LocalWriter(datastore).put({"a": object()}, ref)
    assert place.files() == []
    assert not datastore.knows(ref)


def test_an_object_of_another_type_is_converted_or_refused(place: Place) -> None:
    datastore = place.datastore()
    with pytest.raises(TypeError):
        LocalWriter(datastore).put(5, place.ref("ImageV2"))
    assert place.files() == []


def test_checksums_are_left_to_the_datastore(place: Place) -> None:
    place.config["datastore", "checksum"] = True
    assert not LocalWriter(place.datastore()).put({}, place.ref("StructuredDataDict"))


def test_a_formatter_can_be_named(place: Place) -> None:
    """What is written as JSON is read by anybody: its record says so."""
    ref = place.ref("StructuredDataDict", "named")
    datastore = place.datastore(named="lsst.daf.butler.formatters.json.JsonFormatter")
    assert LocalWriter(datastore).put({"a": 1}, ref)
    assert [name.rpartition(".")[2] for name in place.files()] == ["json"]
    other = place.datastore()
    other.import_records(datastore.export_records([ref]))
    assert other.get(ref) == {"a": 1}


def test_a_file_is_known_where_it_is(place: Place, tmp_path: Path) -> None:
    """As an ingest with transfer="direct"."""
    path = tmp_path / "a file.yaml"
    path.write_text("a: 1")
    ref = place.ref("StructuredDataDict")
    file = FileDataset(str(path), [ref], formatter="lsst.daf.butler.formatters.yaml.YamlFormatter")
    theirs, ours = place.datastore(), place.datastore()
    theirs.ingest(file, transfer="direct")
    records = add_files(ours, [file])
    assert records == ours.export_records([ref]) == theirs.export_records([ref])
    assert ours.get(ref) == {"a": 1}
    path.unlink()
    with pytest.raises(FileNotFoundError):
        add_files(place.datastore(), [file])


@pytest.mark.parametrize("ours", [True, False])
def test_two_attempts_at_one_dataset_do_not_meet(place: Place, ours: bool) -> None:
    """The first process was believed dead, and writes after the second one."""
    first, second = place.ref("StructuredDataDict"), place.ref("StructuredDataDict")
    assert first.dataId == second.dataId
    stores = [place.datastore(), place.datastore()]
    for store in stores:
        write_under_own_names(store)
    puts = [LocalWriter(store).put if ours else store.put for store in stores]
    puts[1]({"attempt": "second"}, second)
    puts[0]({"the first": "attempt"}, first)
    assert stores[1].get(second) == {"attempt": "second"}
    assert [str(ref.id) in "".join(place.files()) for ref in (first, second)] == [True, True]
