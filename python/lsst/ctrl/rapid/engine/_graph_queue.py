"""Quanta that may run, and which worker takes which."""

from __future__ import annotations

__all__ = ("ReadyQuanta",)

from collections import deque

from ._graph_outputs import GraphQuantum

type _Place = tuple[object, object] | None


class ReadyQuanta:
    """Quanta whose predecessors have all ended well, in the order in which they came.

    Notes
    -----
    A worker goes on with the detector that it had before, whose calibrations it holds, then takes one that
    no other worker has had, then any: a quantum never waits for a worker while another is idle.
    """

    def __init__(self) -> None:
        self._waiting: dict[_Place, deque[GraphQuantum]] = {}
        self._home: dict[_Place, str] = {}
        self._last: dict[str, _Place] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, quantum: GraphQuantum) -> None:
        """Add a quantum that may run."""
        self._waiting.setdefault(_place(quantum), deque()).append(quantum)

    def take(self, worker: str) -> GraphQuantum:
        """Take the best quantum for an idle worker; there must be one."""
        place = self._last.get(worker)
        if place not in self._waiting:
            free = (place for place in self._waiting if self._home.get(place, worker) == worker)
            place = next(free, next(iter(self._waiting)))
        quantum = self._waiting[place].popleft()
        if not self._waiting[place]:
            del self._waiting[place]
        self._last[worker] = place
        if place is not None:
            self._home[place] = worker
        return quantum

    def clear(self) -> None:
        """Drop all: nothing more is to run."""
        self._waiting.clear()


def _place(quantum: GraphQuantum) -> _Place:
    """Return the detector of a quantum that has one."""
    data_id = quantum.quantum.dataId
    assert data_id is not None, "A quantum of a graph has a data ID."
    if "detector" not in data_id.dimensions.names:
        return None
    return data_id["instrument"], data_id["detector"]
