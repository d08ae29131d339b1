"""A watched folder that may go away and come again: removed and made anew, renamed, mounted over."""

from __future__ import annotations

__all__ = ("WatchedFolder",)

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import BaseObserver, EventEmitter, ObservedWatch

from ..model import InputError

_LOG = logging.getLogger(__name__)


class WatchedFolder:
    """A folder of which a running observer tells, with all that is below it.

    Parameters
    ----------
    folder
        The folder.
    observer
        Tells of it.
    handler
        Is told.
    events
        What the system is asked to tell; `None` for everything.
    overflowed
        Called when the system could not tell all that happened, so that some of it is lost.

    Attributes
    ----------
    trouble
        Why nothing that comes into the folder can be seen; empty if it can.

    Notes
    -----
    The system tells of a directory, not of a path: who removes a folder and makes it anew, or mounts
    something there, has another directory, of which nothing is told.  So somebody has to `look` now and then.
    """

    def __init__(
        self,
        folder: Path,
        observer: BaseObserver,
        handler: FileSystemEventHandler,
        events: list[type[FileSystemEvent]] | None,
        overflowed: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._observer = observer
        self._handler = handler
        self._events = events
        self._overflowed = overflowed
        self._watch: ObservedWatch | None = None
        self._identity: tuple[int, int] | None = None
        self.trouble = ""

    def check(self) -> None:
        """Check that the folder can be watched.

        Raises
        ------
        InputError
            If it is not there or cannot be read.
        """
        if not self._folder.is_dir():
            raise InputError(
                f"{self._folder}: there is no such folder to watch; make it, or name another one."
            )
        if not os.access(self._folder, os.R_OK | os.X_OK):
            raise InputError(f"{self._folder}: the folder cannot be read.")

    def watch(self) -> None:
        """Have the observer tell of the folder that is there now.

        Raises
        ------
        OSError
            If it cannot be watched.
        """
        self._forget()
        # Looked up first: if it is replaced in between, the next look finds that.
        status = self._folder.stat()
        self._watch = self._observer.schedule(
            self._handler, str(self._folder), recursive=True, event_filter=self._events
        )
        self._identity = (status.st_dev, status.st_ino)
        if (emitter := self._emitter()) is not None:
            _on_overflow(emitter, self._overflowed)

    def look(self) -> bool:
        """See whether the folder is still the one that is watched, and watch the one that is there.

        Returns
        -------
        anew
            Whether it is watched anew, so that all that is in it must be looked at.
        """
        try:
            status = self._folder.stat()
            emitter = self._emitter()
            same = self._identity == (status.st_dev, status.st_ino)
            if same and emitter is not None and emitter.is_alive():
                return False
            self.check()
            self.watch()
        except (OSError, InputError) as err:
            if not self.trouble:
                reason = err.strerror if isinstance(err, OSError) else str(err)
                self.trouble = (
                    f"{self._folder} cannot be watched ({reason}): nothing that comes there is seen."
                )
                _LOG.error("%s It is taken up when it is back.", self.trouble)
            self._forget()
            return False
        _LOG.warning("%s was replaced by another folder, which is watched now.", self._folder)
        self.trouble = ""
        return True

    def _emitter(self) -> EventEmitter | None:
        return next((one for one in self._observer.emitters if one.watch is self._watch), None)

    def _forget(self) -> None:
        watch, self._watch, self._identity = self._watch, None, None
        if watch is not None:
            with contextlib.suppress(KeyError):
                self._observer.unschedule(watch)


def _on_overflow(emitter: EventEmitter, overflowed: Callable[[], None]) -> None:
    """Have something called when the system could not tell all that happened."""
    # The library takes care of its own state then, and tells nobody.
    group = getattr(emitter, "_inotify", None)
    if group is None:
        return
    own: Callable[[], None] = group.on_queue_overflow

    def both() -> None:
        _LOG.warning("More files came at once than the system could tell; the folders are looked through.")
        own()
        overflowed()

    group.on_queue_overflow = both
