"""What was refused: told in the log, the ledger, the report and the status, and put out of the way."""

from __future__ import annotations

__all__ = ("Refusals",)

import asyncio
import logging
import time
from collections import OrderedDict
from pathlib import Path

from ..arrival import Quarantine
from ..commit import Ledger
from ..model import Arrival, FileVersion, RefusedFile, path_text, printable
from ..monitor import RunRecord

_LOG = logging.getLogger(__name__)

_TOLD_IN_STATUS = 20

_LINES = 20
_SECONDS = 10.0
"""Of a burst so many lines are logged in so many seconds; then how many more there were."""

_SYNC_SECONDS = 0.25


class Refusals:
    """The files that a run has refused.

    Parameters
    ----------
    ledger
        Where each is written down, unless the same version was for the same reason before.
    record
        Of the run; it has each.
    quarantine
        Where they are moved; `None` leaves them where they are.

    Attributes
    ----------
    count
        How many.
    """

    def __init__(self, ledger: Ledger, record: RunRecord, quarantine: Quarantine | None) -> None:
        self._ledger = ledger
        self._record = record
        self._quarantine = quarantine
        self.count = 0
        self._latest: OrderedDict[str, RefusedFile] = OrderedDict()
        self._burst = time.monotonic()
        self._lines = 0
        self._untold = 0

    @property
    def latest(self) -> tuple[RefusedFile, ...]:
        """The latest, newest first, each file once."""
        return tuple(reversed(self._latest.values()))

    @property
    def trouble(self) -> str:
        """Why the ledger cannot be written; empty if it can."""
        if not self._ledger.trouble:
            return ""
        return (
            f"The ledger cannot be written: {self._ledger.path}: {self._ledger.trouble}; "
            f"{self._ledger.waiting} line(s) wait."
        )

    def second(self, arrival: Arrival) -> RefusedFile | None:
        """Return how a file was refused, by any run, because another one of its raw came before.

        `None` if it was not, or if it has changed, or the other one is not there any more.
        """
        before = self._ledger.latest(path_text(arrival.path))
        if before is None or before.second_to is None or not Path(before.second_to).exists():
            return None
        now = RefusedFile.of(arrival.path, before.reason, arrival.version)
        return before if before.is_same(now) else None

    def refuse(
        self,
        path: Path,
        reason: str,
        version: FileVersion | None = None,
        second_to: Path | None = None,
    ) -> RefusedFile:
        """Refuse what stays where it is."""
        file = RefusedFile.of(path, reason, version, second_to)
        before = self._ledger.has(file)
        if not before:
            self._ledger.refuse(file)
        self.count += 1
        self._latest[file.path] = file
        self._latest.move_to_end(file.path)
        if len(self._latest) > _TOLD_IN_STATUS:
            self._latest.popitem(last=False)
        self._record.refused(file)
        if before:
            self._tell(logging.WARNING, file, "refused as before")
        else:
            self._tell(logging.ERROR, file, "refused")
        return file

    def refuse_file(self, arrival: Arrival, reason: str, second_to: Path | None = None) -> None:
        """Refuse a file that nobody needs where it is."""
        file = self.refuse(arrival.path, reason, arrival.version, second_to)
        if self._quarantine is not None:
            self._quarantine.take(arrival.path, arrival.version, file)

    async def look_after(self) -> None:
        """Have the ledger on disk soon, and tell how long a burst was; until it is cancelled."""
        while True:
            await asyncio.sleep(_SYNC_SECONDS)
            if self._ledger.needs_sync:
                await asyncio.to_thread(self._ledger.sync)
            if time.monotonic() - self._burst >= _SECONDS:
                self._end_burst()

    def close(self) -> None:
        """Write and move what is left to be; blocks."""
        if self._quarantine is not None:
            self._quarantine.close()
        self._end_burst()
        self._ledger.sync()
        if self.trouble:
            _LOG.error("%s They are in the report.", self.trouble)

    def _tell(self, level: int, file: RefusedFile, how: str) -> None:
        if time.monotonic() - self._burst >= _SECONDS:
            self._end_burst()
        if self._lines < _LINES:
            self._lines += 1
            _LOG.log(level, "%s is %s: %s", printable(file.path), how, file.reason)
        else:
            self._untold += 1

    def _end_burst(self) -> None:
        if self._untold:
            _LOG.error("%d more file(s) are refused; each is in %s.", self._untold, self._ledger.path)
        self._burst, self._lines, self._untold = time.monotonic(), 0, 0
