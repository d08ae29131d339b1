"""Files that are never registered: a folder of their own in the datastore, apart from all that is."""

from __future__ import annotations

__all__ = ("ScratchFolder", "write_as_scratch")

import logging
import re
from collections.abc import Iterable, Mapping
from uuid import UUID

from lsst.daf.butler import DatasetType, LookupKey
from lsst.daf.butler.datastore import Datastore
from lsst.daf.butler.datastore.file_templates import FileTemplate
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.daf.butler.datastore.stored_file_info import StoredFileInfo
from lsst.resources import ResourcePath

from ._names import file_stores

_LOG = logging.getLogger(__name__)

_FOLDER = "rapid_scratch"

_ID = re.compile(r"_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?=\.|$)")


def write_as_scratch(datastore: Datastore, dataset_types: Iterable[DatasetType]) -> None:
    """Have a datastore write the files of these dataset types into the scratch folder.

    Parameters
    ----------
    datastore
        One that was opened without its registry.
    dataset_types
        The dataset types.
    """
    for dataset_type in dataset_types:
        values = "".join(f"_{{{dimension}}}" for dimension in dataset_type.dimensions.required)
        template = FileTemplate(f"{_FOLDER}/{{run:/}}/{{datasetType}}.{{component:?}}{values}_{{id}}")
        for store in file_stores(datastore):
            # Upstream has templates from configurations alone, where those of a chain are hard to reach.
            store.templates._templates[LookupKey(name=dataset_type.name)] = template  # noqa: SLF001


class ScratchFolder:
    """The scratch files below one output chain.

    Parameters
    ----------
    datastore
        The repository's datastore; only where it is counts.
    output
        Name of the chain.

    Notes
    -----
    Nothing that is not in this folder is ever removed.
    """

    def __init__(self, datastore: Datastore, output: str) -> None:
        self._roots = {store.name: store.root for store in file_stores(datastore)}
        self._output = output

    def remove(self, records: Mapping[str, DatastoreRecordData]) -> None:
        """Remove the files of datasets, those that are there; what cannot be removed is told in the log.

        Parameters
        ----------
        records
            The datasets' datastore records, by datastore.
        """
        for name, data in records.items():
            infos = [info for tables in data.records.values() for found in tables.values() for info in found]
            for info in infos:
                if name in self._roots and isinstance(info, StoredFileInfo):
                    self._remove(name, info.path)

    def _remove(self, store: str, path: str) -> None:
        folder = self._folder(store)
        uri = self._roots[store].join(path, forceDirectory=False)
        if uri.relative_to(folder) is None:
            _LOG.warning("%s is not in %s and stays: its path is given by the repository.", uri, folder)
            return
        try:
            uri.remove()
        except FileNotFoundError:
            pass
        except OSError as err:
            _LOG.error("%s cannot be removed: %s; the next start tries again.", uri, err)

    def leftovers(self) -> Iterable[tuple[ResourcePath, str, UUID]]:
        """Yield the files that are there, each with the RUN and the ID of its dataset."""
        for name, root in self._roots.items():
            folder = self._folder(name)
            for uri in ResourcePath.findFileResources([folder]) if folder.exists() else ():
                run = (uri.dirname().relative_to(root.join(_FOLDER, forceDirectory=True)) or "").rstrip("/")
                if run and (found := _ID.search(uri.basename())):
                    yield uri, run, UUID(found[1])

    def _folder(self, store: str) -> ResourcePath:
        return self._roots[store].join(f"{_FOLDER}/{self._output}", forceDirectory=True)
