"""The datasets of quanta."""

from __future__ import annotations

__all__ = ("all_refs", "registered")

from collections.abc import Iterable, Mapping

from lsst.daf.butler import DatasetRef, DatasetType


def all_refs(groups: Iterable[Iterable[Iterable[DatasetRef]]]) -> Iterable[DatasetRef]:
    """Iterate over the datasets of many quanta's inputs or outputs."""
    return (ref for group in groups for refs in group for ref in refs)


def registered(ref: DatasetRef, dataset_types: Mapping[str, DatasetType]) -> DatasetRef:
    """Return a dataset in the repository's definition, without a component or another storage class."""
    if ref.isComponent():
        ref = ref.makeCompositeRef()
    dataset_type = dataset_types[ref.datasetType.name]
    if ref.datasetType == dataset_type:
        return ref
    return ref.overrideStorageClass(dataset_type.storageClass)
