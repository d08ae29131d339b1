"""The butler of one shard: upstream's quantum-backed butler, with what was just read or made in memory."""

from __future__ import annotations

__all__ = ("ObjectCache", "ShardButler")

import dataclasses
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Set
from itertools import chain
from typing import Any
from uuid import UUID

from lsst.daf.butler import (
    DatasetProvenance,
    DatasetRef,
    DatasetType,
    DimensionUniverse,
    QuantumBackedButler,
    StorageClass,
    StorageClassFactory,
)
from lsst.daf.butler.datastore import Datastore
from lsst.daf.butler.datastore.stored_file_info import StoredFileInfo
from lsst.pipe.base import InMemoryDatasetHandle

from ..datastore import LocalWriter
from ._sizes import memory_size

_LOG = logging.getLogger(__name__)

_IMMUTABLE = frozenset({"Camera", "Detector", "PhotoCalib", "TransmissionCurve", "VisitInfo", "Wcs"})
"""Storage classes whose objects nothing can modify, by upstream's contract; most of them cannot be copied."""

type _Key = tuple[UUID, str]
"""A dataset, and the storage class that its object is of."""


class ObjectCache:
    """Objects of calibrations in memory, the least recently used dropped first.

    Parameters
    ----------
    limit
        Most bytes to hold, by an estimate of each object's size.

    Attributes
    ----------
    bytes
        Size of what it holds, by that estimate.
    uncopied
        Storage classes whose objects cannot be copied: they are read for each task.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._objects: OrderedDict[_Key, tuple[Any, int]] = OrderedDict()
        self.bytes = 0
        self.uncopied: set[str] = set()

    def get(self, key: _Key) -> Any | None:
        """Return an object, or `None`."""
        found = self._objects.get(key)
        if found is None:
            return None
        self._objects.move_to_end(key)
        return found[0]

    def put(self, key: _Key, obj: Any, stored: int = 0) -> None:
        """Keep an object, unless it is larger than the whole cache.

        Parameters
        ----------
        key
            Its dataset and storage class.
        obj
            The object.
        stored
            Size of its file, bytes; 0 if it is not known.
        """
        self.drop(key)
        size = memory_size(obj, stored)
        if size > self._limit:
            return
        self._objects[key] = (obj, size)
        self.bytes += size
        while self.bytes > self._limit:
            _, (_, dropped) = self._objects.popitem(last=False)
            self.bytes -= dropped

    def drop(self, key: _Key) -> None:
        """Hold an object no longer, if it is there."""
        _, size = self._objects.pop(key, (None, 0))
        self.bytes -= size


class _UncopiedError(Exception):
    """An object cannot be copied."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Kept:
    """An object in memory.

    Attributes
    ----------
    obj
        The object.
    storage_class
        What it is of.
    shared
        Whether it is handed out itself; otherwise each task has a copy of its own.
    """

    obj: Any
    storage_class: StorageClass
    shared: bool

    def get(
        self, component: str | None, parameters: dict[str, Any] | None, wanted: StorageClass | None
    ) -> Any:
        """Return the object, or a part of it, as `~lsst.pipe.base.InMemoryDatasetHandle` does.

        Raises
        ------
        _UncopiedError
            If it must be copied and cannot be.
        """
        obj = self.obj
        if not self.shared:
            try:
                obj = InMemoryDatasetHandle(obj, storageClass=self.storage_class, copy=True).get()
            except Exception as err:  # what a class raises that refuses is its own choice
                raise _UncopiedError from err
        handle = InMemoryDatasetHandle(obj, storageClass=self.storage_class)
        return handle.get(component=component, parameters=parameters, storageClass=wanted)


class ShardButler(QuantumBackedButler):
    """A quantum-backed butler for all quanta of one shard, on a datastore that outlives it.

    Parameters
    ----------
    predicted_inputs, predicted_outputs
        Datasets that may be read and written.
    universe
        The repository's dimensions.
    datastore
        The worker's datastore.
    storage_classes
        The repository's storage classes.
    dataset_types
        The repository's definitions by name.
    cached
        Names of the dataset types whose objects are kept in ``cache``.
    shared
        Names of the dataset types whose objects no task modifies; others are handed out as copies.
    cache
        Objects that outlive the shard.
    writer
        Writes to the datastore.
    repeated
        Inputs that several quanta read.

    Notes
    -----
    An object that one quantum puts is handed to the next without reading it back; the file is written
    all the same.  One that is shared and is read whole is read once; so is one that several quanta read
    converted to another storage class.

    Objects of types that are immutable by upstream's contract are shared without a word.  One that must be
    copied, and cannot be, is read from its file for each task.
    """

    def __init__(
        self,
        predicted_inputs: Iterable[UUID],
        predicted_outputs: Iterable[UUID],
        universe: DimensionUniverse,
        datastore: Datastore,
        storage_classes: StorageClassFactory,
        dataset_types: Mapping[str, DatasetType],
        *,
        cached: Set[str],
        shared: Set[str],
        cache: ObjectCache,
        writer: LocalWriter,
        repeated: Set[UUID] = frozenset(),
    ) -> None:
        super().__init__(
            predicted_inputs,
            predicted_outputs,
            universe,
            datastore,
            storage_classes,
            dataset_types=dataset_types,
        )
        self._cached = cached
        self._shared = shared
        self._cache = cache
        self._writer = writer
        self._repeated = repeated
        self._made: dict[UUID, dict[str, _Kept]] = {}
        self._there: set[UUID] = set()

    @property
    def written(self) -> list[DatasetRef]:
        """The datasets that were put, in the repository's definition."""
        return [self._registered(ref) for ref in self._actual_output_refs]

    def _registered(self, ref: DatasetRef) -> DatasetRef:
        """Return a dataset in the repository's definition, without a component or another storage class."""
        if ref.isComponent():
            ref = ref.makeCompositeRef()
        dataset_type = self._dataset_types.get(ref.datasetType.name)
        if dataset_type is None or dataset_type == ref.datasetType:
            return ref
        return ref.overrideStorageClass(dataset_type.storageClass)

    def get(
        self,
        ref: DatasetRef,
        /,
        *,
        parameters: dict[str, Any] | None = None,
        storageClass: StorageClass | str | None = None,  # noqa: N803 -- upstream's name
    ) -> Any:
        wanted = ref.datasetType.storageClass if storageClass is None else storageClass
        if isinstance(wanted, str):
            wanted = self.storageClasses.getStorageClass(wanted)
        how = ref.datasetType.component(), parameters, wanted
        kept = self._find(ref, wanted, as_whole=not parameters)
        if kept is not None:
            try:
                with self._metrics.instrument_get(_LOG, msg="Retrieved dataset from memory"):
                    obj = kept.get(*how)
            except _UncopiedError:
                self._give_up(ref, kept)
            else:
                if ref.id in self._predicted_inputs:
                    self._actual_inputs.add(ref.id)
                    self._available_inputs.add(ref.id)
                return obj
        whole = self._registered(ref)
        cached = whole.datasetType.name in self._cached and not self._must_read(whole, wanted)
        if cached and (how[0] is not None or parameters):
            # A calibration is read whole once, whatever part of it is asked for first.
            fresh = _Kept(super().get(whole), *self._way(whole, whole.datasetType.storageClass))
        else:
            obj = super().get(ref, parameters=parameters, storageClass=storageClass)
            if how[0] is not None or parameters or not (cached or self._is_worth_keeping(whole, wanted)):
                return obj
            fresh = _Kept(obj, *self._way(whole, wanted))
            how = None, None, wanted
        try:
            obj = fresh.get(*how)
        except _UncopiedError:
            self._give_up(ref, fresh)
            return dataclasses.replace(fresh, shared=True).get(*how)
        if cached:
            self._cache.put((whole.id, fresh.storage_class.name), fresh.obj, self._stored_size(whole))
        else:
            self._remember(whole.id, fresh)
        return obj

    def _find(self, ref: DatasetRef, wanted: StorageClass, *, as_whole: bool) -> _Kept | None:
        """Return a dataset's object in memory that is, or can give, what is wanted, as a whole or a part."""
        whole = self._registered(ref)
        if self._must_read(whole, wanted):
            return None
        registered = whole.datasetType.storageClass
        made = self._made.get(ref.id, {})
        found = [kept for name in (wanted.name, registered.name) if (kept := made.get(name))] + [
            *made.values()
        ]
        if whole.datasetType.name in self._cached:
            found += [
                _Kept(obj, *self._way(whole, storage_class))
                for storage_class in (wanted, registered)
                if (obj := self._cache.get((ref.id, storage_class.name))) is not None
            ]
        if ref.isComponent() or not as_whole:
            # Components are those of the file's storage class, parameters also those of the wanted one.
            names = {registered.name} if ref.isComponent() else {wanted.name, registered.name}
            return next((kept for kept in found if kept.storage_class.name in names), None)
        if found and found[0].storage_class.name != wanted.name:
            return self._convert(whole, found[0], wanted)
        return found[0] if found else None

    def _convert(self, whole: DatasetRef, source: _Kept, wanted: StorageClass) -> _Kept | None:
        """Return another object of a dataset, made of the one in memory; `None` if that cannot be."""
        try:
            obj = wanted.coerce_type(source.obj)
        except Exception:  # noqa: BLE001 -- a reader may know more of the file than the converter of the object
            _LOG.debug(
                "%s is read as %s, since its object cannot be converted.", whole, wanted, exc_info=True
            )
            return None
        kept = dataclasses.replace(source, obj=obj, storage_class=wanted)
        if whole.id in self._made:
            self._remember(whole.id, kept)
        else:
            self._cache.put((whole.id, wanted.name), obj)
        return kept

    def _way(self, whole: DatasetRef, storage_class: StorageClass) -> tuple[StorageClass, bool]:
        """Return the storage class and whether objects of it are shared, for `_Kept`."""
        shared = whole.datasetType.name in self._shared or storage_class.name in _IMMUTABLE
        return storage_class, shared

    def _must_read(self, whole: DatasetRef, wanted: StorageClass) -> bool:
        """Tell whether tasks need copies of objects of a class that cannot be copied."""
        names = {wanted.name, whole.datasetType.storageClass_name} & self._cache.uncopied
        return bool(names) and whole.datasetType.name not in self._shared

    def _is_worth_keeping(self, whole: DatasetRef, wanted: StorageClass) -> bool:
        """Tell whether what was just read whole is kept for the next tasks of the shard."""
        _, shared = self._way(whole, wanted)
        return shared or (whole.id in self._repeated and wanted.name != whole.datasetType.storageClass_name)

    def _give_up(self, ref: DatasetRef, kept: _Kept) -> None:
        """Keep no objects of a class that cannot be copied."""
        _LOG.debug("%s cannot be copied and is read for each task.", ref)
        self._cache.uncopied.add(kept.storage_class.name)
        self._cache.drop((ref.id, kept.storage_class.name))
        self._made.pop(ref.id, None)

    def _remember(self, ref_id: UUID, kept: _Kept) -> None:
        self._there.add(ref_id)
        self._made.setdefault(ref_id, {})[kept.storage_class.name] = kept

    def _stored_size(self, whole: DatasetRef) -> int:
        """Return the size of a dataset's files, bytes; 0 where the datastore does not know it."""
        records = self._datastore.export_records([whole]).values()
        infos = [
            info for data in records for tables in data.records.values() for info in chain(*tables.values())
        ]
        return sum(max(info.file_size, 0) for info in infos if isinstance(info, StoredFileInfo))

    def put(self, obj: Any, ref: DatasetRef, /, *, provenance: DatasetProvenance | None = None) -> DatasetRef:
        if ref.id not in self._predicted_outputs:
            raise RuntimeError(f"{ref} was not predicted as an output.")
        with self._metrics.instrument_put(log=_LOG, msg="Put dataset"):
            if not self._writer.put(obj, self._registered(ref), provenance):
                self._datastore.put(obj, ref, provenance=provenance)
            self._actual_output_refs.add(ref)
        self._remember(ref.id, _Kept(obj, *self._way(ref, ref.datasetType.storageClass)))
        return ref

    def stored_many(self, refs: Iterable[DatasetRef]) -> dict[DatasetRef, bool]:
        refs = list(refs)
        made = {ref: True for ref in refs if ref.id in self._there}
        self._available_inputs.update(ref.id for ref in made if ref.id in self._predicted_inputs)
        return {**super().stored_many(ref for ref in refs if ref not in made), **made}

    def stored(self, ref: DatasetRef) -> bool:
        return self.stored_many([ref])[ref]
