"""How shards ended: the newest in memory, the others on disk until the report is made."""

from __future__ import annotations

__all__ = ("ShardShelf",)

import pickle
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from ..model import Shard, ShardReport

_SHARDS_KEPT = 10_000
"""Registered shards in memory, some 5 kB each; a night of LSSTCam has 200,000."""


class ShardShelf:
    """Reports of ended shards, whose number does not show in the memory of the process.

    Parameters
    ----------
    folder
        Where an unnamed file is made when there are many, which is gone when the process is; `None`: in the
        system's folder for such files.

    Notes
    -----
    What is not registered yet stays at hand, however much it is.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._open: dict[Shard, ShardReport] = {}
        self._registered: OrderedDict[Shard, ShardReport] = OrderedDict()
        self._file: IO[bytes] | None = None

    def put(self, shard: Shard, report: ShardReport) -> None:
        """Keep how a shard ended, in place of what was kept of it before."""
        if report.times.committed is None:
            self._open[shard] = report
            return
        self._open.pop(shard, None)
        self._registered[shard] = report
        while len(self._registered) > _SHARDS_KEPT:
            self._put_away(*self._registered.popitem(last=False))

    def get(self, shard: Shard) -> ShardReport | None:
        """Return how a shard ended, unless it was registered long ago."""
        return self._open.get(shard) or self._registered.get(shard)

    def all(self) -> Mapping[Shard, ShardReport]:
        """Return how every shard ended."""
        found: dict[Shard, ShardReport] = {}
        if self._file is not None:
            end = self._file.tell()
            self._file.seek(0)
            while self._file.tell() < end:
                shard, report = pickle.load(self._file)  # noqa: S301 -- a file without a name that we have written
                found[shard] = report
        return {**found, **self._registered, **self._open}

    def _put_away(self, shard: Shard, report: ShardReport) -> None:
        if self._file is None:
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 -- until the process ends
        pickle.dump((shard, report), self._file, pickle.HIGHEST_PROTOCOL)
