"""What the butler cannot tell: an append-only file of lines, for what was refused and what was removed."""

from __future__ import annotations

__all__ = ("Ledger",)

import os
import time
from pathlib import Path

from ..model import Model, RefusedFile, RemovedGather, Shard


class Ledger:
    """An append-only file of JSON lines.

    Parameters
    ----------
    path
        The file; made with its folder when the first line is written.

    Notes
    -----
    A line is on disk when the method that writes it returns.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def refuse(self, path: Path, reason: str) -> RefusedFile:
        """Write down that a file was refused, and why."""
        refused = RefusedFile(path=str(path), reason=reason, time=time.time())
        self._write(refused)
        return refused

    def remove(self, shard: Shard, run: str) -> None:
        """Write down that what a gather made is going to be removed, because it is made again."""
        self._write(RemovedGather(removed=str(shard), run=run, time=time.time()))

    def _write(self, line: Model) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as stream:
            stream.write(line.model_dump_json() + "\n")
            stream.flush()
            os.fsync(stream.fileno())
