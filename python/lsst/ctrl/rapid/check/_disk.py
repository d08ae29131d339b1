"""The files below an output, as they lie on disk, and what those are that nothing registers."""

from __future__ import annotations

__all__ = ("Disk", "local_path")

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lsst.resources import ResourcePath

from ._model import Orphan, OrphanKind

_SCRATCH = "rapid_scratch"
"""Folder of what is never registered, in each datastore."""

_TEMPORARY = re.compile(r"\.tmp(\.|$)|^tmp|^\.")


class Disk:
    """The files of a repository's datastores below one output, and their sizes.

    Parameters
    ----------
    roots
        Roots of the datastores, by name.
    output
        The chain below which the RUNs are.

    Notes
    -----
    They are looked up when it is made: before anything is read from the registry, so that what is written
    meanwhile is not taken for lost.
    """

    def __init__(self, roots: Mapping[str, ResourcePath], output: str) -> None:
        self._roots = dict(roots)
        self._output = output
        self._sizes: dict[tuple[str, str], int] = {}
        self._known: set[tuple[str, str]] = set()
        self.scratch = 0
        for name, root in self._roots.items():
            for path, size in _files(root, output):
                self._sizes[name, path] = size
            self.scratch += sum(1 for _ in _files(root, f"{_SCRATCH}/{output}"))

    def size(self, store: str, path: str) -> int | None:
        """Return the size of a registered file, bytes; `None` if it is not there, -1 if it is not known.

        Parameters
        ----------
        store, path
            Name of the datastore, and the path that its record has.
        """
        self._known.add((store, path))
        if (size := self._sizes.get((store, path))) is not None:
            return size
        uri = self.uri(store, path)
        try:
            return Path(uri.ospath).stat().st_size if uri.isLocal else uri.size()
        except FileNotFoundError:
            return None
        except OSError:
            return -1

    def uri(self, store: str, path: str) -> ResourcePath:
        """Return where a registered file is."""
        return self._roots[store].join(path, forceDirectory=False)

    def orphans(self, runs: Collection[str], types: Collection[str]) -> Iterator[Orphan]:
        """Yield the files that were not asked for with `size`.

        Parameters
        ----------
        runs
            The output's RUNs.
        types
            Names of the dataset types that the executor writes there.
        """
        day = re.compile(re.escape(self._output) + r"/((?:partial/)?\d{8}/[^/]+)/(.+)")
        for (store, path), size in self._sizes.items():
            if (store, path) in self._known or (found := day.fullmatch(path)) is None:
                continue
            run, rest = f"{self._output}/{found[1]}", found[2]
            folder, _, name = rest.rpartition("/")
            if _TEMPORARY.search(name):
                kind = OrphanKind.TEMPORARY
            elif folder.partition("/")[0] in types or run not in runs:
                kind = OrphanKind.UNREGISTERED
            else:
                kind = OrphanKind.FOREIGN
            yield Orphan(kind=kind, path=str(self.uri(store, path)), size=size)


def local_path(path: str) -> str:
    """Return a datastore record's path as the file system has it."""
    return unquote(urlsplit(path).path) if path.startswith("file:") else path


def _files(root: ResourcePath, folder: str) -> Iterator[tuple[str, int]]:
    """Yield the files below a folder of a datastore, relative to its root, and their sizes."""
    if not root.isLocal:
        top = root.join(folder, forceDirectory=True)
        for uri in ResourcePath.findFileResources([top]) if top.exists() else ():
            yield uri.relative_to(root) or "", uri.size()
        return
    base = root.ospath
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            entries = list(os.scandir(os.path.join(base, current)))  # noqa: PTH118 -- millions of them
        except OSError:
            continue
        for entry in entries:
            path = f"{current}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
                continue
            try:
                yield path, entry.stat().st_size
            except OSError:
                continue
