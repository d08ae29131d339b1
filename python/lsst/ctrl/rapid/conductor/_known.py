"""The exposures, groups and days that have come, until they are forgotten."""

from __future__ import annotations

__all__ = ("Known",)

import math
from collections.abc import Mapping, Sequence

from ..model import Shard
from ._day import DayProgress
from ._decisions import Selected
from ._exposure import ExposureProgress, Gathering
from ._group import GroupProgress
from ._progress import Progress
from ._steps import Place, StepRule

NOT_YET_KNOWN = -math.inf
"""Newness of an exposure of which only shards that ended in an earlier run were told."""


class Known:
    """The exposures, groups and days that have come.

    Parameters
    ----------
    steps
        Steps of each pipeline by its name.
    gathering
        When gathers run without all detectors; for exposures that come from now on.

    Attributes
    ----------
    active
        Those of which something is to be done.
    selected
        Which detectors of an exposure are processed, since its first raw was told of.
    group_sizes
        How many exposures of a group will come at least, where somebody knows.
    """

    def __init__(self, steps: Mapping[str, Sequence[StepRule]], gathering: Gathering) -> None:
        self._steps = steps
        self.gathering = gathering
        self.exposures: dict[Place, ExposureProgress] = {}
        self.groups: dict[Place, GroupProgress] = {}
        self.days: dict[Place, DayProgress] = {}
        self.active: dict[Place, Progress] = {}
        self.selected: dict[Place, Selected] = {}
        self.group_sizes: dict[Place, int] = {}
        self._group_of: dict[Place, Place] = {}
        self._day_of: dict[Place, Place] = {}
        self._by_commit = {
            name
            for name, rules in steps.items()
            if any(rule.needs_commit and not rule.per_day for rule in rules)
        }

    def waits_for_commits(self, pipeline: str) -> bool:
        """Tell whether a step of a pipeline's exposures or groups is planned from what is registered."""
        return pipeline in self._by_commit

    def exposure(
        self, pipeline: str, place: tuple[str, int], now: float, newness: float, selected: Selected
    ) -> ExposureProgress:
        """Return an exposure, new or known."""
        found = self.exposures.get(place)
        if found is None:
            rules = self._steps[pipeline]
            of = selected.detectors, selected.only
            found = ExposureProgress(pipeline, *place, rules, newness, self.gathering, now, *of)
            self.exposures[place] = found
        elif found.newness == NOT_YET_KNOWN:
            found.newness = newness
        return found

    def group(self, pipeline: str, instrument: str, group: str, size: int) -> GroupProgress:
        """Return a group, new or known."""
        place = (instrument, group)
        found = self.groups.get(place)
        if found is None:
            found = self.groups[place] = GroupProgress(
                pipeline, instrument, group, size, self._steps[pipeline]
            )
        found.size = max(found.size, size, self.group_sizes.get(place, 1))
        return found

    def join(self, exposure: ExposureProgress, group: str, size: int) -> GroupProgress | None:
        """Have an exposure, or more of its detectors, in its group; `None` if nothing is run for groups."""
        if not any(rule.per_group for rule in self._steps[exposure.pipeline]):
            return None
        whole = self.group(exposure.pipeline, exposure.instrument, group, size)
        whole.join(exposure)
        self._group_of[exposure.place] = whole.place
        return whole

    def day(self, pipeline: str, instrument: str, day_obs: int, now: float) -> DayProgress | None:
        """Return an observing day, new or known; `None` if nothing is run for days."""
        rules = self._steps[pipeline]
        if not any(rule.per_day for rule in rules):
            return None
        place = DayProgress.place_of(pipeline, instrument, day_obs)
        if (found := self.days.get(place)) is None:
            every = self.gathering.day_update
            found = self.days[place] = DayProgress(pipeline, instrument, day_obs, rules, every, now)
        return found

    def join_day(self, exposure: ExposureProgress, day_obs: int, now: float) -> DayProgress | None:
        """Have an exposure of which something is to be done in its day; `None` if it joins none."""
        if not self.is_active(exposure.place):
            return None
        if (day := self.day(exposure.pipeline, exposure.instrument, day_obs, now)) is not None:
            day.join(exposure.exposure)
            self._day_of[exposure.place] = day.place
        return day

    def settle_in_day(self, place: Place) -> DayProgress | None:
        """Have an exposure that is settled, with those of its group, in its day as such.

        Returns
        -------
        day
            That in which something has changed; `None` if nothing has.
        """
        if (at := self._day_of.get(place)) is None:
            return None
        day, changed = self.days[at], False
        for number in self.settled((place[0], int(place[1]))) if day.is_open(int(place[1])) else ():
            if isinstance(number, int) and day.is_open(number):
                day.settle(number, self.exposures[place[0], number].newness)
                changed = True
        return day if changed else None

    def progress(self, shard: Shard) -> Progress:
        """Return the exposure, group or day of a shard."""
        if shard.day_obs is not None:
            return self.days[DayProgress.place_of(shard.pipeline, shard.instrument, shard.day_obs)]
        if shard.group is not None:
            return self.groups[shard.instrument, shard.group]
        return self.exposures[shard.instrument, shard.exposure]

    def group_of(self, place: Place) -> GroupProgress | None:
        """Return the group of an exposure, if it is in one."""
        group = self._group_of.get(place)
        return None if group is None else self.groups[group]

    def is_active(self, place: Place) -> bool:
        """Tell whether something of an exposure, or of its group, is still to be done."""
        return place in self.active or self._group_of.get(place) in self.active

    def has(self, shard: Shard) -> bool:
        """Tell whether a shard is ready, runs or has ended."""
        place = (shard.instrument, shard.exposure if shard.group is None else shard.group)
        found: Progress | None = self.exposures.get(place) or self.groups.get(place)
        return found is not None and (shard.step, shard.detector) in found.states

    def settled(self, place: tuple[str, int]) -> Sequence[int | str]:
        """Return the numbers and the group that are settled with an exposure; none, if they are not."""
        whole = self.group_of(place)
        found: list[Progress] = [self.exposures[place]] if place in self.exposures else []
        if whole is not None:
            found = [*whole.members.values(), whole]
        if not all(one.place not in self.active and one.is_settled for one in found):
            return []
        return [place[1]] if whole is None else [*whole.members, whole.group]

    def forget(self, place: tuple[str, int]) -> Sequence[int] | None:
        """Forget an exposure with those of its group; `None`, and nothing is, if they are not settled."""
        settled = self.settled(place)
        if not settled:
            return None
        instrument, whole = place[0], self.group_of(place)
        forgotten = [number for number in settled if isinstance(number, int)]
        for number in forgotten:
            for table in (self.exposures, self._group_of, self._day_of, self.selected):
                table.pop((instrument, number), None)
        if whole is not None:
            del self.groups[whole.place]
        return forgotten
