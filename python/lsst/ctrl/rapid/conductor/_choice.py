"""Which detectors of an exposure are processed, asked once for each."""

from __future__ import annotations

__all__ = ("Choice", "PatternChoice", "WholeCamera")

from collections.abc import Mapping
from typing import Protocol

from ..model import PatternSpec
from ._decisions import Selected
from ._instrument_patterns import InstrumentPatterns

_LIMITED = "its detector is not among those selected"


class Choice(Protocol):
    """Patterns of detectors, compiled for the instruments and pipelines of a run."""

    def whole(self, instrument: str, pipeline: str, exposure: int) -> Selected:
        """Return all detectors that a run processes of an exposure."""

    def usual(self, instrument: str, pipeline: str, exposure: int) -> Selected:
        """Return the detectors of an exposure while the workers keep up."""

    def reduced(self, instrument: str, pipeline: str, exposure: int) -> Selected:
        """Return the detectors of an exposure while they do not."""


class PatternChoice:
    """Chooses by the patterns of a policy.

    Parameters
    ----------
    patterns
        Of each instrument.

    Notes
    -----
    What alternates does so with the number of the exposure, not with a count of those that have come: the
    same exposure has the same detectors after a restart.
    """

    def __init__(self, patterns: Mapping[str, InstrumentPatterns]) -> None:
        self._patterns = patterns

    def whole(self, instrument: str, pipeline: str, exposure: int) -> Selected:  # noqa: ARG002 -- see `Choice`
        """Return all detectors."""
        patterns = self._patterns[instrument]
        return _selected(patterns, patterns.whole, exposure, _LIMITED)

    def usual(self, instrument: str, pipeline: str, exposure: int) -> Selected:
        """Return the detectors of the pipeline's pattern."""
        patterns = self._patterns[instrument]
        spec = patterns.of_pipelines.get(pipeline, patterns.usual).spec
        reason = _LIMITED if spec == PatternSpec() else f"its detector is not in the pattern {spec}"
        return _selected(patterns, patterns.detectors(pipeline, exposure), exposure, reason)

    def reduced(self, instrument: str, pipeline: str, exposure: int) -> Selected:
        """Return the detectors of the pattern of down-selection."""
        patterns = self._patterns[instrument].down_selected
        if pipeline in patterns.of_pipelines:
            return self.usual(instrument, pipeline, exposure)
        reason = (
            f"more waits than can be processed, and its detector is not in the pattern {patterns.usual.spec}"
        )
        detectors = patterns.detectors(pipeline, exposure)
        return _selected(patterns, detectors, exposure, reason, reduced=True)


class WholeCamera:
    """All detectors of every exposure.

    Parameters
    ----------
    expected
        Detectors by instrument.
    """

    def __init__(self, expected: Mapping[str, frozenset[int]]) -> None:
        self._expected = expected

    def whole(self, instrument: str, pipeline: str, exposure: int) -> Selected:  # noqa: ARG002 -- see `Choice`
        """Return all detectors."""
        return Selected(self._expected[instrument])

    usual = reduced = whole


def _selected(
    patterns: InstrumentPatterns,
    detectors: frozenset[int],
    exposure: int,
    reason: str,
    *,
    reduced: bool = False,
) -> Selected:
    only = {step: patterns.limit_step(step, detectors, exposure) for step in patterns.of_steps}
    return Selected(detectors, only, reason, reduced)
