"""Whether a repository has a file in the place where it is."""

from __future__ import annotations

__all__ = ("RegisteredPlaces",)

from pathlib import Path

from lsst.daf.butler import Butler
from lsst.daf.butler.datastores.fileDatastore import FileDatastore
from lsst.resources import ResourcePath

from .._opening import open_to_read


class RegisteredPlaces:
    """The places of the files that a repository has.

    Parameters
    ----------
    repository
        Butler configuration or root.

    Notes
    -----
    For one thread, which opens the repository when it first asks.
    """

    def __init__(self, repository: str) -> None:
        self._repository = repository
        self._butler: Butler | None = None

    def has(self, path: Path) -> bool:
        """Tell whether a dataset's file is at a path; also if that cannot be told.

        Raises
        ------
        Exception
            What the registry says when it is out of reach.
        """
        if self._butler is None:
            self._butler = open_to_read(self._repository)
        datastore = self._butler._datastore  # noqa: SLF001 -- upstream asks by dataset only
        uri = ResourcePath(str(path), forceAbsolute=True)
        for store in getattr(datastore, "datastores", [datastore]):
            if not isinstance(store, FileDatastore):
                return True
            places = {str(uri)}
            if (inside := uri.relative_to(store.root)) is not None:
                places.add(inside)
            if any(store._refs_associated_with_artifacts(places).values()):  # noqa: SLF001
                return True
        return False
