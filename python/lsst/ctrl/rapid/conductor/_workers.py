"""Which worker takes which shard."""

from __future__ import annotations

__all__ = ("Workers",)

from collections.abc import Iterable, Mapping

from ..model import Shard
from ._progress import Progress


class Workers:
    """The workers, what runs on them, and which shard goes best to which.

    Parameters
    ----------
    partners
        Detectors that are processed by one worker, each by the other, by instrument: the halves of a
        wavefront sensor.

    Notes
    -----
    A detector goes back to the worker that it was on before, which has its calibrations, unless that one is
    busy and another is free.  A partner waits for the worker that runs the other of its exposure.  A shard
    whose worker died under it goes to another one, if there is another.
    """

    def __init__(self, partners: Mapping[str, Mapping[int, int]] | None = None) -> None:
        self._partners = partners or {}
        self._alive: set[str] = set()
        self._free: dict[str, None] = {}
        self._homes: dict[tuple[str, int], str] = {}
        self._residents: dict[str, dict[tuple[str, int], None]] = {}
        self._avoided: dict[Shard, str] = {}
        self.running: dict[Shard, str] = {}

    @property
    def alive(self) -> int:
        """Number of workers that run or could run a shard."""
        return len(self._alive)

    @property
    def free(self) -> int:
        """Number of workers that could take a shard now."""
        return len(self._free)

    def ready(self, worker: str) -> None:
        """A worker can take a shard."""
        self._alive.add(worker)
        self._free[worker] = None

    def lost(self, worker: str) -> None:
        """A worker can take none any more."""
        self._alive.discard(worker)
        self._free.pop(worker, None)

    def assign(self, shard: Shard, worker: str) -> None:
        """A shard runs on a worker from now on."""
        del self._free[worker]
        self.running[shard] = worker
        if shard.detector is not None:
            self._settle(self._sensor(shard), worker)

    def release(self, shard: Shard) -> None:
        """A shard runs no more; its worker is free if it lives."""
        worker = self.running.pop(shard)
        self._avoided.pop(shard, None)
        # One that was lost and replaced before the shard reached it may have another by now.
        if worker in self._alive and worker not in self.running.values():
            self._free[worker] = None

    def died_under(self, shard: Shard) -> None:
        """The worker of a shard is gone: the shard is not to be given to it again."""
        self._avoided[shard] = self.running.pop(shard)

    def choose(self, found: Progress, *, detectors: bool) -> tuple[Shard, str] | None:
        """Return what of an exposure or a group is best begun now, and where; `None` if nothing can be.

        Gathers come first, then detectors whose worker is free, then others; each in the order in which they
        became ready.

        Parameters
        ----------
        found
            The exposure or the group.
        detectors
            Whether its detectors may be begun, or only its gathers.
        """
        return (
            self._first(found.ready_of(None))
            or (self._at_home(found) if detectors else None)
            or (self._first(found.ready) if detectors else None)
        )

    def _at_home(self, found: Progress) -> tuple[Shard, str] | None:
        """Return the detector that has waited longest of those whose worker is free."""
        waiting = [
            (shard, worker)
            for worker in self._free
            for instrument, sensor in self._residents.get(worker, ())
            if instrument == found.instrument
            for detector in {sensor, self._partner(instrument, sensor)}
            for shard in found.ready_of(detector)
            if self._free_for(shard) == worker
        ]
        return min(waiting, key=lambda one: found.ready[one[0]], default=None)

    def _first(self, shards: Iterable[Shard]) -> tuple[Shard, str] | None:
        """Return the first shard that can be begun."""
        for shard in shards:
            if (worker := self._free_for(shard)) is not None:
                return shard, worker
        return None

    def _free_for(self, shard: Shard) -> str | None:
        """Return the free worker that suits a shard best."""
        if (partner := self._worker_of_partner(shard)) is not None:
            return partner if partner in self._free else None
        avoided = self._avoided.get(shard)
        if avoided is not None and self._alive <= {avoided}:
            avoided = None
        home = self._home(shard)
        if home in self._free and home != avoided:
            return home
        return next((worker for worker in self._free if worker != avoided), None)

    def _home(self, shard: Shard) -> str | None:
        return None if shard.detector is None else self._homes.get(self._sensor(shard))

    def _settle(self, sensor: tuple[str, int], worker: str) -> None:
        """Have a sensor's home on a worker."""
        before = self._homes.get(sensor)
        if before == worker:
            return
        if before is not None:
            del self._residents[before][sensor]
        self._homes[sensor] = worker
        self._residents.setdefault(worker, {})[sensor] = None

    def _sensor(self, shard: Shard) -> tuple[str, int]:
        """Return what has a home: a detector, by its number, or both halves by the lesser one."""
        assert shard.detector is not None, "Gathers have no home."
        return shard.instrument, min(shard.detector, self._partner(shard.instrument, shard.detector))

    def _partner(self, instrument: str, detector: int) -> int:
        """Return the other half of a detector's sensor; itself if it is whole."""
        return self._partners.get(instrument, {}).get(detector, detector)

    def _worker_of_partner(self, shard: Shard) -> str | None:
        """Return the worker that runs the other half of a shard's sensor."""
        if shard.detector is None:
            return None
        partner = self._partner(shard.instrument, shard.detector)
        if partner == shard.detector:
            return None
        return next(
            (
                worker
                for running, worker in self.running.items()
                if running.detector == partner
                and (running.instrument, running.exposure) == (shard.instrument, shard.exposure)
                and worker in self._alive
            ),
            None,
        )
