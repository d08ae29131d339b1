"""The butler of one shard: upstream's quantum-backed butler, with what was just read or made in memory."""

from __future__ import annotations

__all__ = ("ObjectCache", "ShardButler")

import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Set
from typing import Any
from uuid import UUID

import numpy as np
from astropy.table import Table
from dask.sizeof import sizeof

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
from lsst.pipe.base import InMemoryDatasetHandle

from ..datastore import LocalWriter

_LOG = logging.getLogger(__name__)


class ObjectCache:
    """Objects of calibrations in memory, the least recently used dropped first.

    Parameters
    ----------
    limit
        Most bytes to hold, by an estimate of each object's size.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._objects: OrderedDict[tuple[UUID, str], tuple[Any, int]] = OrderedDict()
        self.bytes = 0

    def get(self, key: tuple[UUID, str]) -> Any | None:
        """Return an object, or `None`."""
        found = self._objects.get(key)
        if found is None:
            return None
        self._objects.move_to_end(key)
        return found[0]

    def put(self, key: tuple[UUID, str], obj: Any) -> None:
        """Keep an object, unless it is larger than the whole cache."""
        size = _size(obj)
        if size > self._limit:
            return
        self._objects[key] = (obj, size)
        self.bytes += size
        while self.bytes > self._limit:
            _, (_, dropped) = self._objects.popitem(last=False)
            self.bytes -= dropped


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

    Notes
    -----
    An object that one quantum puts is handed to the next without reading it back; the file is written
    all the same.  One that is shared and is read whole is read once.
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
        self._made: dict[UUID, InMemoryDatasetHandle] = {}

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
        handle = self._made.get(ref.id)
        if handle is None and ref.datasetType.nameAndComponent()[0] in self._cached:
            handle = self._load(ref)
        if handle is None:
            obj = super().get(ref, parameters=parameters, storageClass=storageClass)
            self._keep(ref, obj, as_stored=not parameters and storageClass is None)
            return obj
        wanted = ref.datasetType.storageClass if storageClass is None else storageClass
        with self._metrics.instrument_get(_LOG, msg="Retrieved dataset from memory"):
            obj = handle.get(
                component=ref.datasetType.component(), parameters=parameters, storageClass=wanted
            )
        if ref.id in self._predicted_inputs:
            self._actual_inputs.add(ref.id)
            self._available_inputs.add(ref.id)
        return obj

    def _keep(self, ref: DatasetRef, obj: Any, *, as_stored: bool) -> None:
        """Keep for the next tasks of the shard what was read whole, where it can be handed out as it is."""
        name = ref.datasetType.name
        if as_stored and name in self._shared and ref == self._registered(ref):
            storage_class = ref.datasetType.storageClass
            self._made[ref.id] = InMemoryDatasetHandle(
                obj, storageClass=storage_class, dataId=ref.dataId, copy=False
            )

    def _load(self, ref: DatasetRef) -> InMemoryDatasetHandle:
        """Return a calibration out of the cache, read whole when it is not there yet."""
        whole = self._registered(ref)
        name = whole.datasetType.name
        key = (whole.id, whole.datasetType.storageClass_name)
        obj = self._cache.get(key)
        if obj is None:
            obj = self._datastore.get(whole)
            self._cache.put(key, obj)
        return InMemoryDatasetHandle(
            obj,
            storageClass=whole.datasetType.storageClass,
            dataId=whole.dataId,
            copy=name not in self._shared,
        )

    def put(self, obj: Any, ref: DatasetRef, /, *, provenance: DatasetProvenance | None = None) -> DatasetRef:
        if ref.id not in self._predicted_outputs:
            raise RuntimeError(f"{ref} was not predicted as an output.")
        with self._metrics.instrument_put(log=_LOG, msg="Put dataset"):
            if not self._writer.put(obj, self._registered(ref), provenance):
                self._datastore.put(obj, ref, provenance=provenance)
            self._actual_output_refs.add(ref)
        copy = ref.datasetType.name not in self._shared
        self._made[ref.id] = InMemoryDatasetHandle(
            obj, storageClass=ref.datasetType.storageClass, dataId=ref.dataId, copy=copy
        )
        return ref

    def stored_many(self, refs: Iterable[DatasetRef]) -> dict[DatasetRef, bool]:
        refs = list(refs)
        made = {ref: True for ref in refs if ref.id in self._made}
        self._available_inputs.update(ref.id for ref in made if ref.id in self._predicted_inputs)
        return {**super().stored_many(ref for ref in refs if ref not in made), **made}

    def stored(self, ref: DatasetRef) -> bool:
        return self.stored_many([ref])[ref]


def _size(obj: Any) -> int:
    """Estimate an object's size in memory, bytes: that of the arrays, columns or values that it holds."""
    if isinstance(obj, np.ndarray):
        return obj.nbytes
    array = getattr(obj, "array", None)
    if isinstance(array, np.ndarray):
        return array.nbytes
    planes = [getattr(obj, plane, None) for plane in ("image", "mask", "variance")]
    if any(plane is not None for plane in planes):
        return sum(_size(plane) for plane in planes if plane is not None)
    if isinstance(obj, Table):
        return sum(column.nbytes for column in obj.itercols() if hasattr(column, "nbytes"))
    return int(sizeof(obj))
