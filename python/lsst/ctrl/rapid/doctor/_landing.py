"""The folders where raws land: whether they are there, and the system tells what comes."""

from __future__ import annotations

__all__ = ("file_system", "look_at_landing")

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from ._finding import Finding, fault, fine, warning
from ._place import Place

_INOTIFY = Path("/proc/sys/fs/inotify/max_user_watches")
_MOUNTS = Path("/proc/self/mountinfo")
_MOST_FOLDERS = 100_000
_TIGHT = 0.8
"""Part of the system's limit from which on it is near."""

_REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "9p", "afs", "glusterfs"}
)
_USER_SPACE = "fuse."


def look_at_landing(place: Place) -> Iterator[Finding]:
    """See whether each watched folder is there, can be read, and tells what is written there."""
    settings = place.settings
    if settings.watch_butler:
        yield fine("raws that others register in the repository are taken")
    folders = 0
    for folder in settings.watch:
        if folder == settings.work_dir / "landing" and not folder.exists():
            yield fine(f"{folder} is made at the start")
            continue
        if not folder.is_dir():
            yield fault(f"{folder}: no such folder", "make it, mount it, or name another with --watch")
            continue
        try:
            with os.scandir(folder) as found:
                next(found, None)
        except OSError as err:
            yield fault(f"{folder} cannot be read ({err.strerror})", "see to the rights of this user")
            continue
        count = _count_folders(folder)
        folders += count
        kind = file_system(folder)
        if not settings.polling and is_remote(kind):
            yield warning(
                f"{folder} is on {kind}: what other machines write there is not told",
                "watch it by polling: --polling, or 'polling: true' in the site file",
            )
        else:
            yield fine(f"{folder} can be read ({count} folder(s), {kind})")
    if folders and not settings.polling:
        yield from _look_at_limit(folders)


def is_remote(kind: str) -> bool:
    """Tell whether other machines may write to a file system without the kernel here learning of it."""
    return kind in _REMOTE or kind.startswith(_USER_SPACE)


def file_system(path: Path) -> str:
    """Return the kind of file system that a path is on; ``unknown`` where the system does not tell."""
    best, kind = "", "unknown"
    wanted = f"{path.resolve()}/"
    try:
        lines = _MOUNTS.read_text().splitlines()
    except OSError:
        return kind
    for line in lines:
        before, _, after = line.partition(" - ")
        point = before.split()[4].replace(r"\040", " ")
        if wanted.startswith(f"{point.rstrip('/')}/") and len(point) >= len(best):
            best, kind = point, after.split()[0]
    return kind


def _count_folders(folder: Path) -> int:
    return sum(1 for _ in itertools.islice(os.walk(folder), _MOST_FOLDERS))


def _look_at_limit(folders: int) -> Iterator[Finding]:
    """See whether the system can watch so many folders."""
    try:
        limit = int(_INOTIFY.read_text())
    except (OSError, ValueError):
        return
    todo = f"raise it: 'sysctl fs.inotify.max_user_watches={max(2 * limit, 4 * folders)}'"
    if folders > limit:
        yield fault(f"{folders} folders are to be watched, and this system watches {limit}", todo)
    elif folders > _TIGHT * limit:
        yield warning(f"{folders} folders are to be watched, of {limit} that this system watches", todo)
    else:
        yield fine(f"this system watches {limit} folders, and {folders} are needed")
