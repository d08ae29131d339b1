"""Raws that are not waited for but brought: simulated ones, selected ones, and those of the past."""

from __future__ import annotations

__all__ = ("Feeder", "Feeding")

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from ..ingest import RegisteredRaw
from ..model import Arrival
from ._parts import Parts
from ._sources import Selection, Sources, select_raws

_MOST_WAITING = 2000
"""Raws of the past are told while fewer shards than this wait."""

type Feeder = Callable[[], Awaitable[None]]
"""Sends exposures once the workers are warm, and returns when all were sent."""


class Feeding:
    """Brings raws, those of the past no faster than they are worked off.

    Parameters
    ----------
    arrivals
        Takes the raws.

    Attributes
    ----------
    all_sent
        Whether no more raws are to come.
    """

    def __init__(self, arrivals: asyncio.Queue[Arrival | RegisteredRaw]) -> None:
        self._arrivals = arrivals
        self._room = asyncio.Event()
        self._room.set()
        self.all_sent = False

    @property
    def has_room(self) -> Callable[[], bool]:
        """Tells whether raws of the past may be told now; may be called in any thread."""
        return self._room.is_set

    def look(self, waiting: int) -> None:
        """Note how many raws and shards wait."""
        if waiting < _MOST_WAITING:
            self._room.set()
        else:
            self._room.clear()

    async def feed(self, feeder: Feeder, warm: asyncio.Event, sources: Sources) -> None:
        """Have all exposures sent into a watched folder, once all workers are warm."""
        await warm.wait()
        await feeder()
        await asyncio.to_thread(sources.rescan)
        self.all_sent = True

    async def feed_selection(self, selection: Selection, parts: Parts, registry: ThreadPoolExecutor) -> None:
        """Tell the raws that a run was asked for, newest first; there are no others."""
        for (instrument, group), size in selection.groups.items():
            parts.conductor.expect_group(instrument, group, size)
        for place, detectors in selection.detectors.items():
            parts.conductor.expect(*place, detectors)
            await self._tell(selection, place, parts, registry)
        self.all_sent = True

    async def select(self, where: str, parts: Parts, registry: ThreadPoolExecutor) -> Selection:
        """Return registered raws that an expression selects and that may have no outcome.

        Raises
        ------
        InputError
            If the expression is not valid, or selects nothing.
        """
        settings = parts.settings.model_copy(update={"data_query": where})
        return await asyncio.get_running_loop().run_in_executor(
            registry, select_raws, settings, parts.compiled, parts.ended_before
        )

    async def catch_up(self, selection: Selection, parts: Parts, registry: ThreadPoolExecutor) -> None:
        """Tell raws of the past, newest first, beside those that come."""
        for place, detectors in selection.detectors.items():
            parts.conductor.expect_more(*place, detectors)
            await self._tell(selection, place, parts, registry)

    async def _tell(
        self, selection: Selection, place: tuple[str, int], parts: Parts, registry: ThreadPoolExecutor
    ) -> None:
        await self._room.wait()
        for raw in await selection.read(place, parts.compiled, registry):
            self._arrivals.put_nowait(raw)
