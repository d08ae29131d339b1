"""Patterns: which detectors of an exposure are processed, and how that changes from exposure to exposure."""

from __future__ import annotations

__all__ = ("PERIOD", "Pattern", "compile_pattern")

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping

from ..model import InputError, PatternSpec, Vary
from ._detectors import PatternDetector
from ._pattern_names import DetectorNames, Phases

PERIOD = 4
"""After so many exposures every pattern begins again."""

_PHASE: Mapping[Vary, Callable[[int], int]] = {
    Vary.FIXED: lambda _: 0,
    Vary.ALTERNATING: lambda turn: turn % 2,
    Vary.ALTERNATING_BY_TWOS: lambda turn: turn // 2 % 2,
}


@dataclasses.dataclass(frozen=True)
class Pattern:
    """A pattern as it is for one instrument.

    Attributes
    ----------
    spec
        What was asked for.
    phases
        The detectors in both phases; the same twice for what does not change.
    """

    spec: PatternSpec
    phases: Phases

    def detectors(self, turn: int) -> frozenset[int]:
        """Return the detectors for the exposure with this running number, which begins with 0."""
        return self.phases[_PHASE[self.spec.vary](turn)]

    @property
    def ever(self) -> frozenset[int]:
        """All detectors that some exposure has."""
        return frozenset[int]().union(*map(self.detectors, range(PERIOD)))

    def within(self, limit: frozenset[int]) -> Pattern:
        """Return this pattern without the detectors outside a limit."""
        first, second = self.phases
        return Pattern(self.spec, (first & limit, second & limit))

    @property
    def has_gaps(self) -> bool:
        """Whether there are exposures for which it has no detector at all."""
        return not all(map(self.detectors, range(PERIOD)))


def compile_pattern(
    spec: PatternSpec,
    detectors: Collection[PatternDetector],
    instrument: str,
    *,
    everything: frozenset[int] | None = None,
) -> Pattern:
    """Find the detectors of a pattern.

    Parameters
    ----------
    spec
        What was asked for.  In each phase, what its names include is united, and what they exclude is taken
        away.
    detectors
        All detectors of the instrument.
    instrument
        Its name in the registry.
    everything
        What ``all`` chooses; the science detectors when `None`.

    Raises
    ------
    InputError
        If a name is not valid for the instrument, or some exposures would have no detector.  A name that
        would leave it none in one of its phases is not valid.
    """
    names = DetectorNames.of(instrument, detectors, everything)
    include, exclude = _united(names, spec.include), _united(names, spec.exclude)
    pattern = Pattern(spec, (include[0] - exclude[0], include[1] - exclude[1]))
    if pattern.has_gaps:
        raise InputError(f"{instrument}: pattern {str(spec)!r} leaves no detector; exclude less.")
    return pattern


def _united(names: DetectorNames, chosen: Iterable[str]) -> Phases:
    phases = [names.chosen_by(name) for name in chosen]
    first, second = ([phase[which] for phase in phases] for which in (0, 1))
    return frozenset[int]().union(*first), frozenset[int]().union(*second)
