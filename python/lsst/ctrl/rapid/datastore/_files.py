"""Where the files of datasets are, and whether they are there."""

from __future__ import annotations

__all__ = ("add_files", "without_files")

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from uuid import UUID

from lsst.daf.butler import DatasetRef, FileDataset
from lsst.daf.butler.datastore import Datastore
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.daf.butler.datastore.stored_file_info import StoredDatastoreItemInfo, StoredFileInfo
from lsst.daf.butler.datastores.fileDatastore import FileDatastore
from lsst.resources import ResourcePath


def add_files(datastore: Datastore, files: Iterable[FileDataset]) -> Mapping[str, DatastoreRecordData]:
    """Have a datastore know files where they are, and return their records.

    Parameters
    ----------
    datastore
        What is to know them.
    files
        The files, each of one dataset in the repository's definition, with its formatter's name.

    Raises
    ------
    FileNotFoundError
        If a file is not there.

    Notes
    -----
    It is an ingest with ``transfer="direct"``: what that does is done here where files are local.
    """
    files = list(files)
    if not files:
        return {}
    refs = [ref for file in files for ref in file.refs]
    local = type(datastore) is FileDatastore and not datastore.useChecksum
    uris = [ResourcePath(file.path, forceAbsolute=True) for file in files]
    if not local or not all(uri.isLocal for uri in uris):
        datastore.ingest(*files, transfer="direct")
        return datastore.export_records(refs)
    [table] = datastore.get_opaque_table_definitions()
    infos = {file.refs[0].id: {table: [_info(file, uri)]} for file, uri in zip(files, uris, strict=True)}
    records = {datastore.name: DatastoreRecordData(records=infos)}
    datastore.import_records(records)
    return records


def _info(file: FileDataset, uri: ResourcePath) -> StoredDatastoreItemInfo:
    return StoredFileInfo(
        formatter=file.formatter or "",
        path=str(uri),
        storageClass=file.refs[0].datasetType.storageClass,
        component=None,
        checksum=None,
        file_size=os.stat(uri.ospath).st_size,
    )


def without_files(
    datastore: Datastore, refs: Iterable[DatasetRef], records: Mapping[str, DatastoreRecordData]
) -> list[DatasetRef]:
    """Return the datasets that have no record of a file, or whose file is not there.

    Parameters
    ----------
    datastore
        Where they were written.
    refs
        The datasets.
    records
        Their datastore records.

    Notes
    -----
    Files are looked for where that is a call to this machine's file system; elsewhere, which would be a
    request to a server for each, the record counts.
    """
    places: dict[UUID, list[str]] = defaultdict(list)
    for data in records.values():
        for identity, tables in data.records.items():
            places[identity] += [
                info.path for found in tables.values() for info in found if isinstance(info, StoredFileInfo)
            ]
    local = isinstance(datastore, FileDatastore) and datastore.root.isLocal
    root = datastore.root.ospath if isinstance(datastore, FileDatastore) and local else ""
    return [
        ref
        for ref in refs
        if not (found := places.get(ref.id))
        or (local and not all(os.path.exists(os.path.join(root, path)) for path in found))
    ]
