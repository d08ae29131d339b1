"""Faults of the place to which datasets are written, and whether it can be written again."""

from __future__ import annotations

__all__ = ("StorageError", "can_write", "storage_error")

import contextlib
import errno
import os
import secrets
from pathlib import Path

from ..model import find_os_error

_FAULTS = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE,
        errno.ENOTDIR, errno.ENOENT, errno.ENODEV, errno.ENXIO,
    }
)  # fmt: skip
"""What the operating system says of a folder to which nothing can be written."""

_ROOM = 1 << 20
"""Bytes that are written to find out whether there is room."""


class StorageError(RuntimeError):
    """Nothing can be written to a folder now; that is no fault of what was to be written.

    Parameters
    ----------
    reason
        What the operating system says, and the path.
    folder
        The folder.
    """

    def __init__(self, reason: str, folder: str) -> None:
        super().__init__(reason, folder)
        self.reason = reason
        self.folder = folder

    def __str__(self) -> str:
        return self.reason


def storage_error(err: BaseException, path: str) -> StorageError | None:
    """Return what to raise for an error in writing a file; `None` if it is not its folder's fault.

    Parameters
    ----------
    err
        What was raised.
    path
        The file.
    """
    folder = os.path.dirname(path)
    if (found := find_os_error(err, _FAULTS)) is not None:
        return StorageError(f"{os.strerror(found.errno or 0)}: {path}", folder)
    # Some libraries keep what the operating system said to themselves.
    with contextlib.suppress(OSError):
        there = os.statvfs(folder)
        if there.f_bavail * there.f_frsize < _ROOM:
            return StorageError(f"{os.strerror(errno.ENOSPC)}: {path}", folder)
    return None


def can_write(folder: str) -> str:
    """Try to write to a folder, or to where it is to be made; returns why it cannot be, empty if it can."""
    place = next((p for p in (Path(folder), *Path(folder).parents) if p.is_dir()), Path("/"))
    probe = place / f".rapid-exec-probe-{secrets.token_hex(4)}"
    try:
        with probe.open("wb") as stream:
            stream.write(bytes(_ROOM))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as err:
        return f"{err.strerror or err}: {place}"
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return ""
