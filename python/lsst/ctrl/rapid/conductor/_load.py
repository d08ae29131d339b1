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
    Nothing is known of a step until a first shard of it has ended: it counts as nothing until then.
    """

    def __init__(self, steps: Mapping[str, Sequence[StepRule]]) -> None:
        self._mean: dict[tuple[str, str], float] = {}
        self._later = {
            (pipeline, rule.label): _later(rule, rules) for pipeline, rules in steps.items() for rule in rules
        }
        self._waiting: Counter[tuple[str, str]] = Counter()
        self.is_high = False
        """Whether down-selection is in force."""

    def waits(self, shard: Shard) -> None:
        """A shard waits for a worker."""
        self._waiting[shard.pipeline, shard.step] += 1

    def waits_no_more(self, shard: Shard) -> None:
        """A shard that waited runs now, or will not."""
        self._waiting[shard.pipeline, shard.step] -= 1

    @property
    def waiting(self) -> int:
        """Number of shards that wait for a worker."""
        return self._waiting.total()

    def took(self, shard: Shard, seconds: float) -> None:
        """A shard has ended after so many seconds."""
        key = (shard.pipeline, shard.step)
        before = self._mean.get(key, seconds)
        self._mean[key] = before + _WEIGHT * (seconds - before)

    def seconds(self, workers: int, shards: Iterable[Shard] | None = None) -> float:
        """Return how long so many workers would be busy with all that waits, or with these shards."""
        waiting = self._waiting
        if shards is not None:
            waiting = Counter((shard.pipeline, shard.step) for shard in shards)
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
