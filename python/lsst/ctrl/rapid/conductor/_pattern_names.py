"""The names that choose detectors of an instrument."""

from __future__ import annotations

__all__ = ("DetectorNames", "Phases")

import dataclasses
import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Self

from ..model import InputError
from ._detectors import DetectorPurpose, PatternDetector

type Phases = tuple[frozenset[int], frozenset[int]]
"""Detectors in both phases; the same twice for what does not change."""

_NUMBERS = re.compile(r"(\d{1,9})(?:\.\.(\d{1,9}))?", re.ASCII)


@dataclasses.dataclass(frozen=True)
class DetectorNames:
    """The names that choose detectors of an instrument.

    Attributes
    ----------
    instrument
        Its name in the registry.
    detectors
        All its detectors, by number.
    words
        What patterns and vendors choose.
    places
        What rafts and detectors' names choose.
    """

    instrument: str
    detectors: Mapping[int, PatternDetector]
    words: Mapping[str, Phases]
    places: Mapping[str, Phases]

    @classmethod
    def of(
        cls, instrument: str, detectors: Collection[PatternDetector], everything: frozenset[int] | None
    ) -> Self:
        """Return the names that are valid for an instrument; ``everything`` is as for `compile_pattern`."""
        return cls(
            instrument,
            {detector.number: detector for detector in detectors},
            _words(detectors, everything),
            _places(detectors),
        )

    def chosen_by(self, name: str) -> Phases:
        """Return the detectors that a name chooses.

        Raises
        ------
        InputError
            If the name is not valid for this instrument; the nearest that is, is named.
        """
        found = self.words.get(name) or self.places.get(name)
        if found is not None:
            return found
        if (numbers := _NUMBERS.fullmatch(name)) is not None:
            return _always(self._numbered(name, int(numbers[1]), int(numbers[2] or numbers[1])))
        if any(detector.name == name for detector in self.detectors.values()):
            fault = f"detector {name!r} is for neither science nor wavefront sensing"
            raise self._refusal(fault, _nearest(name, self.places))
        near = _nearest(name, [*self.words, *self.places])
        has = ", ".join(self.words)
        raise self._refusal(f"no pattern, vendor, raft or detector {name!r} (patterns are {has})", near)

    def _numbered(self, name: str, first: int, last: int) -> Iterable[int]:
        valid = [n for n, detector in self.detectors.items() if detector.purpose is not DetectorPurpose.OTHER]
        if last < first:
            raise self._refusal(f"{name!r} goes backwards", f"{last}..{first}")
        chosen = frozenset(valid)
        for number in range(first, last + 1):
            if number not in chosen:
                fault = f"no detector {number}"
                if (other := self.detectors.get(number)) is not None:
                    fault = f"detector {number} ({other.name}) is for neither science nor wavefront sensing"
                if first != last:
                    fault = f"{name!r}: {fault}"
                near = min(valid, key=lambda there: (abs(there - number), there), default=None)
                raise self._refusal(fault, None if near is None else str(near))
        return range(first, last + 1)

    def _refusal(self, fault: str, near: str | None) -> InputError:
        return InputError(f"{self.instrument}: {fault}" + (f"; did you mean {near!r}?" if near else "."))


def _words(detectors: Collection[PatternDetector], everything: frozenset[int] | None) -> dict[str, Phases]:
    """Return what patterns and vendors choose, where they choose something in both phases."""
    science = _of(detectors, DetectorPurpose.SCIENCE)
    words = {"all": _always(_numbers(science) if everything is None else everything)}
    for word, phase in sorted({chosen for detector in detectors for chosen in detector.patterns}):
        numbers = frozenset(detector.number for detector in detectors if (word, phase) in detector.patterns)
        before = words.get(word, (frozenset(), frozenset()))
        words[word] = (before[0], numbers) if phase else (numbers, before[1])
    words["wavefront"] = _always(_numbers(_of(detectors, DetectorPurpose.WAVEFRONT)))
    for vendor in sorted({detector.vendor for detector in science if detector.vendor}):
        words[vendor] = _always(_numbers(d for d in science if d.vendor == vendor))
    return {word: phases for word, phases in words.items() if all(phases)}


def _places(detectors: Iterable[PatternDetector]) -> dict[str, Phases]:
    """Return what rafts and detectors' names choose."""
    chosen = [detector for detector in detectors if detector.purpose is not DetectorPurpose.OTHER]
    rafts = sorted({detector.raft for detector in chosen} - {""})
    places = {raft: _always(_numbers(d for d in chosen if d.raft == raft)) for raft in rafts}
    return places | {detector.name: _always([detector.number]) for detector in chosen}


def _always(numbers: Iterable[int]) -> Phases:
    chosen = frozenset(numbers)
    return chosen, chosen


def _numbers(detectors: Iterable[PatternDetector]) -> Iterable[int]:
    return (detector.number for detector in detectors)


def _of(detectors: Iterable[PatternDetector], purpose: DetectorPurpose) -> list[PatternDetector]:
    return [detector for detector in detectors if detector.purpose is purpose]


def _nearest(name: str, valid: Iterable[str]) -> str | None:
    folded = {word.casefold(): word for word in valid}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.0)
    return folded[near[0]] if near else None
