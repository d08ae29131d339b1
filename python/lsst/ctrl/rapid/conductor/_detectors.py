"""Detectors as patterns see them."""

from __future__ import annotations

__all__ = ("DetectorPurpose", "PatternDetector", "pairs")

import dataclasses
import enum
import re
from collections.abc import Iterable, Mapping

_RAFT = re.compile(r"(R\w\w)_\w+")
_PLACE = re.compile(r"R(\d)(\d)_S([012])([012])", re.ASCII)
_HALF = re.compile(r"R\w\w_SW([01])")


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
    """

    number: int
    name: str
    vendor: str = ""
    purpose: DetectorPurpose = DetectorPurpose.SCIENCE

    @property
    def raft(self) -> str:
        """Name of the raft, like ``R22``; empty where detectors are named otherwise."""
        found = _RAFT.fullmatch(self.name)
        return "" if found is None else found[1]

    @property
    def place(self) -> tuple[int, int] | None:
        """Column and row on the whole plane, in detectors; `None` where the name does not tell."""
        if (found := _PLACE.fullmatch(self.name)) is None:
            return None
        raft_x, raft_y, x, y = map(int, found.groups())
        return 3 * raft_x + x, 3 * raft_y + y

    @property
    def half(self) -> tuple[str, int] | None:
        """Name of the pair, which is that of the raft, and 0 for the extra-focal half, 1 for the other.

        `None` for what is not half of a wavefront sensor.
        """
        found = _HALF.fullmatch(self.name)
        if self.purpose is not DetectorPurpose.WAVEFRONT or found is None:
            return None
        return self.raft, int(found[1])


def pairs(detectors: Iterable[PatternDetector]) -> Mapping[int, int]:
    """Return the other half of each half of a wavefront sensor; of a pair, the extra-focal comes first."""
    halves = {detector.half: detector.number for detector in detectors if detector.half is not None}
    found: dict[int, int] = {}
    for name in sorted({name for name, _ in halves}):
        extra, intra = halves.get((name, 0)), halves.get((name, 1))
        if extra is not None and intra is not None:
            found |= {extra: intra, intra: extra}
    return found
