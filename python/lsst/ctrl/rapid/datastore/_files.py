"""Whether datasets have their files."""

from __future__ import annotations

__all__ = ("without_files",)

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from uuid import UUID

from lsst.daf.butler import DatasetRef
from lsst.daf.butler.datastore import Datastore
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.daf.butler.datastore.stored_file_info import StoredFileInfo
from lsst.daf.butler.datastores.fileDatastore import FileDatastore


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
