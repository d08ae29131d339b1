"""What is on its way to the registry."""

from __future__ import annotations

__all__ = ("Outbox",)

from ..commit import Committer, Item, RawItem, RegistryState


class Outbox:
    """Hands items to the committer and counts those that it has not dealt with.

    Parameters
    ----------
    committer
        The one writer.
    """

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._deferred: dict[tuple[str, int], list[RawItem]] = {}
        self._submitted = False
        self.pending = 0

    @property
    def registry(self) -> RegistryState:
        """How the registry is."""
        return self._committer.state

    def submit(self, item: Item) -> None:
        """Hand an item over."""
        self._submitted = True
        self.pending += 1
        self._committer.submit(item)

    def flush(self) -> None:
        """Have what was handed over registered now: nothing is about to follow."""
        if self._submitted:
            self._submitted = False
            self._committer.flush()

    def dealt_with(self) -> None:
        """The committer has told of an item."""
        self.pending -= 1

    def defer(self, instrument: str, exposure: int, item: RawItem) -> None:
        """Keep a raw that is to be moved until nothing reads it where it is."""
        self._deferred.setdefault((instrument, exposure), []).append(item)

    def release(self, instrument: str, exposure: int) -> None:
        """Hand over what was kept of an exposure."""
        for item in self._deferred.pop((instrument, exposure), ()):
            self.submit(item)
