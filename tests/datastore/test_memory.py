"""Records in memory answer as upstream's table in a database does."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from lsst.daf.butler.datastore import DatastoreTransaction
from lsst.daf.butler.datastores.fileDatastore import FileDatastore
from lsst.daf.butler.registry.databases.sqlite import SqliteDatabase
from lsst.daf.butler.registry.interfaces import OpaqueTableStorage
from lsst.daf.butler.registry.opaque import ByNameOpaqueTableStorageManager

from lsst.ctrl.rapid.datastore._memory import MemoryTables

IDS = [uuid.UUID(int=number) for number in range(1, 6)]


def row(identity: uuid.UUID, path: str, component: str = "all") -> dict[str, Any]:
    return {
        "dataset_id": identity, "path": path, "formatter": "f", "storage_class": "s",
        "component": component, "checksum": None, "file_size": 1,
    }  # fmt: skip


@pytest.fixture(params=["upstream", "ours"])
def table(request: pytest.FixtureRequest) -> Iterator[OpaqueTableStorage]:
    spec = FileDatastore.makeTableSpec()
    if request.param == "ours":
        yield MemoryTables().register("records", spec)
        return
    database = SqliteDatabase.fromUri("sqlite:///:memory:", origin=0)
    with database.declareStaticTables(create=True) as context:
        manager = ByNameOpaqueTableStorageManager.initialize(database, context)
    yield manager.register("records", spec)
    database.dispose()


def found(table: OpaqueTableStorage, **where: Any) -> list[tuple[uuid.UUID, str, str]]:
    return sorted((r["dataset_id"], r["component"], r["path"]) for r in table.fetch(**where))


def test_rows_are_found(table: OpaqueTableStorage) -> None:
    table.insert(
        row(IDS[0], "a#1"),
        row(IDS[1], "a#2"),
        row(IDS[2], "b", "wcs"),
        row(IDS[2], "c", "psf"),
        row(IDS[3], "b"),
    )
    assert found(table, dataset_id=IDS[0]) == [(IDS[0], "all", "a#1")]
    both = [(IDS[0], "all", "a#1"), (IDS[1], "all", "a#2")]
    assert found(table, dataset_id=[IDS[0], IDS[1], IDS[4]]) == both
    assert found(table, dataset_id={IDS[2]}) == [(IDS[2], "psf", "c"), (IDS[2], "wcs", "b")]
    assert found(table, dataset_id=IDS[2], component="psf") == [(IDS[2], "psf", "c")]
    assert found(table, path="b") == [(IDS[2], "wcs", "b"), (IDS[3], "all", "b")]
    assert found(table, path="a#%") == both
    assert found(table, path="b", dataset_id=IDS[3]) == [(IDS[3], "all", "b")]
    assert len(found(table)) == 5
    assert [len(batch) for batch in table.fetch_batches(path=["b", "c"])] == [3]


def test_a_row_is_inserted_once(table: OpaqueTableStorage) -> None:
    table.insert(row(IDS[0], "a"))
    with pytest.raises(Exception, match=r"already|UNIQUE"):
        table.insert(row(IDS[1], "b"), row(IDS[0], "other"))
    assert found(table) == [(IDS[0], "all", "a")]
    table.ensure(row(IDS[0], "other"), row(IDS[1], "b"))
    assert found(table) == [(IDS[0], "all", "a"), (IDS[1], "all", "b")]
    table.replace(row(IDS[0], "other"))
    assert found(table, path="other") == [(IDS[0], "all", "other")]
    assert found(table, path="a") == []


def test_rows_are_deleted(table: OpaqueTableStorage) -> None:
    table.insert(row(IDS[0], "a"), row(IDS[0], "b", "wcs"), row(IDS[1], "a"))
    table.delete(["dataset_id"], {"dataset_id": IDS[0]}, {"dataset_id": IDS[4]})
    assert found(table) == [(IDS[1], "all", "a")]
    assert found(table, path="a") == [(IDS[1], "all", "a")]
    table.insert(row(IDS[0], "a"))
    assert len(found(table, path="a")) == 2


def test_what_is_rolled_back_was_never_there() -> None:
    table = MemoryTables().register("records", FileDatastore.makeTableSpec())
    table.insert(row(IDS[0], "a"))
    transaction = DatastoreTransaction()
    table.insert(row(IDS[1], "b"), transaction=transaction)
    table.replace(row(IDS[0], "c"), transaction=transaction)
    table.ensure(row(IDS[0], "d"), row(IDS[2], "e"), transaction=transaction)
    transaction.rollback()
    assert found(table) == [(IDS[0], "all", "a")]
    assert found(table, path="a") == [(IDS[0], "all", "a")]
