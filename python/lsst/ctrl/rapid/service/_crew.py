"""Which workers are warm."""

from __future__ import annotations

__all__ = ("Crew",)

import asyncio
import logging

_LOG = logging.getLogger(__name__)


class Crew:
    """Keeps which workers are warm, and which could not be warmed.

    Parameters
    ----------
    size
        How many workers there are to be.

    Attributes
    ----------
    settled
        Set when every worker was warmed, or could not be.
    """

    def __init__(self, size: int) -> None:
        self.settled = asyncio.Event()
        self._size = size
        self._warm: set[str] = set()
        self._unfit: set[str] = set()
        self._worked = False

    @property
    def warm(self) -> int:
        """Number of workers that can take a shard, or have one."""
        return len(self._warm)

    @property
    def is_gone(self) -> bool:
        """Whether there were workers, and none is left."""
        return self._worked and not self._warm

    def ready(self, name: str) -> None:
        """A worker is warm."""
        if self.is_gone:
            _LOG.warning("There is a worker again: what has waited is processed.")
        self._worked = True
        self._warm.add(name)
        self._unfit.discard(name)
        self._settle()

    def lost(self, name: str) -> None:
        """A worker is gone."""
        self._warm.discard(name)
        if self.is_gone:
            _LOG.warning("No worker is left: what arrives waits until one is warm again.")

    def failed(self, name: str, reason: str) -> str:
        """A worker could not be warmed; it is tried again.

        Returns
        -------
        hopeless
            Why no work can be done at all, if no worker could ever be warmed; else empty.
        """
        _LOG.error("Worker %s could not be warmed: %s", name, reason)
        self._unfit.add(name)
        self._settle()
        if self._worked or len(self._unfit) < self._size:
            return ""
        return f"No worker could be warmed; the last one said: {reason}"

    def _settle(self) -> None:
        if len(self._warm) + len(self._unfit) >= self._size:
            self.settled.set()
