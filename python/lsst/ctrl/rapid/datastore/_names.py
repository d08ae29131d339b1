"""Names of files: each dataset's own, so that nothing is ever written over another attempt's file."""

from __future__ import annotations

__all__ = ("file_stores", "write_under_own_names")

from lsst.daf.butler.datastore import Datastore
from lsst.daf.butler.datastore.file_templates import FileTemplate
from lsst.daf.butler.datastores.fileDatastore import FileDatastore

_ID = "_{id}"


def write_under_own_names(datastore: Datastore) -> None:
    """Have a datastore put the dataset's ID at the end of the name of each file that it writes.

    Parameters
    ----------
    datastore
        One that was opened without its registry.

    Notes
    -----
    A process that was believed dead, or one that nobody could end in time, may write its products when the
    shard is being run anew, with other dataset IDs.  Under the repository's own names both would write the
    same files, and the registry would have the sizes of one and the disk the contents of the other.  Readers
    do not mind: a dataset's record says where its file is.
    """
    for store in file_stores(datastore):
        templates = store.templates
        # Upstream has templates from configurations alone, where those of a chain are hard to reach.
        templates._templates = {k: _own(t) for k, t in templates.templates.items()}  # noqa: SLF001
        if templates.default is not None:
            templates.default = _own(templates.default)


def file_stores(datastore: Datastore) -> list[FileDatastore]:
    """Return the datastores with files, those of a chain apart."""
    stores = getattr(datastore, "datastores", [datastore])
    return [store for store in stores if isinstance(store, FileDatastore)]


def _own(template: FileTemplate) -> FileTemplate:
    return template if "{id" in template.template else FileTemplate(f"{template.template}{_ID}")
