"""One pass of gathers."""

from __future__ import annotations

__all__ = ("Pass",)

import dataclasses


@dataclasses.dataclass(slots=True)
class Pass:
    """All gathers of an exposure, or all steps of a day, once.

    Attributes
    ----------
    detectors
        Those that are gathered; none are named of a day.
    labels
        The steps.
    partial
        Whether others are still to come: it is shown at once, and the complete pass follows.
    revision
        How many complete passes there were before: what they made is replaced.  Of a day, how many passes.
    held
        Whether what is replaced is still there.
    final
        Whether it is not followed by another one: what it read is gone, or another payload made it.
    """

    detectors: frozenset[int]
    labels: frozenset[str]
    partial: bool = False
    revision: int = 0
    held: bool = False
    final: bool = False
