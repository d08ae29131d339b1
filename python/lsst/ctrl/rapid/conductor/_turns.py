"""Whose turn it is: the newest with work, however much waits."""

from __future__ import annotations

__all__ = ("Turn", "Turns")

import heapq
import itertools
from collections.abc import Iterator, Mapping
from typing import Protocol

from ._steps import Place

type Turn = tuple[float, int]
"""Whose turn is the least is next: the newest, of these what was entered first."""


class Waiting(Protocol):
    """Something with work that waits for workers."""

    entered: int
    queued: Turn | None

    @property
    def place(self) -> Place:
        """What it is."""

    @property
    def turn(self) -> Turn:
        """When it is its turn, compared with others."""

    @property
    def has_work(self) -> bool:
        """Whether something waits for a worker."""


class Turns[W: Waiting]:
    """The order of what has work.

    Parameters
    ----------
    active
        All that may have work, by place; what is no more in it has no turn.
    """

    def __init__(self, active: Mapping[Place, W]) -> None:
        self._active = active
        self._heap: list[tuple[Turn, Place]] = []
        self._entered = itertools.count()

    def enter(self, found: W) -> None:
        """Have what is new come after what is as new and was entered before."""
        found.entered = next(self._entered)

    def queue(self, found: W) -> None:
        """Give something with work a turn; an earlier one is void if it has changed."""
        if found.turn != found.queued:
            found.queued = found.turn
            heapq.heappush(self._heap, (found.turn, found.place))

    def newest_first(self) -> Iterator[W]:
        """Yield what has work, the newest first, without looking at what is not taken from the iterator."""
        seen: list[tuple[Turn, Place]] = []
        try:
            while self._heap:
                turn, place = entry = heapq.heappop(self._heap)
                found = self._active.get(place)
                if found is None or found.queued != turn:
                    continue
                if not found.has_work:
                    found.queued = None
                    continue
                seen.append(entry)
                yield found
        finally:
            for entry in seen:
                heapq.heappush(self._heap, entry)
