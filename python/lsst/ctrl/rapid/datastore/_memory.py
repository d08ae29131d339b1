"""What a datastore without a registry keeps its records in: plain memory."""

from __future__ import annotations

__all__ = ("MemoryBridges", "MemoryTables")

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, override

from lsst.daf.butler import DimensionUniverse
from lsst.daf.butler.datastore import DatastoreTransaction
from lsst.daf.butler.ddl import TableSpec
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.daf.butler.registry.bridge.ephemeral import EphemeralDatastoreRegistryBridge
from lsst.daf.butler.registry.interfaces import (
    Database,
    DatasetIdRef,
    DatasetRecordStorageManager,
    DatastoreRegistryBridge,
    DatastoreRegistryBridgeManager,
    OpaqueTableStorage,
    OpaqueTableStorageManager,
    StaticTablesContext,
    VersionTuple,
)

type _Row = dict[str, Any]
type _Key = tuple[object, ...]


class _Table(OpaqueTableStorage):
    """Rows in memory, found by the columns that a datastore asks for."""

    _INDEXED = ("dataset_id", "path")

    def __init__(self, name: str, spec: TableSpec) -> None:
        super().__init__(name)
        self._primary = tuple(field.name for field in spec.fields if field.primaryKey)
        self._rows: dict[_Key, _Row] = {}
        names = {field.name for field in spec.fields}
        self._index: dict[str, defaultdict[object, dict[_Key, _Row]]] = {
            column: defaultdict(dict) for column in self._INDEXED if column in names
        }

    @override
    def insert(self, *data: _Row, transaction: DatastoreTransaction | None = None) -> None:
        keyed = {self._key(row): row for row in data}
        if len(keyed) != len(data) or not self._rows.keys().isdisjoint(keyed):
            raise ConflictingDefinitionError(f"A row of {self.name} is there already.")
        self._add(keyed, transaction)

    @override
    def ensure(self, *data: _Row, transaction: DatastoreTransaction | None = None) -> None:
        keyed = {self._key(row): row for row in data}
        self._add({key: row for key, row in keyed.items() if key not in self._rows}, transaction)

    @override
    def replace(self, *data: _Row, transaction: DatastoreTransaction | None = None) -> None:
        keyed = {self._key(row): row for row in data}
        before = {key: self._rows[key] for key in keyed if key in self._rows}
        self._remove(before)
        if transaction is not None and before:
            transaction.registerUndo("replace", self._put_back, before)
        self._add(keyed, transaction)

    @override
    def fetch(self, **where: Any) -> Iterator[Mapping[Any, Any]]:
        return iter(self._select(where))

    @override
    def fetch_batches(self, **where: Any) -> Iterator[Sequence[Mapping[Any, Any]]]:
        yield self._select(where)

    @override
    def delete(self, columns: Iterable[str], *rows: _Row) -> None:
        columns = tuple(columns)
        for row in rows:
            self._remove({self._key(found): found for found in self._select({c: row[c] for c in columns})})

    def _key(self, row: _Row) -> _Key:
        return tuple([row[name] for name in self._primary])

    def _add(self, rows: Mapping[_Key, _Row], transaction: DatastoreTransaction | None) -> None:
        self._put_back(rows)
        if transaction is not None and rows:
            transaction.registerUndo("insert", self._remove, rows)

    def _put_back(self, rows: Mapping[_Key, _Row]) -> None:
        self._rows |= rows
        for column, index in self._index.items():
            for key, row in rows.items():
                index[row[column]][key] = row

    def _remove(self, rows: Mapping[_Key, _Row]) -> None:
        for key, row in rows.items():
            if self._rows.pop(key, None) is None:
                continue
            for column, index in self._index.items():
                found = index[row[column]]
                found.pop(key, None)
                if not found:
                    del index[row[column]]

    def _select(self, where: Mapping[str, Any]) -> list[_Row]:
        """Return the rows for which every condition holds; an indexed one is looked up."""
        conditions = {column: _condition(wanted) for column, wanted in where.items()}
        candidates: Iterable[_Row] = self._rows.values()
        for column, index in self._index.items():
            if column in where and (values := _values(where[column])) is not None:
                candidates = [row for value in values if value in index for row in index[value].values()]
                del conditions[column]
                break
        return [row for row in candidates if all(holds(row[column]) for column, holds in conditions.items())]


def _values(wanted: Any) -> Iterable[object] | None:
    """Return the values that a condition allows; `None` where it is one on the beginning of a text."""
    if isinstance(wanted, list | tuple | set):
        return dict.fromkeys(wanted)
    return None if isinstance(wanted, str) and wanted.endswith("%") else (wanted,)


def _condition(wanted: Any) -> Callable[[object], bool]:
    """Return a condition as upstream's tables have it: one of many, the beginning of a text, or equal."""
    values = _values(wanted)
    if values is None:
        return lambda value: str(value).startswith(wanted[:-1])
    return lambda value: value in values


class MemoryTables(OpaqueTableStorageManager):
    """The tables of all datastores, by name."""

    def __init__(self) -> None:
        super().__init__()
        self._tables: dict[str, _Table] = {}

    @classmethod
    @override
    def initialize(
        cls, db: Database, context: StaticTablesContext, registry_schema_version: VersionTuple | None = None
    ) -> OpaqueTableStorageManager:
        raise NotImplementedError("These tables are in no database.")

    @override
    def get(self, name: str) -> OpaqueTableStorage | None:
        return self._tables.get(name)

    @override
    def register(self, name: str, spec: TableSpec) -> OpaqueTableStorage:
        return self._tables.setdefault(name, _Table(name, spec))

    @override
    def clone(self, db: Database) -> OpaqueTableStorageManager:
        raise NotImplementedError("These tables are in no database.")

    @classmethod
    @override
    def currentVersions(cls) -> list[VersionTuple]:
        return []


class MemoryBridges(DatastoreRegistryBridgeManager):
    """What datastores have instead of a registry: sets of dataset IDs."""

    def __init__(self, opaque: OpaqueTableStorageManager, universe: DimensionUniverse) -> None:
        super().__init__(opaque=opaque, universe=universe)
        self._bridges: dict[str, EphemeralDatastoreRegistryBridge] = {}

    @classmethod
    @override
    def initialize(
        cls,
        db: Database,
        context: StaticTablesContext,
        *,
        opaque: OpaqueTableStorageManager,
        datasets: type[DatasetRecordStorageManager],
        universe: DimensionUniverse,
        registry_schema_version: VersionTuple | None = None,
    ) -> DatastoreRegistryBridgeManager:
        raise NotImplementedError("These datastores have no registry.")

    @override
    def clone(self, *, db: Database, opaque: OpaqueTableStorageManager) -> DatastoreRegistryBridgeManager:
        raise NotImplementedError("These datastores have no registry.")

    @override
    def refresh(self) -> None:
        """There is nobody else whose datasets one would have to hear of."""

    @override
    def register(self, name: str, *, ephemeral: bool = True) -> DatastoreRegistryBridge:
        return self._bridges.setdefault(name, EphemeralDatastoreRegistryBridge(name))

    @override
    def findDatastores(self, ref: DatasetIdRef) -> Iterable[str]:
        return [name for name, bridge in self._bridges.items() if ref in bridge]

    @classmethod
    @override
    def currentVersions(cls) -> list[VersionTuple]:
        return []
