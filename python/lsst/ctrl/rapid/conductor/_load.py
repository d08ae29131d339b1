"""How much work waits, and whether that is too much to process whole exposures."""

from __future__ import annotations

__all__ = ("Load",)

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ..model import DownSelection, Shard
from ._steps import StepRule

_WEIGHT = 0.1
"""Of the newest shard in the mean time of its step."""


class Load:
    """Estimates how long what waits would keep the workers busy.

    Parameters
    ----------
    steps
        Steps of each pipeline by its name.

    Notes
    -----
    A detector that waits for a step counts with the mean time of that step and of those that come after it.
    Nothing is known of a step until a first shard of it has ended: it counts as nothing until then.  What is
    of the past (older than the newest exposure when it came) says nothing of whether the workers keep up.
    """

    def __init__(self, steps: Mapping[str, Sequence[StepRule]]) -> None:
        self._mean: dict[tuple[str, str], float] = {}
        self._later = {
            (pipeline, rule.label): _later(rule, rules) for pipeline, rules in steps.items() for rule in rules
        }
        self._waiting: Counter[tuple[str, str]] = Counter()
        self._of_the_past: Counter[tuple[str, str]] = Counter()
        self.is_high = False
        """Whether down-selection is in force."""

    def waits(self, shard: Shard, *, past: bool) -> None:
        """A shard waits for a worker; ``past`` if its exposure was not the newest when it came."""
        self._counter(past).update([(shard.pipeline, shard.step)])

    def waits_no_more(self, shard: Shard, *, past: bool) -> None:
        """A shard that waited runs now, or will not."""
        self._counter(past).subtract([(shard.pipeline, shard.step)])

    def _counter(self, past: bool) -> Counter[tuple[str, str]]:
        return self._of_the_past if past else self._waiting

    @property
    def waiting(self) -> int:
        """Number of shards that wait for a worker."""
        return self._waiting.total() + self._of_the_past.total()

    def took(self, shard: Shard, seconds: float) -> None:
        """A shard has ended after so many seconds."""
        key = (shard.pipeline, shard.step)
        before = self._mean.get(key, seconds)
        self._mean[key] = before + _WEIGHT * (seconds - before)

    def seconds(self, workers: int, shards: Iterable[Shard] | None = None) -> float:
        """Return how long so many workers would be busy with what waits, or with these shards.

        Without what is of the past.
        """
        if shards is None:
            return self._busy(workers, self._waiting)
        return self._busy(workers, Counter((shard.pipeline, shard.step) for shard in shards))

    def seconds_of_all(self, workers: int) -> float:
        """Return how long so many workers would be busy with all that waits."""
        return self._busy(workers, self._waiting + self._of_the_past)

    def _busy(self, workers: int, waiting: Mapping[tuple[str, str], int]) -> float:
        work = sum(
            count * sum(self._mean.get((pipeline, label), 0.0) for label in self._later[pipeline, step])
            for (pipeline, step), count in waiting.items()
        )
        return work / max(workers, 1)

    def judge(self, seconds: float, rule: DownSelection | None) -> bool:
        """Tell whether down-selection is in force now that so much waits: between its limits, as before."""
        if rule is None or seconds <= rule.below:
            self.is_high = False
        elif seconds > rule.above:
            self.is_high = True
        return self.is_high


def _later(rule: StepRule, rules: Sequence[StepRule]) -> tuple[str, ...]:
    """Return the labels of a step and, for a detector, of the steps for detectors that come after it."""
    found = [rule.label]
    if rule.per_detector:
        for other in rules:
            if other.per_detector and other.after & set(found):
                found.append(other.label)
    return tuple(found)
