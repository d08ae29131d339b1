"""How shards ended: the newest in memory, the others on disk until the report is made."""

from __future__ import annotations

__all__ = ("ShardShelf",)

import logging
import os
import pickle
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from ..model import Shard, ShardReport

_LOG = logging.getLogger(__name__)

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
    What is not registered yet stays at hand, however much it is; and so does what there is no room for on
    disk.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._open: dict[Shard, ShardReport] = {}
        self._registered: OrderedDict[Shard, ShardReport] = OrderedDict()
        self._file: IO[bytes] | None = None
        self._kept: dict[Shard, ShardReport] = {}

    def put(self, shard: Shard, report: ShardReport) -> None:
        """Keep how a shard ended, in place of what was kept of it before."""
        if report.times.committed is None:
            self._open[shard] = report
            return
        self._open.pop(shard, None)
        self._registered[shard] = report
        while len(self._registered) > _SHARDS_KEPT:
            shard, report = self._registered.popitem(last=False)
            try:
                self._put_away(shard, report)
            except OSError as err:
                if not self._kept:
                    _LOG.warning("What ended is kept in memory: no file of it can be written: %s.", err)
                self._kept[shard] = report

    def get(self, shard: Shard) -> ShardReport | None:
        """Return how a shard ended, unless it was registered long ago."""
        return self._open.get(shard) or self._registered.get(shard)

    def all(self) -> Mapping[Shard, ShardReport]:
        """Return how every shard ended."""
        found: dict[Shard, ShardReport] = {}
        if self._file is not None:
            end = self._file.tell()
            with os.fdopen(self._file.fileno(), "rb", closefd=False) as stream:
                stream.seek(0)
                while stream.tell() < end:
                    shard, report = pickle.load(stream)  # noqa: S301 -- a file without a name that we have written
                    found[shard] = report
            self._file.seek(end)
        return {**found, **self._kept, **self._registered, **self._open}

    def _put_away(self, shard: Shard, report: ShardReport) -> None:
        if self._file is None:
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            # Until the process ends; without a buffer, so that it is known what was written.
            self._file = tempfile.TemporaryFile(buffering=0, dir=self._folder)  # noqa: SIM115
        content = pickle.dumps((shard, report), pickle.HIGHEST_PROTOCOL)
        begin = self._file.tell()
        try:
            while content:
                content = content[self._file.write(content) :]
        except OSError:
            self._file.truncate(begin)
            self._file.seek(begin)
            raise
        self._kept.pop(shard, None)
