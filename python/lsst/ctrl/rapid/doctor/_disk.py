"""Disks: whether they can be written, and have room for a night."""

from __future__ import annotations

__all__ = ("look_at_disks", "look_at_spool")

import dataclasses
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lsst.daf.butler import Butler, CollectionType
from lsst.daf.butler.registry import MissingCollectionError

from ._finding import Finding, fault, fine, warning
from ._place import NotLookedAtError, Place
from ._repository import datastore_roots

_EXPOSURES = 1000
"""Of a night."""

_ASSUMED = 64e6, 12
"""Bytes and files of a detector where there is no RUN that tells."""

_LOOKED_AT = 3
"""Datasets of a type whose files are measured."""
_GB = 1e9


@dataclasses.dataclass(frozen=True)
class _Night:
    """What a night takes."""

    detectors: int
    bytes_each: float
    files_each: float
    source: str

    @property
    def bytes(self) -> float:
        return _EXPOSURES * self.detectors * self.bytes_each

    @property
    def files(self) -> float:
        return _EXPOSURES * self.detectors * self.files_each

    def __str__(self) -> str:
        return (
            f"a night of {_EXPOSURES} exposures of {self.detectors} detectors takes some "
            f"{self.bytes / _GB:,.0f} GB and {self.files:,.0f} files ({self.source})"
        )


def look_at_disks(place: Place) -> Iterator[Finding]:
    """See whether the work folder and the repository's files have room for a night."""
    work = _existing(place.settings.work_dir)
    if (told := _why_not_writable(work)) is not None:
        yield fault(
            f"the work folder {place.settings.work_dir} cannot be written ({told})",
            "make room, see to the rights of this user, or name another with --work-dir",
        )
    else:
        yield fine(f"the work folder {place.settings.work_dir} can be written; {_room(work)}")
    night = _night(place)
    folders = [Path(root.ospath) for root in datastore_roots(place.butler()) if root.isLocal]
    for folder in folders:
        there = _existing(folder)
        if there.stat().st_dev == work.stat().st_dev:
            yield fine(f"{folder} is on the same file system as the work folder")
        yield _look_at_room(there, night)


def look_at_spool(place: Place) -> Iterator[Finding]:
    """See whether an earlier run left commits that the registry has not got yet."""
    spool = place.settings.work_dir / "spool"
    files = [file for file in spool.rglob("*") if file.is_file()] if spool.is_dir() else []
    size = sum(file.stat().st_size for file in files) / 1e6
    left = f"{len(files)} file(s) of {size:,.1f} MB are left; they will be drained at start"
    yield fine(left if files else "nothing is left of earlier runs")


def _look_at_room(folder: Path, night: _Night | None) -> Finding:
    if night is None:
        return fine(f"{folder}: {_room(folder)}; what a night takes is not known without a pipeline")
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    told = f"{folder}: {_room(folder)}; {night}"
    todo = "make room, or remove old RUNs ('butler remove-runs'), or process fewer detectors (--pattern)"
    too_small = free < night.bytes
    # A file system that makes them when they are needed says that it has none.
    too_few = found.f_files > 0 and found.f_favail < night.files
    return warning(told, todo) if too_small or too_few else fine(told)


def _room(folder: Path) -> str:
    found = os.statvfs(folder)
    inodes = f", {found.f_favail:,} inodes" if found.f_files else ""
    return f"{found.f_bavail * found.f_frsize / _GB:,.1f} GB{inodes} free"


def _why_not_writable(folder: Path) -> str | None:
    """Write a file that has no name, to be sure that it can be; return why it cannot."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as err:
        return err.strerror
    return None


def _existing(folder: Path) -> Path:
    """Return a folder, or the nearest above it that is there."""
    return next(path for path in [folder.absolute(), *folder.absolute().parents] if path.is_dir())


def _night(place: Place) -> _Night | None:
    """Return what a night takes, by what the newest RUN has of a detector; `None`: not known."""
    try:
        detectors = sum(map(len, place.compiled().expected.values()))
    except NotLookedAtError:
        return None
    found = _measured(place.butler(), place.settings.output)
    if found is None:
        return _Night(detectors, *_ASSUMED, f"{_ASSUMED[0] / 1e6:g} MB of a detector are assumed")
    run, size, files = found
    return _Night(detectors, size, files, f"{size / 1e6:,.1f} MB of a detector, as in {run}")


def _measured(butler: Butler, output: str) -> tuple[str, float, float] | None:
    """Return the newest RUN of the output that has products of detectors, and bytes and files of each."""
    try:
        chain = butler.collections.get_info(output)
    except MissingCollectionError:
        return None
    if chain.type is not CollectionType.CHAINED:
        return None
    for run in chain.children:
        size, files = 0.0, 0
        if not run.startswith(f"{output}/"):
            continue
        info = butler.collections.get_info(run, include_summary=True)
        for name in info.dataset_types or ():
            if not {"detector", "exposure"} <= set(butler.get_dataset_type(name).dimensions.names):
                continue
            refs = butler.query_datasets(name, run, find_first=False, limit=_LOOKED_AT, explain=False)
            sizes = [butler.getURI(ref).size() for ref in refs if butler.stored(ref)]
            size += max(sizes, default=0)
            files += bool(sizes)
        if files:
            return run, size, float(files)
    return None
