"""What the butler cannot tell: an append-only file of lines, for what was refused and what was removed."""

from __future__ import annotations

__all__ = ("Ledger",)

import json
import logging
import os
import threading
import time
from collections import OrderedDict
from pathlib import Path

import pydantic

from ..model import Model, RefusedFile, RemovedGather, Shard, printable

_LOG = logging.getLogger(__name__)

_REFUSALS_KEPT = 100_000
"""Refused files that are remembered, so that the same file is not written down again."""


class Ledger:
    """An append-only file of JSON lines.

    Parameters
    ----------
    path
        The file; made with its folder when the first line is written.

    Notes
    -----
    A line is in the file when the method that writes it returns, so that it survives this process, and on
    disk after the next `sync`.  While the file cannot be written lines are kept in memory, and written in
    their order as soon as it can be; nothing is raised.  Half a line is never left in the file.  May be used
    by several threads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble = ""
        """Why the file cannot be written; empty if it can, or nothing was written."""
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._unsynced = False
        self._refused: OrderedDict[str, RefusedFile] | None = None

    @property
    def waiting(self) -> int:
        """How many lines could not be written yet."""
        return len(self._waiting)

    @property
    def needs_sync(self) -> bool:
        """Whether `sync` has something to do."""
        return self._unsynced or bool(self._waiting)

    def has(self, file: RefusedFile) -> bool:
        """Tell whether the same version of a file was refused before for the same reason, in any run."""
        before = self.latest(file.path)
        return before is not None and before.is_same(file)

    def latest(self, path: str) -> RefusedFile | None:
        """Return how a file was refused last, in any run; `None` if it was not."""
        with self._lock:
            if self._refused is None:
                self._refused = self._read()
            return self._refused.get(path)

    def refuse(self, file: RefusedFile) -> None:
        """Write down that a file was refused, and why."""
        self._write(file)
        with self._lock:
            if self._refused is None:
                self._refused = self._read()
            _remember(self._refused, file)

    def remove(self, shard: Shard, run: str) -> None:
        """Write down that what a gather made is going to be removed, because it is made again."""
        self._write(RemovedGather(removed=str(shard), run=run, time=time.time()))
        self.sync()

    def sync(self) -> None:
        """Write what could not be written before, and have everything on disk."""
        with self._lock:
            self._drain()
            if not self._unsynced:
                return
            self._unsynced = False
            try:
                descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            except OSError as err:
                _LOG.error("%s may not be on disk: %s.", self.path, err)

    def _write(self, line: Model) -> None:
        with self._lock:
            # ASCII alone: a name may have what some readers take for the end of a line.
            self._waiting.append(json.dumps(line.model_dump(mode="json", exclude_none=True)) + "\n")
            if not self.trouble:
                self._drain()

    def _drain(self) -> None:
        """Write all lines that wait, or none."""
        if not self._waiting:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _append(self.path, "".join(self._waiting).encode())
        except OSError as err:
            if not self.trouble:
                _LOG.error(
                    "The ledger cannot be written: %s: %s. Its lines are kept until it can.",
                    self.path,
                    err.strerror or err,
                )
            self.trouble = err.strerror or str(err)
            return
        if self.trouble:
            _LOG.warning("The ledger can be written again: %d line(s) were kept.", len(self._waiting))
        self.trouble = ""
        self._waiting = []
        self._unsynced = True

    def _read(self) -> OrderedDict[str, RefusedFile]:
        """Read what was refused before; lines that are not whole are left aside."""
        found: OrderedDict[str, RefusedFile] = OrderedDict()
        try:
            with self.path.open("rb") as stream:
                for line in stream:
                    try:
                        _remember(found, RefusedFile.model_validate_json(line))
                    except pydantic.ValidationError:
                        continue  # of another kind, or cut short when the power went
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as err:
            told = printable(err.strerror or str(err))
            _LOG.error("%s cannot be read: %s; what it has may be written again.", self.path, told)
        return found


def _remember(known: OrderedDict[str, RefusedFile], file: RefusedFile) -> None:
    known[file.path] = file
    known.move_to_end(file.path)
    while len(known) > _REFUSALS_KEPT:
        known.popitem(last=False)


def _append(path: Path, content: bytes) -> None:
    """Write whole lines to the end of a file, or nothing.

    Raises
    ------
    OSError
        If they cannot all be written.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            content = b"\n" + content  # the last line was cut short when the power went
        try:
            written = 0
            while written < len(content):
                written += os.write(descriptor, content[written:])
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)
