"""Which detectors of an exposure are processed, asked once for each."""

from __future__ import annotations

__all__ = ("Choice", "WholeCamera")

from collections.abc import Mapping
from typing import Protocol

from ._decisions import Selected


class Choice(Protocol):
    """Patterns of detectors, compiled for the instruments and pipelines of a run."""

    def whole(self, instrument: str, pipeline: str) -> Selected:
        """Return all detectors that a run processes of an instrument."""

    def usual(self, instrument: str, pipeline: str, exposure: int) -> Selected:
        """Return the detectors of an exposure while the workers keep up."""

    def reduced(self, instrument: str, pipeline: str, exposure: int) -> Selected:
        """Return the detectors of an exposure while they do not."""


class WholeCamera:
    """All detectors of every exposure.

    Parameters
    ----------
    expected
        Detectors by instrument.
    """

    def __init__(self, expected: Mapping[str, frozenset[int]]) -> None:
        self._expected = expected

    def whole(self, instrument: str, pipeline: str) -> Selected:  # noqa: ARG002 -- see `Choice`
        """Return all detectors."""
        return Selected(self._expected[instrument])

    def usual(self, instrument: str, pipeline: str, exposure: int) -> Selected:  # noqa: ARG002
        """Return all detectors."""
        return self.whole(instrument, pipeline)

    def reduced(self, instrument: str, pipeline: str, exposure: int) -> Selected:  # noqa: ARG002
        """Return all detectors."""
        return self.whole(instrument, pipeline)
