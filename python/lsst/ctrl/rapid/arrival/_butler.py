"""A watched repository: a raw that somebody else has registered is an arrival."""

from __future__ import annotations

__all__ = ("ButlerWatch",)

import logging
import threading
import time
from collections.abc import Callable, Sequence

from lsst.daf.butler import Butler

from ..plan import is_away
from ._lookout import FoundRaws, Lookout

_LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_BUDGET_SECONDS = 0.05
_AWAY_SECONDS = 5.0
_JOIN_SECONDS = 30.0


class ButlerWatch:
    """Tells of every raw that a repository has and of every one that is registered later, once.

    Parameters
    ----------
    open_butler
        Opens the repository for reading; called in the thread of the watch.
    lookouts
        What is looked for, one for each instrument.
    on_found
        Called in the thread of the watch with its butler and the raws of one exposure; until it returns they
        count as not told.
    on_unreadable
        Called likewise, with a reason, when ``on_found`` raised for another cause than a registry that is
        away; these raws are not told again.
    has_room
        Tells whether raws of the past may be told now; those of exposures that are just coming always are.
    interval
        Seconds from the end of a look to the next.

    Notes
    -----
    A raw of an exposure that was heard of in the last minute is told within about a second of its becoming
    visible; any other of the current or the previous observing day within one pass over the exposures of
    these days (at least 16 of them a second); any other of the repository within one pass over all of its
    exposures (at least 4 a second), if it was ingested since the beginning of the first day that is wanted.
    None is told twice.

    While the registry is away nothing is lost: it is tried again every few seconds, with one warning, and
    the looks go on where they were.
    """

    def __init__(
        self,
        open_butler: Callable[[], Butler],
        lookouts: Sequence[Lookout],
        on_found: Callable[[Butler, FoundRaws], None],
        on_unreadable: Callable[[FoundRaws, str], None],
        *,
        has_room: Callable[[], bool] = lambda: True,
        interval: float = _LOOK_SECONDS,
    ) -> None:
        self._open = open_butler
        self._lookouts = list(lookouts)
        self._on_found = on_found
        self._on_unreadable = on_unreadable
        self._has_room = has_room
        self._interval = interval
        self._butler: Butler | None = None
        self._away = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._main, name="butler watch", daemon=True)

    @property
    def caught_up(self) -> bool:
        """Whether all exposures since the first day that is wanted were looked at once."""
        return all(lookout.caught_up for lookout in self._lookouts)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; nothing is told after this returns, unless the registry does not answer for a long time."""
        self._stopping.set()
        self._thread.join(_JOIN_SECONDS)

    def _main(self) -> None:
        try:
            wait = 0.0
            while not self._stopping.wait(wait):
                if not self._try_to_look():
                    wait = _AWAY_SECONDS
                else:
                    # What is there at the start is looked through without a pause.
                    wait = self._interval if self.caught_up or not self._has_room() else 0.0
        finally:
            if self._butler is not None:
                self._butler.close()

    def _try_to_look(self) -> bool:
        """Look once; tells whether the registry could be asked."""
        try:
            self._look()
        except Exception as err:  # noqa: BLE001 -- the watch must outlive whatever one look meets
            if not self._away:
                _LOG.warning(
                    "The registry cannot be asked for new raws (%s); it is tried again every %g s.",
                    " ".join(str(getattr(err, "orig", err)).split()),
                    _AWAY_SECONDS,
                    exc_info=not is_away(err),
                )
            self._away = True
            return False
        if self._away:
            _LOG.info("The registry can be asked for new raws again.")
        self._away = False
        return True

    def _look(self) -> None:
        if self._butler is None:
            self._butler = self._open()
        for lookout in self._lookouts:
            budget = _BUDGET_SECONDS if self._has_room() else 0.0
            for found in lookout.look(self._butler, time.time(), budget):
                if self._stopping.is_set():
                    return
                self._tell(self._butler, found)
                lookout.told(found)

    def _tell(self, butler: Butler, found: FoundRaws) -> None:
        try:
            self._on_found(butler, found)
        except Exception as err:
            if is_away(err):
                raise
            # One exposure's fault must not keep the others waiting.
            _LOG.debug("%s could not be read.", found, exc_info=True)
            self._on_unreadable(found, f"{type(err).__name__}: {err}")
