"""The detectors of instruments as patterns see them."""

from __future__ import annotations

__all__ = ("camera_detectors", "pattern_detectors")

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from ..conductor import DetectorPurpose, PatternDetector
from ..instruments import Purpose, camera_names, detector_patterns, load_camera
from ..model import InputError
from ..plan import RecordStore

_PURPOSES = {
    None: DetectorPurpose.SCIENCE,
    "SCIENCE": DetectorPurpose.SCIENCE,
    "WAVEFRONT": DetectorPurpose.WAVEFRONT,
}
"""By the purpose in a detector's record; an instrument that gives none has science detectors only."""

_NUMBERS = re.compile(r"(\d{1,9})(?:\.\.(\d{1,9}))?", re.ASCII)

type _Patterns = Mapping[str, Sequence[Sequence[str]]]


def pattern_detectors(
    records: RecordStore,
    instruments: Iterable[str],
    more_patterns: Mapping[str, _Patterns] | None = None,
) -> Mapping[str, tuple[PatternDetector, ...]]:
    """Return the detectors of each instrument, from their dimension records.

    Vendors are known of the cameras that have a detector table, for detectors that have the same name there;
    named patterns of the instruments that have a data file.

    Parameters
    ----------
    records
        Records of the instruments and detectors.
    instruments
        Names of the instruments.
    more_patterns
        Further patterns, by instrument and name.

    Raises
    ------
    InputError
        If a further pattern has a detector that the instrument has not.
    """
    found: dict[str, list[PatternDetector]] = {name: [] for name in instruments}
    tables = {name: {d.name: d for d in _from_table(name)} for name in found if name in camera_names()}
    for record in records.static():
        if record.definition.name == "detector" and record.instrument in found:
            table = tables.get(record.instrument, {}).get(record.full_name)
            found[record.instrument].append(
                PatternDetector(
                    int(record.id),
                    record.full_name,
                    "" if table is None else table.vendor,
                    _PURPOSES.get(record.purpose, DetectorPurpose.OTHER),
                    (record.raft or "") if table is None else table.raft,
                )
            )
    return {
        name: _with_patterns(name, detectors, (more_patterns or {}).get(name, {}))
        for name, detectors in found.items()
    }


def camera_detectors(instrument: str) -> tuple[PatternDetector, ...]:
    """Return the detectors of an instrument from its detector table: what its records will say.

    Raises
    ------
    LookupError
        If there is no table for it.
    """
    return _with_patterns(instrument, _from_table(instrument), {})


def _from_table(instrument: str) -> list[PatternDetector]:
    return [
        PatternDetector(
            detector.id,
            detector.name,
            str(detector.vendor) if detector.purpose is Purpose.SCIENCE else "",
            _PURPOSES.get(str(detector.purpose), DetectorPurpose.OTHER),
            detector.raft,
        )
        for detector in load_camera(instrument).values()
    ]


def _with_patterns(
    instrument: str, detectors: Collection[PatternDetector], more: _Patterns
) -> tuple[PatternDetector, ...]:
    """Return detectors, in the order of their numbers, with the patterns that choose them."""
    known = detector_patterns(instrument)
    chosen: set[tuple[int, str, int]] = set()
    for name, phases in {**known.patterns, **more}.items():
        found = [[_numbers(one, detectors) for one in phase] for phase in phases]
        missing = [
            one
            for phase, of in zip(phases, found, strict=True)
            for one, n in zip(phase, of, strict=True)
            if not n
        ]
        if missing and name in more:
            raise InputError(
                f"detector_patterns: {instrument}: pattern {name!r} has {missing[0]!r}, which is no raft, "
                "detector or range of numbers of it."
            )
        if not missing:
            # A pattern of one phase is the same in both.
            chosen |= {
                (number, name, which)
                for which in (0, 1)
                for numbers in found[which % len(found)]
                for number in numbers
            }
    numbers = {detector.name: detector.number for detector in detectors}
    partners = {
        numbers[one]: numbers[other]
        for first, second in known.pairs
        for one, other in ((first, second), (second, first))
        if numbers.keys() >= {first, second}
    }
    return tuple(
        dataclasses.replace(
            detector,
            patterns=frozenset((name, phase) for number, name, phase in chosen if number == detector.number),
            partner=partners.get(detector.number),
        )
        for detector in sorted(detectors, key=lambda d: d.number)
    )


def _numbers(name: str, detectors: Iterable[PatternDetector]) -> frozenset[int]:
    """Return the detectors that a raft, a name, a number or a range means; none if one is not there."""
    if match := _NUMBERS.fullmatch(name):
        wanted = frozenset(range(int(match[1]), int(match[2] or match[1]) + 1))
        return wanted if wanted <= {detector.number for detector in detectors} else frozenset()
    return frozenset(
        detector.number
        for detector in detectors
        if detector.name == name or (detector.raft == name and detector.purpose is DetectorPurpose.SCIENCE)
    )
