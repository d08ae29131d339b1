"""What an executor must offer to be steered."""

from __future__ import annotations

__all__ = ("Controllable", "NotNowError")

from typing import Protocol

from ._messages import Changes, LiveSettings
from ._status import ClusterReport, StatusReport


class NotNowError(RuntimeError):
    """What was asked cannot be done at this moment; the message says why, and what to do."""


class Controllable(Protocol):
    """An executor that runs.

    Notes
    -----
    Everything is called in the executor's event loop, and must not keep it for long.  ``by`` is the person
    who asks.  All of it may raise `NotNowError`, and `~lsst.ctrl.rapid.model.InputError` for what can never
    be done; then nothing was changed.
    """

    @property
    def settings(self) -> LiveSettings:
        """What can be changed, as it is now."""

    def status(self) -> StatusReport:
        """Return how far the run is, without what was changed by whom."""

    def cluster(self) -> ClusterReport:
        """Return what the workers do."""

    def change(self, changes: Changes, by: str) -> None:
        """Change what is processed, and what comes first."""

    def pause(self, by: str) -> None:
        """Dispatch nothing more; what runs goes on, and arrivals are taken in."""

    def resume(self, by: str) -> None:
        """Dispatch again."""

    def drain(self, by: str) -> None:
        """Take no more arrivals, finish what waits and runs, and end the run."""

    async def reload(self, by: str, *, code: bool) -> str:
        """Read calibrations and site file anew, with ``code`` the payloads, too; returns what was done."""

    async def catch_up(self, since: int | None, where: str, by: str) -> str:
        """Process registered raws that have no outcome; returns what was found."""
