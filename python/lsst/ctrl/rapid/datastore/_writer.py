"""Writing of datasets to a local file system, without what a remote one would need."""

from __future__ import annotations

__all__ = ("LocalWriter",)

import contextlib
import dataclasses
import os
import secrets
from typing import Any

from lsst.daf.butler import (
    DatasetProvenance,
    DatasetRef,
    DatasetType,
    FileDescriptor,
    FormatterV2,
    Location,
)
from lsst.daf.butler.datastore import Datastore
from lsst.daf.butler.datastore.file_templates import FileTemplate
from lsst.daf.butler.datastore.stored_file_info import StoredFileInfo
from lsst.daf.butler.datastores.fileDatastore import FileDatastore
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.resources import ResourcePath
from lsst.utils.introspection import get_full_type_name

from ._room import storage_error


@dataclasses.dataclass(frozen=True, slots=True)
class _Way:
    """How the datasets of a type are written."""

    template: FileTemplate
    formatter: type[FormatterV2]
    options: dict[str, Any]


class LocalWriter:
    """Writes datasets as `~lsst.daf.butler.datastores.fileDatastore.FileDatastore.put` does, in less time.

    Parameters
    ----------
    datastore
        Where to.

    Notes
    -----
    Names, formatters and records are those of the datastore: it and this write the same files with the same
    records.  A file is written under another name beside its place and then renamed, so that nobody finds
    half of one.  What a local file system does not need is left out, and what is the same for all datasets
    of a type is looked up once: 0.3 ms instead of 1.2 ms for a small dataset.
    """

    def __init__(self, datastore: Datastore) -> None:
        # A chain, a remote root, or checksums: the datastore's own way.
        self._datastore = (
            datastore
            if type(datastore) is FileDatastore and datastore.root.isLocal and not datastore.useChecksum
            else None
        )
        self._ways: dict[tuple[DatasetType, object], _Way | None] = {}

    def put(self, obj: Any, ref: DatasetRef, provenance: DatasetProvenance | None = None) -> bool:
        """Write a dataset and have the datastore know it.

        Parameters
        ----------
        obj
            The object.
        ref
            What it is, in the repository's definition.
        provenance
            What is to be written with it, where its formatter can.

        Returns
        -------
        written
            `False`, and nothing was done, where only the datastore itself can write it.

        Raises
        ------
        StorageError
            If nothing can be written there now.
        RuntimeError
            If the object could not be serialised.  What was written of it is removed in both cases.
        lsst.daf.butler.registry.ConflictingDefinitionError
            If the datastore knows the dataset already: nothing is written.
        """
        datastore = self._datastore
        if datastore is None or (way := self._way(datastore, ref)) is None:
            return False
        if datastore.bridge.check([ref.id]):
            raise ConflictingDefinitionError(f"{ref} has been written already.")
        path = way.template.format(ref)
        # Only the formatter knows the extension, and it wants a place before it is asked.
        descriptor = FileDescriptor(
            Location(datastore.root, path, trusted_path=True), storageClass=ref.datasetType.storageClass
        )
        formatter = way.formatter(
            descriptor, dataId=ref.dataId, ref=ref, provenance=provenance, **way.options
        )
        location = formatter.make_updated_location(descriptor.location)
        if not formatter.can_accept(obj):
            obj = ref.datasetType.storageClass.coerce_type(obj)
        try:
            size = _write(formatter, formatter.add_provenance(obj, provenance=provenance), location)
        except Exception as err:
            if (fault := storage_error(err, location.uri.ospath)) is not None:
                raise fault from err
            raise RuntimeError(
                f"Failed to serialize dataset {ref} of type {get_full_type_name(obj)} "
                f"using formatter {formatter.name()}."
            ) from err
        info = StoredFileInfo(
            formatter=formatter,
            path=location.pathInStore.path,
            storageClass=ref.datasetType.storageClass,
            component=None,
            checksum=None,
            file_size=size,
        )
        datastore.bridge.insert([ref])
        datastore.addStoredItemInfo([ref], [info])
        return True

    def _way(self, datastore: FileDatastore, ref: DatasetRef) -> _Way | None:
        """Return how a dataset is written; configurations may tell one instrument from another."""
        key = (ref.datasetType, ref.dataId.get("instrument"))
        if key not in self._ways:
            self._ways[key] = _find_way(datastore, ref)
        return self._ways[key]


def _find_way(datastore: FileDatastore, ref: DatasetRef) -> _Way | None:
    if datastore.composites.shouldBeDisassembled(ref) or not datastore.constraints.isAcceptable(ref):
        return None
    try:
        template = datastore.templates.getTemplate(ref)
        _, formatter, options = datastore.formatterFactory.getFormatterClassWithMatch(ref)
    except KeyError:
        return None
    if not issubclass(formatter, FormatterV2):
        return None
    template.validateTemplate(ref)
    return _Way(template, formatter, options)


def _write(formatter: FormatterV2, obj: Any, location: Location) -> int:
    """Write an object under a temporary name such as upstream's, rename it, and return its size, bytes."""
    uri = location.uri
    path, extension = uri.ospath, uri.getExtension()
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f"{secrets.token_hex(4)}{name.removesuffix(extension)}.tmp{extension}")
    if not os.path.isdir(folder):
        os.makedirs(folder, exist_ok=True)
    try:
        formatter.write_local_file(obj, ResourcePath(temporary, forceAbsolute=False))
        size = os.stat(temporary).st_size
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error counts
            os.remove(temporary)
        raise
    return size
