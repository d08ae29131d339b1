"""What runs next and where, of all that is ready."""

from __future__ import annotations

__all__ = ("Dispatcher",)

from collections.abc import Callable, Iterator, Mapping, Sequence

from ..model import Mode, Shard
from ._decisions import Backlog, Dispatch, Yield
from ._exposure import ExposureProgress
from ._load import Load
from ._progress import Progress
from ._steps import Place, StepRule
from ._turns import Turns
from ._workers import Workers


class Dispatcher:
    """Gives what is ready to workers, the newest first.

    Parameters
    ----------
    active
        What may have something ready.
    progress
        Returns the exposure or group of a shard.
    steps
        Steps of each pipeline by its name.
    partners
        Detectors that one worker processes, each by the other, by instrument.
    mode
        What is done with what waits of older exposures.
    """

    def __init__(
        self,
        active: Mapping[Place, Progress],
        progress: Callable[[Shard], Progress],
        steps: Mapping[str, Sequence[StepRule]],
        partners: Mapping[str, Mapping[int, int]],
        mode: Mode,
    ) -> None:
        self.mode = mode
        self.workers = Workers(partners)
        self.load = Load(steps)
        self._active = active
        self._progress = progress
        self._turns = Turns(active)
        self._newest: dict[str, float] = {}
        self._tries: dict[Shard, int] = {}
        self._asked: set[Shard] = set()
        self._asked_for: set[Place] = set()
        self._closed = False

    # What becomes ready

    def enter(self, found: Progress) -> None:
        """Have something new come after what is as new and was entered before."""
        self._turns.enter(found)

    def note_newest(self, found: Progress) -> None:
        """A raw of an exposure has come: what is older than the newest is the backlog."""
        newest = self._newest.get(found.instrument, found.newness)
        if found.place not in self._active and not found.arrived:
            found.is_past = found.newness < newest
        self._newest[found.instrument] = max(newest, found.newness)

    def make_ready(self, shard: Shard) -> None:
        """A shard waits for a worker."""
        found = self._progress(shard)
        found.make_ready(shard)
        self.load.waits(shard, past=found.is_past)
        self._turns.queue(found)

    def requeue(self, found: Progress) -> None:
        """Give an exposure or a group with work the turn that it has now."""
        if found.ready:
            self._turns.queue(found)

    def drop(self, shard: Shard) -> None:
        """A shard that waited is not run."""
        self.load.waits_no_more(shard, past=self._progress(shard).is_past)

    def ask_for(self, place: Place) -> None:
        """Have an exposure worked off, also while the mode is to wait."""
        self._asked_for.add(place)

    def close(self) -> None:
        """No newer exposure will come: there is nothing to keep workers idle for."""
        self._closed = True

    # What ends

    def ended(self, shard: Shard, seconds: float | None) -> None:
        """A shard has ended on its worker, after so many seconds."""
        self.workers.release(shard)
        self._asked.discard(shard)
        if seconds is not None:
            self.load.took(shard, seconds)

    def yielded(self, shard: Shard) -> None:
        """A shard has stopped as it was asked to, and waits again."""
        self.ended(shard, None)
        self._tries[shard] -= 1
        self.make_ready(shard)

    def lost(self, shard: Shard) -> int:
        """The worker of a shard died under it; returns how often the shard was tried."""
        self.workers.died_under(shard)
        self._asked.discard(shard)
        return self._tries[shard]

    def forget_tries(self, shard: Shard) -> None:
        """A shard has ended: it is not tried again."""
        self._tries.pop(shard, None)

    # Decisions

    def dispatch(self) -> Iterator[Dispatch]:
        """Yield what begins now, and where."""
        for found in self._turns.newest_first():
            if not self.workers.free:
                return
            detectors = self._is_worked_off(found)
            while self.workers.free and (placed := self.workers.choose(found, detectors=detectors)):
                yield self._dispatch(found, *placed)

    def _dispatch(self, found: Progress, shard: Shard, worker: str) -> Dispatch:
        found.take(shard)
        self.load.waits_no_more(shard, past=found.is_past)
        self.workers.assign(shard, worker)
        self._tries[shard] = self._tries.get(shard, 0) + 1
        detectors = None
        if shard.detector is None and isinstance(found, ExposureProgress) and found.gather is not None:
            detectors = found.gather.detectors
        return Dispatch(shard, worker, self._tries[shard], detectors)

    def ask_to_yield(self) -> Iterator[Yield]:
        """Yield the shards of older exposures that stop for what waits of newer ones.

        Those of the oldest exposure come first, of these what was begun last.
        """
        if self.mode is not Mode.PREEMPTIVE or self.workers.free:
            return
        running = [s for s in self.workers.running if s.detector is not None and s not in self._asked]
        newness = {shard: self._progress(shard).newness for shard in running}
        oldest_last: list[Shard] | None = None
        coming = len(self._asked)
        for found in self._turns.newest_first():
            if min(newness.values(), default=found.newness) >= found.newness:
                return
            for _ in self._allowed(found):
                if coming:
                    coming -= 1
                    continue
                if oldest_last is None:
                    oldest_last = sorted(running, key=newness.__getitem__, reverse=True)
                if not oldest_last or newness[oldest_last[-1]] >= found.newness:
                    return
                shard = oldest_last.pop()
                self._asked.add(shard)
                yield Yield(shard, self.workers.running[shard])

    def _allowed(self, found: Progress) -> Iterator[Shard]:
        """Yield the shards of an exposure or a group that may be begun now."""
        yield from found.ready if self._is_worked_off(found) else found.ready_of(None)

    def _is_worked_off(self, found: Progress) -> bool:
        """Tell whether the detectors of an exposure or a group are processed now, and do not only wait."""
        waits = self.mode is Mode.WAITING and not self._closed and found.place not in self._asked_for
        return not waits or found.newness >= self._newest.get(found.instrument, found.newness)

    # What is seen

    @property
    def can_dispatch(self) -> bool:
        """Whether something waits that may be begun when a worker is free."""
        return any(True for found in self._turns.newest_first() for _ in self._allowed(found))

    @property
    def seconds_of_work(self) -> float:
        """How long the workers would be busy with what they may do."""
        if self.mode is not Mode.WAITING:
            return self.load.seconds(self.workers.alive)
        newest = (found for found in self._active.values() if self._is_worked_off(found))
        return self.load.seconds(self.workers.alive, (shard for one in newest for shard in one.ready))

    @property
    def backlog(self) -> Backlog:
        """What waits of exposures older than the newest."""
        older = [
            (found.newness, shard)
            for found in self._active.values()
            for shard in found.ready
            if found.newness < self._newest.get(found.instrument, found.newness)
        ]
        return Backlog(
            shards=len(older),
            exposures=len({shard.exposure for _, shard in older}),
            oldest=min(older)[1].exposure if older else None,
            seconds=self.load.seconds_of_all(self.workers.alive),
            reduced=self.load.is_high,
        )
