"""How long to wait before something that failed is tried again."""

from __future__ import annotations

__all__ = ("Pauses",)


class Pauses:
    """Pauses between attempts: none after a success, then 1 s, 2 s, 4 s and so on.

    Parameters
    ----------
    longest
        The longest pause, seconds.

    Attributes
    ----------
    failures
        Attempts since the last success.
    """

    def __init__(self, longest: float = 60.0) -> None:
        self._longest = longest
        self.failures = 0

    def next(self) -> float:
        """Count an attempt; returns how many seconds to wait before it."""
        pause = 0.0 if self.failures == 0 else min(self._longest, 2.0 ** min(self.failures - 1, 30))
        self.failures += 1
        return pause

    def succeeded(self) -> None:
        """Begin anew."""
        self.failures = 0
