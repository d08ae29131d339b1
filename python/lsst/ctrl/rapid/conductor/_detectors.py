"""Detectors as patterns see them."""

from __future__ import annotations

__all__ = ("DetectorPurpose", "PatternDetector", "pairs")

import dataclasses
import enum
from collections.abc import Iterable, Mapping


class DetectorPurpose(enum.StrEnum):
    """What a detector is for."""

    SCIENCE = "science"
    WAVEFRONT = "wavefront"
    OTHER = "other"
    """Guiders, and whatever else no pattern chooses."""


@dataclasses.dataclass(frozen=True)
class PatternDetector:
    """A detector as patterns see it.

    Attributes
    ----------
    number
        Its ``detector`` in data IDs.
    name
        Its full name, like ``R22_S11``.
    vendor
        Who made it, like ``E2V``; empty where that is not known.
    purpose
        What it is for.
    raft
        Name of its raft, like ``R22``; empty where there are no rafts.
    patterns
        The named patterns that choose it, each with the phase, 0 or 1.
    partner
        Number of the detector that is processed together with it, if there is one.
    """

    number: int
    name: str
    vendor: str = ""
    purpose: DetectorPurpose = DetectorPurpose.SCIENCE
    raft: str = ""
    patterns: frozenset[tuple[str, int]] = frozenset()
    partner: int | None = None


def pairs(detectors: Iterable[PatternDetector]) -> Mapping[int, int]:
    """Return the other half of each half of a pair."""
    return {detector.number: detector.partner for detector in detectors if detector.partner is not None}
