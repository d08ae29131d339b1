"""Waits until there is room again where the workers write; nothing fails for a full disk."""

from __future__ import annotations

__all__ = ("Storage",)

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable

from ..conductor import Conductor, Hold
from ..datastore import can_write
from ..engine import StorageFault
from ..model import Shard

_LOG = logging.getLogger(__name__)

_LOOK_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""From a fault to the next try: the longer the more faults there were since a shard ended well."""

_TRIES = 10
"""How often a shard is tried that finds no room though there seems to be some."""


class Storage:
    """The place where the workers write.

    Parameters
    ----------
    conductor
        Is held while nothing can be written.

    Notes
    -----
    A full disk is the fault of a place and no shard's: the shard that met it waits again, as if it had not
    been begun, and nothing is dispatched until a file of a megabyte can be written there.
    """

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        self._fault: StorageFault | None = None
        self._faults = 0
        self._look_at = 0.0
        self._tries: Counter[Shard] = Counter()

    @property
    def trouble(self) -> str:
        """What is wrong; empty if nothing is."""
        if self._fault is None:
            return ""
        return f"Nothing can be written: {self._fault.reason}. What waits is dispatched when it can be again."

    def failed(self, shard: Shard, fault: StorageFault) -> bool:
        """Take in that a shard could not write; returns whether it is to be tried again."""
        self._tries[shard] += 1
        if self._tries[shard] > _TRIES:
            self.ended(shard)
            return False
        if self._fault is None and not self._faults:
            _LOG.error(
                "Nothing can be written: %s. Nothing is dispatched until it can be; make room, or mend it.",
                fault.reason,
            )
        if self._fault is None:
            self._look_at = time.monotonic() + _LOOK_SECONDS[min(self._faults, len(_LOOK_SECONDS) - 1)]
            self._faults += 1
        self._fault = fault
        self._conductor.hold(Hold.DISK_FULL)
        return True

    def ended(self, shard: Shard) -> None:
        """Take in that a shard has ended."""
        self._tries.pop(shard, None)

    def wrote(self, shard: Shard) -> None:
        """Take in that a shard could write all that it had."""
        self.ended(shard)
        if self._faults and self._fault is None:
            self._faults = 0
            _LOG.warning("All can be written again.")

    async def look_after(self, act: Callable[[], None]) -> None:
        """Look whether there is room again, and go on then; until it is cancelled.

        Parameters
        ----------
        act
            Carries out what the conductor decides.
        """
        while True:
            await asyncio.sleep(_LOOK_SECONDS[0])
            fault = self._fault
            if fault is None or time.monotonic() < self._look_at:
                continue
            told = await asyncio.to_thread(can_write, fault.folder)
            self._look_at = time.monotonic() + _LOOK_SECONDS[2]
            if not told:
                self._fault = None
                self._conductor.release(Hold.DISK_FULL)
                act()
