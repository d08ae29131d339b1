"""Faults of the place to which datasets are written, and whether it can be written again."""

from __future__ import annotations

__all__ = ("StorageError", "can_write", "storage_error")

import contextlib
import errno
import os
import secrets
from pathlib import Path

from ..model import causes, says_full

_FAULTS = frozenset(
    {
        errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENOTDIR, errno.EEXIST, errno.ENOENT,
        errno.ENODEV, errno.ENXIO,
    }
)  # fmt: skip
"""What the operating system says of a folder to which nothing can be written, beside that it is full."""

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
    for cause in causes(err):
        if isinstance(cause, OSError) and (says_full(cause) or _is_of(cause, folder)):
            return StorageError(f"{os.strerror(cause.errno or 0)}: {path}", folder)
    # Some libraries keep what the operating system said to themselves.
    with contextlib.suppress(OSError):
        there = os.statvfs(folder)
        if there.f_bavail * there.f_frsize < _ROOM:
            return StorageError(f"{os.strerror(errno.ENOSPC)}: {path}", folder)
    return None


def _is_of(err: OSError, folder: str) -> bool:
    """Tell whether an error is of a folder, of what is in it, or of one in which it is to be made."""
    if err.errno not in _FAULTS or not isinstance(err.filename, str):
        return False
    name = os.path.abspath(err.filename)
    return os.path.commonpath([name, folder]) in {name, folder}


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
