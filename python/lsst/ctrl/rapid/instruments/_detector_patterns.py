"""Named selections of detectors, from a data file for each focal plane."""

from __future__ import annotations

__all__ = ("DetectorPatterns", "detector_patterns")

import dataclasses
import functools
import importlib.resources
from collections.abc import Mapping, Sequence

import yaml


@dataclasses.dataclass(frozen=True)
class DetectorPatterns:
    """Named selections of the detectors of an instrument.

    Attributes
    ----------
    patterns
        By the name of a pattern, its phases, one or two, each with names of rafts and detectors, numbers and
        ranges of numbers like ``90..98``.
    pairs
        Names of detectors that are processed together.
    """

    patterns: Mapping[str, Sequence[Sequence[str]]]
    pairs: Sequence[tuple[str, str]]


@functools.cache
def detector_patterns(instrument: str) -> DetectorPatterns:
    """Return the patterns of an instrument; none for one that has no data file."""
    for file in importlib.resources.files(__package__).joinpath("patterns").iterdir():
        data = yaml.safe_load(file.read_text()) if file.name.endswith(".yaml") else {}
        if instrument in data.get("instruments", ()):
            return DetectorPatterns(
                {
                    str(name): tuple(tuple(map(str, phase)) for phase in phases)
                    for name, phases in data["patterns"].items()
                },
                tuple((first, second) for first, second in data.get("pairs", ())),
            )
    return DetectorPatterns({}, ())
