"""Watched directories: a file that is whole is an arrival."""

from __future__ import annotations

__all__ = ("RAW_SUFFIXES", "DirectoryWatch")

import fcntl
import logging
import os
import signal
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

from .._phases import Phase, reached
from ..model import Arrival, FileVersion, InputError
from ._folder import WatchedFolder
from ._settling import Settling

_LOG = logging.getLogger(__name__)

RAW_SUFFIXES = (".fits", ".fits.fz", ".fits.gz", ".fz")
"""Names of raws end so; others are left aside."""

_EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileClosedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]
"""What the operating system is asked to tell: not each write and reader, which could overflow its queue."""

_POLLING_SECONDS = 1.0

_MISSED_SECONDS = 60.0
"""From one look for files of which the system did not tell to the next, at least."""
_MISSED_SHARE = 0.01
"""Most of the time that such looks may take."""
_MISSED_REACH = 3600.0
"""How long before the last look a file may have come, by the clock of its file system."""
_OVERDUE_SECONDS = 10.0
"""A file that came so long ago would have been told of."""
_PATHS_KEPT = 100_000


class DirectoryWatch:
    """Tells of every raw file below some directories, once it is whole.

    Parameters
    ----------
    folders
        Directories, watched with all that is below them.
    on_arrival
        Called in a thread of the watch.
    polling
        Look at the directories every second instead of being told by the operating system, where that does
        not work (NFS).

    Notes
    -----
    A file is an arrival when its writer has closed it or it was renamed into place; with polling, when
    its size and time have not changed from one look to the next.  Dot-files and other suffixes are left
    aside.  What is there at the start is told first, oldest first.  A file may be told more than once (it was
    there at the start and was written anew, or renamed within the directories); each path that holds a raw is
    told at least once.  So is what has the name of a raw and is something else than a folder, never opened
    here, and what was gone before it could be looked at: whoever reads it says what is wrong with it.  When
    more happens than the system can tell, all is looked at again; so it is when a directory was replaced, by
    one of the same path or by what is mounted there, which is then watched in its place.  Files of which the
    system does not tell at all, since another machine wrote them or there are too many directories, are found
    by a look each minute, in large directories less often.
    """

    def __init__(
        self, folders: Sequence[Path], on_arrival: Callable[[Arrival], None], *, polling: bool = False
    ) -> None:
        self._folders = [folder.absolute() for folder in folders]
        self._on_arrival = on_arrival
        self._polling = polling
        self._observer: BaseObserver = PollingObserver(timeout=_POLLING_SECONDS) if polling else Observer()
        handler = _Handler(wanted=self._is_wanted, whole=self._tell, unsure=self._look_at, polling=polling)
        self._again = threading.Event()
        self._watched = [
            WatchedFolder(
                folder, self._observer, handler, None if polling else _EVENTS, overflowed=self._again.set
            )
            for folder in self._folders
        ]
        self._settling = Settling(self._tell, self._look_after_folders)
        self._told: OrderedDict[Path, FileVersion | None] = OrderedDict()
        self._lock = threading.Lock()
        self._missed_from = time.time()
        self._missed_next = time.monotonic() + _MISSED_SECONDS

    def check(self) -> None:
        """Check that the directories can be watched.

        Raises
        ------
        InputError
            If a directory is not there or cannot be read.
        """
        for watched in self._watched:
            watched.check()

    @property
    def troubles(self) -> list[str]:
        """Why nothing that comes into some of the directories can be seen, a line each."""
        return [watched.trouble for watched in self._watched if watched.trouble]

    def start(self) -> None:
        """Begin to watch, then tell what is there already.

        Raises
        ------
        InputError
            If a directory is not there or cannot be read or watched.
        """
        self.check()
        self._observer.start()
        for folder, watched in zip(self._folders, self._watched, strict=True):
            try:
                watched.watch()
            except OSError as err:
                raise InputError(f"{folder}: the folder cannot be watched: {err.strerror}.") from err
        self._settling.start()
        for path in self._present():
            self._look_at(path)

    def rescan(self) -> None:
        """Look at everything that is there again, and tell what was not told yet before this returns."""
        for path in self._present():
            self._look_at(path)

    def _look_after_folders(self) -> None:
        """Watch what has replaced a directory, and look through everything where something may be lost."""
        anew = [watched.look() for watched in self._watched]
        if any(anew) or self._again.is_set():
            self._again.clear()
            self.rescan()
        elif not self._polling and time.monotonic() >= self._missed_next:
            self._look_for_missed()

    def _look_for_missed(self) -> None:
        """Tell files that came since the last such look and of which the system has not told."""
        begun, since = time.monotonic(), self._missed_from
        self._missed_from = time.time()
        missed = [path for path in self._present(since - _MISSED_REACH) if self._is_overdue(path)]
        for path in missed:
            self._look_at(path)
        took = time.monotonic() - begun
        self._missed_next = time.monotonic() + max(_MISSED_SECONDS, took / _MISSED_SHARE)
        if missed:
            _LOG.warning(
                "%d file(s) have come of which the system does not tell, %s among them; they were found by "
                "looking, which is done once a minute. Where other machines write, as through NFS, use "
                "--polling; else raise fs.inotify.max_user_watches.",
                len(missed),
                missed[0],
            )

    def _is_overdue(self, path: Path) -> bool:
        """Tell whether a file that has not been told came so long ago that it should have been."""
        status = _look_up(path)
        if status is None or time.time() - status.st_ctime < _OVERDUE_SECONDS:
            return False
        with self._lock:
            if self._told.get(path) == FileVersion.of(status):
                return False
        return _is_being_written(path) is not True

    def stop(self) -> None:
        """Stop; nothing is told after this returns."""
        self._settling.stop()
        self._observer.stop()
        self._observer.join()

    def _present(self, since: float = 0.0) -> list[Path]:
        """Return what has the name of a raw, oldest first; of that only what has changed since a time."""
        found: list[tuple[float, Path]] = []
        for folder in self._folders:
            for root, directories, names in os.walk(folder):
                directories[:] = [name for name in directories if not name.startswith(".")]
                links = [name for name in directories if Path(root, name).is_symlink()]
                found.extend(
                    (status.st_mtime, path)
                    for path in (Path(root, name) for name in (*names, *links))
                    if is_raw_name(path)
                    and (status := _look_up(path)) is not None
                    and status.st_ctime >= since
                )
        return [path for _, path in sorted(found)]

    def _is_wanted(self, path: Path) -> bool:
        """Tell whether a path is that of a raw, in no hidden folder below a watched one."""
        return is_raw_name(path) and any(
            not any(part.startswith(".") for part in path.relative_to(folder).parts)
            for folder in self._folders
            if path.is_relative_to(folder)
        )

    def _look_at(self, path: Path) -> None:
        """Tell a file that nobody announced as whole, at once if no process has it open for writing."""
        status = _look_up(path)
        if status is None or not stat.S_ISREG(status.st_mode):
            self._tell(path)
            return
        match None if self._polling else _is_being_written(path):
            case False:
                self._tell(path)
            case None:
                self._settling.look_at(path)
            case True:
                _LOG.debug("%s is being written; it will be told when it is closed.", path)

    def _tell(self, path: Path) -> None:
        status = _look_up(path)
        if status is not None and stat.S_ISDIR(status.st_mode) and not path.is_symlink():
            return  # what is in it is told
        version = None if status is None else FileVersion.of(status)
        with self._lock:
            # One that was told and is gone since was moved by whoever took it.
            if path in self._told and version in {None, self._told[path]}:
                return
            self._told[path] = version
            while len(self._told) > _PATHS_KEPT:
                self._told.popitem(last=False)
        now = time.time()
        # A writer's clock may be ahead of ours, but what is seen is closed.
        closed = now if status is None else min(status.st_mtime, now)
        reached(Phase.ARRIVAL_SEEN)
        self._on_arrival(Arrival(path, file_closed=closed, seen=now, version=version))


def is_raw_name(path: Path) -> bool:
    """Tell whether a file's name is that of a raw: a known suffix, no dot in front."""
    return not path.name.startswith(".") and path.name.lower().endswith(RAW_SUFFIXES)


def _look_up(path: Path) -> os.stat_result | None:
    """Return what is at a path; of a link that leads nowhere, what itself is; `None` where nothing is."""
    for look in (path.stat, path.lstat):
        try:
            return look()
        except OSError:
            continue
    return None


def _is_being_written(path: Path) -> bool | None:
    """Tell whether a process has a file open for writing; `None` where the system cannot tell.

    A read lease is granted only on a file that nobody has open for writing (``fcntl(2)``).
    """
    # A writer that opens the file while we hold the lease makes the kernel signal us: SIGIO, the default,
    # would end the process; SIGURG is ignored unless somebody asks for it.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


class _Handler(FileSystemEventHandler):
    """Turns the system's events into paths: of files that are whole, and of those that may not be."""

    def __init__(
        self,
        wanted: Callable[[Path], bool],
        whole: Callable[[Path], None],
        unsure: Callable[[Path], None],
        *,
        polling: bool,
    ) -> None:
        self._wanted = wanted
        self._whole = whole
        self._unsure = unsure
        self._polling = polling

    def on_any_event(self, event: FileSystemEvent) -> None:
        path = Path(os.fsdecode(event.dest_path or event.src_path))
        if event.is_directory:
            if event.event_type in {"created", "moved"}:
                self._look_into(path)
        elif self._wanted(path):
            if event.event_type in {"moved", "closed"} and not self._polling:
                self._whole(path)
            elif event.event_type == "created" or (
                event.event_type in {"moved", "modified"} and self._polling
            ):
                # A link is whole when it is made; a file that its writer has just made is told at its close.
                self._unsure(path)

    def _look_into(self, folder: Path) -> None:
        """Look at the files of a folder that was renamed into place, or filled before it was watched."""
        for root, _, names in os.walk(folder):
            for name in sorted(names):
                path = Path(root, name)
                if self._wanted(path):
                    self._unsure(path)
