"""Files that others read: whole, or not there."""

from __future__ import annotations

__all__ = ("whole_file",)

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file so that a reader sees the old one or the new one, never a part, whatever fails.

    Parameters
    ----------
    path
        The file; its folder is made if it is not there.

    Yields
    ------
    temporary
        Where to write, in the same folder and with the same suffix.  At the end it is on disk under its name;
        after an error nothing is left of it.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(4)}.tmp{path.suffix}")
    try:
        yield temporary
        descriptor = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error counts
            temporary.unlink(missing_ok=True)
        raise
