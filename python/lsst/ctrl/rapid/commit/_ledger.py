"""What has no data ID: an append-only file of lines, one for each file that was refused."""

from __future__ import annotations

__all__ = ("Ledger",)

import os
import time
from pathlib import Path

from ..model import RefusedFile


class Ledger:
    """An append-only file of JSON lines.

    Parameters
    ----------
    path
        The file; made with its folder when the first line is written.

    Notes
    -----
    A line is on disk when `refuse` returns.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def refuse(self, path: Path, reason: str) -> RefusedFile:
        """Write down that a file was refused, and why."""
        refused = RefusedFile(path=str(path), reason=reason, time=time.time())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as stream:
            stream.write(refused.model_dump_json() + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        return refused
