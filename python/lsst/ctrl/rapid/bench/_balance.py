"""Counts what becomes of every raw, from what was sent and what was decided alone."""

from __future__ import annotations

__all__ = ("Balance",)

import heapq

from ..conductor import Decision, Dispatch, Give, Yield
from ..model import Shard


class Balance:
    """An account of a night that knows nothing of how the conductor works.

    Attributes
    ----------
    faults
        What must not happen, in words: something that ran twice at once, or again after it had ended, an
        older raw that was begun while a newer one waited, a gather of a detector that had not ended.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.done: set[tuple[int, int]] = set()
        self.failed: set[tuple[int, int]] = set()
        self.not_wanted: set[tuple[int, int]] = set()
        self._sent: set[tuple[int, int]] = set()
        self._waiting: dict[int, set[int]] = {}
        self._newest: list[int] = []
        self._retried: set[tuple[int, int]] = set()
        self._running: set[Shard] = set()
        self._gathered: dict[int, frozenset[int]] = {}
        self._partial: set[int] = set()
        self._again: set[int] = set()
        self.yields = 0
        self.deaths = 0

    # What happens

    def sent(self, exposure: int, detector: int) -> None:
        """A raw was sent."""
        if (exposure, detector) in self._sent:
            self.faults.append(f"exposure {exposure} detector {detector} was sent twice")
        self._sent.add((exposure, detector))
        self._wait(exposure, detector)

    def shed(self, exposure: int, detector: int) -> None:
        """A raw is not processed."""
        self.not_wanted.add((exposure, detector))
        self._waits_no_more(exposure, detector)

    def ended(self, shard: Shard, *, failed: bool) -> None:
        """A shard has ended on its worker."""
        self._running.remove(shard)
        if shard.detector is not None:
            self._end(shard.exposure, shard.detector, failed=failed)

    def yielded(self, shard: Shard) -> None:
        """A shard has stopped as it was asked to."""
        self.yields += 1
        self._back(shard)

    def lost(self, shard: Shard) -> None:
        """The worker of a shard has died."""
        self.deaths += 1
        self._back(shard)
        if shard.detector is not None:
            self._retried.add((shard.exposure, shard.detector))

    def decided(self, decision: Decision) -> None:
        """The conductor has decided something."""
        match decision:
            case Dispatch(shard=shard, detectors=detectors):
                self._dispatch(shard, detectors)
            case Give(shard=shard) if shard.detector is not None:
                self._waits_no_more(shard.exposure, shard.detector)
                self._end(shard.exposure, shard.detector, failed=True)
            case Yield(shard=shard) if shard not in self._running:
                self.faults.append(f"{shard} is asked to stop, and does not run")
            case _:
                pass

    # What is found

    def was_sent(self, exposure: int, detector: int) -> bool:
        """Tell whether a raw was sent."""
        return (exposure, detector) in self._sent

    @property
    def waiting(self) -> int:
        """Number of raws that wait for a worker."""
        return sum(map(len, self._waiting.values()))

    @property
    def running(self) -> int:
        """Number of raws that are processed."""
        return sum(shard.detector is not None for shard in self._running)

    @property
    def sent_count(self) -> int:
        """Number of raws that were sent."""
        return len(self._sent)

    @property
    def difference(self) -> int:
        """What was sent less all that ended, runs or waits: nothing is lost if it is 0."""
        ended = len(self.done) + len(self.failed) + len(self.not_wanted)
        return len(self._sent) - ended - self.running - self.waiting

    @property
    def ungathered(self) -> int:
        """Number of exposures whose last gather is not of all that was processed of them."""
        processed: dict[int, set[int]] = {}
        for exposure, detector in self.done | self.failed:
            processed.setdefault(exposure, set()).add(detector)
        return sum(
            self._gathered.get(exposure, frozenset()) != detectors
            for exposure, detectors in processed.items()
        )

    @property
    def partial(self) -> int:
        """Number of exposures that were gathered in part."""
        return len(self._partial)

    @property
    def again(self) -> int:
        """Number of exposures that were gathered once more, because a detector came too late."""
        return len(self._again)

    def _dispatch(self, shard: Shard, detectors: frozenset[int] | None) -> None:
        if shard in self._running:
            self.faults.append(f"{shard} runs twice at once")
        self._running.add(shard)
        if shard.detector is None:
            self._gather(shard, detectors or frozenset())
            return
        if self._has_ended(shard.exposure, shard.detector):
            self.faults.append(f"{shard} has ended before")
        if shard.detector not in self._waiting.get(shard.exposure, ()):
            self.faults.append(f"{shard} does not wait")
        self._waits_no_more(shard.exposure, shard.detector)
        if (newest := self._newest_waiting) > shard.exposure and not self._only_retried(newest):
            self.faults.append(f"{shard} is begun while exposure {newest} waits")

    def _gather(self, shard: Shard, detectors: frozenset[int]) -> None:
        ended = {
            d for d in detectors if (shard.exposure, d) in self.done or (shard.exposure, d) in self.failed
        }
        if ended != detectors or not detectors:
            self.faults.append(f"{shard} gathers detectors that have not ended: {sorted(detectors - ended)}")
        if shard.partial:
            self._partial.add(shard.exposure)
        else:
            self._gathered[shard.exposure] = detectors
        if shard.revision:
            self._again.add(shard.exposure)

    def _end(self, exposure: int, detector: int, *, failed: bool) -> None:
        if self._has_ended(exposure, detector):
            self.faults.append(f"exposure {exposure} detector {detector} has ended twice")
        (self.failed if failed else self.done).add((exposure, detector))

    def _has_ended(self, exposure: int, detector: int) -> bool:
        return (exposure, detector) in self.done or (exposure, detector) in self.failed

    def _back(self, shard: Shard) -> None:
        self._running.remove(shard)
        if shard.detector is not None:
            self._wait(shard.exposure, shard.detector)

    def _wait(self, exposure: int, detector: int) -> None:
        if exposure not in self._waiting:
            heapq.heappush(self._newest, -exposure)
        self._waiting.setdefault(exposure, set()).add(detector)

    @property
    def _newest_waiting(self) -> int:
        while self._newest and -self._newest[0] not in self._waiting:
            heapq.heappop(self._newest)
        return -self._newest[0] if self._newest else -1

    def _only_retried(self, exposure: int) -> bool:
        """Tell whether all that waits of an exposure waits for another worker than the one that died."""
        return all((exposure, detector) in self._retried for detector in self._waiting[exposure])

    def _waits_no_more(self, exposure: int, detector: int) -> None:
        of_exposure = self._waiting.get(exposure, set())
        of_exposure.discard(detector)
        if not of_exposure:
            self._waiting.pop(exposure, None)
