"""The spool: batches on disk that the registry could not take, in their order."""

from __future__ import annotations

__all__ = ("Spool", "SpoolFullError")

import contextlib
import errno
import logging
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from .._phases import Phase, reached
from ._items import Item
from ._spooled import ForeignSpoolError, SpoolError, SpoolForm

_LOG = logging.getLogger(__name__)

_NAME = re.compile(r"(\d{12})\.json")
_ASIDE = "aside"
_LEFT_FREE = 0.05
_MOST_LEFT_FREE = 2**30
"""Of its file system so much is left free, and no more than so many bytes: others write there, too."""


class SpoolFullError(OSError):
    """The spool has no room for another file; the message says which bound is reached."""


class Spool:
    """Batches of items, each a file.

    Parameters
    ----------
    folder
        Where they are; made with the first file.
    form
        What is in them.
    limit
        Most bytes of all files together.

    Notes
    -----
    A file is written under another name, brought to the disk, renamed, and the folder brought to the disk:
    whoever kills the process, or cuts its power, leaves a whole file or none.  A file that cannot be read is
    moved into the folder ``aside`` and never deleted.  Not for use by several processes; `write`
    and the rest may be called in two threads.
    """

    def __init__(self, folder: Path, form: SpoolForm, limit: float) -> None:
        self.folder = folder
        self._form = form
        self._limit = limit
        self._sizes: dict[int, int] = {}
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if found := _NAME.fullmatch(path.name):
                    self._sizes[int(found[1])] = path.stat().st_size
                elif path.name.endswith(".tmp"):
                    path.unlink()  # a write that was cut short: its items were in memory, and are lost

    @property
    def numbers(self) -> list[int]:
        """The batches that are there, in their order."""
        return sorted(self._sizes)

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(list(self._sizes.values()))

    def write(self, number: int, items: Sequence[Item]) -> None:
        """Write a batch; it is on disk when this returns.

        Raises
        ------
        SpoolFullError
            If a bound is reached.
        OSError
            If it cannot be written.
        """
        data = self._form.write(items).encode()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._check_room(len(data))
        path = self._path(number)
        temporary = path.with_suffix(".tmp")
        try:
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
            self._sync()
        except OSError as err:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            if err.errno in (errno.ENOSPC, errno.EDQUOT):
                raise SpoolFullError(f"there is no space left in {self.folder}") from err
            raise
        self._sizes[number] = len(data)
        reached(Phase.SPOOL_WRITTEN)

    def has_room(self) -> bool:
        """Tell whether another file may be written."""
        try:
            self._check_room(0)
        except SpoolFullError:
            return False
        return True

    def read(self, number: int) -> list[Item]:
        """Return a batch.

        Raises
        ------
        SpoolError
            If it cannot be read: it has been moved aside.
        ForeignSpoolError
            If it belongs to another repository or output.
        OSError
            If the disk does not give it.
        """
        path = self._path(number)
        try:
            return self._form.read(path.read_bytes())
        except ForeignSpoolError as err:
            raise ForeignSpoolError(
                f"{self.folder}: results wait here that are not registered yet and belong to {err}. Start "
                "once with these and this work folder, so that they are registered; or name another "
                "--work-dir."
            ) from None
        except SpoolError as err:
            aside = self.set_aside(number)
            raise SpoolError(f"{path} cannot be read ({err}); it is kept as {aside}.") from None

    def set_aside(self, number: int) -> Path:
        """Move a batch out of the way; returns where it is now."""
        path = self._path(number)
        aside = self._free_aside(path.stem)
        path.rename(aside)
        self._sizes.pop(number, None)
        self._sync()
        return aside

    def keep_aside(self, number: int, items: Sequence[Item]) -> Path:
        """Write items of a batch that could not be registered aside; returns where they are."""
        aside = self._free_aside(f"{number:012d}-refused")
        aside.write_text(self._form.write(items))
        return aside

    def _free_aside(self, stem: str) -> Path:
        """Return a name that no file set aside has: numbers begin anew with each run."""
        folder = self.folder / _ASIDE
        folder.mkdir(parents=True, exist_ok=True)
        aside, again = folder / f"{stem}.json", 0
        while aside.exists():
            again += 1
            aside = folder / f"{stem}-{again}.json"
        return aside

    def remove(self, number: int) -> None:
        """Remove a batch: it is registered."""
        self._path(number).unlink(missing_ok=True)
        self._sizes.pop(number, None)
        self._sync()

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:012d}.json"

    def _check_room(self, size: int) -> None:
        if self.bytes + size > self._limit:
            raise SpoolFullError(f"{self.folder} holds {self.bytes / 2**30:.3f} GiB, and 'spool_limit' is "
                                 f"{self._limit / 2**30:.3f} GiB")  # fmt: skip
        folder = next((p for p in (self.folder, *self.folder.parents) if p.is_dir()), self.folder)
        usage = shutil.disk_usage(folder)
        if usage.free - size < min(_LEFT_FREE * usage.total, _MOST_LEFT_FREE):
            raise SpoolFullError(f"{folder} has only {usage.free / 2**20:.0f} MiB free")

    def _sync(self) -> None:
        """Bring names to the disk."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
