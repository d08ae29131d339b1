"""A folder to which refused files are moved, each with the reason beside it."""

from __future__ import annotations

__all__ = ("Quarantine",)

import contextlib
import errno
import itertools
import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from ..model import FileVersion, InputError, RefusedFile, path_text, printable

_LOG = logging.getLogger(__name__)

_CLOSE_SECONDS = 10.0
"""How long the end of a run waits for files to be moved."""

_NAME_BYTES = 200
"""Of a name that are kept, so that there is room for what is put behind it."""


class Quarantine:
    """Moves refused files out of the watched folders.

    Parameters
    ----------
    folder
        Where to; made when the first file is moved.
    is_registered
        Tells, in a thread of this class, whether a repository has a file in its place.

    Notes
    -----
    Beside each file ``NAME`` lies ``NAME.reason``: its line of the ledger.  Nothing is ever overwritten.  A
    file stays where it is if the repository has it, if it was replaced since it was refused, or if it cannot
    be moved; a symbolic link is moved, not what it leads to.
    """

    def __init__(self, folder: Path, is_registered: Callable[[Path], bool]) -> None:
        self._folder = folder.absolute()
        self._is_registered = is_registered
        self._thread = ThreadPoolExecutor(1, "quarantine")
        self._moves: set[Future[None]] = set()

    @staticmethod
    def check(folder: Path, watched: Sequence[Path]) -> None:
        """Check a folder that is to be a quarantine.

        Raises
        ------
        InputError
            If it is watched itself, or nothing can be written there.
        """
        place = Path(os.path.realpath(folder))
        for other in watched:
            root = Path(os.path.realpath(other))
            if place.is_relative_to(root):
                raise InputError(f"quarantine: {folder} is in the watched folder {other}; name one outside.")
        there = next(parent for parent in (place, *place.parents) if parent.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise InputError(f"quarantine: {folder}: nothing can be written there.")

    def take(self, path: Path, version: FileVersion | None, refused: RefusedFile) -> None:
        """Have a refused file moved; returns at once.

        Parameters
        ----------
        path
            The file.
        version
            What was refused; `None` if nothing was there.
        refused
            Its line of the ledger.
        """
        if version is not None:
            move = self._thread.submit(self._take, path, version, refused)
            self._moves.add(move)
            move.add_done_callback(self._moves.discard)

    def close(self) -> None:
        """Move what is still to be moved, as far as there is time, and end."""
        left = wait(list(self._moves), _CLOSE_SECONDS).not_done
        if left:
            _LOG.warning("%d refused file(s) were not moved yet; the next start does it.", len(left))
        self._thread.shutdown(cancel_futures=True)

    def _take(self, path: Path, version: FileVersion, refused: RefusedFile) -> None:
        try:
            if _version(path) != version:
                _LOG.info("%s was replaced since it was refused; it stays.", refused.path)
            elif self._is_registered(path):
                _LOG.warning("%s stays where it is: the repository has it.", refused.path)
            else:
                _LOG.debug("%s is now %s.", refused.path, path_text(self._put(path, refused)))
        except Exception as err:  # noqa: BLE001 -- the file stays, and no other one suffers
            told = printable(getattr(err, "strerror", None) or str(err))
            _LOG.error("%s cannot be moved to %s: %s; it stays.", printable(refused.path), self._folder, told)

    def _put(self, path: Path, refused: RefusedFile) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        target, reason = self._reserve(path.name)
        try:
            with reason.open("w") as stream:
                stream.write(refused.model_dump_json(indent=1, exclude_none=True) + "\n")
            _move(path, target)
        except BaseException:
            reason.unlink(missing_ok=True)
            raise
        return target

    def _reserve(self, name: str) -> tuple[Path, Path]:
        """Return a place that is free, and the file that reserves it, which is to hold the reason."""
        for candidate in _names(name):
            target = self._folder / candidate
            reason = target.with_name(f"{target.name}.reason")
            if os.path.lexists(target):
                continue
            try:
                reason.touch(exist_ok=False)
            except FileExistsError:
                continue
            return target, reason
        raise AssertionError("There is no end of names.")


def _version(path: Path) -> FileVersion | None:
    """Return the version of what a watch sees at a path: of what a link leads to, where it leads anywhere."""
    for look in (path.stat, path.lstat):
        with contextlib.suppress(OSError):
            return FileVersion.of(look())
    return None


def _names(name: str) -> Iterator[str]:
    """Yield a name, then others like it."""
    short = os.fsdecode(os.fsencode(name)[:_NAME_BYTES])
    yield short
    for number in itertools.count(1):
        yield f"{short}.{number}"


def _move(path: Path, target: Path) -> None:
    """Move a file or a symbolic link to a place that is free.

    Raises
    ------
    OSError
        If it cannot be moved; it is where it was then.
    """
    before = path.lstat()
    try:
        path.rename(target)
    except OSError as err:
        if err.errno != errno.EXDEV:
            raise
        _copy_over(path, target, before)
        return
    if target.lstat().st_ino != before.st_ino and not os.path.lexists(path):
        # Another one took its place in between; it was not refused.
        target.rename(path)
        raise OSError(errno.EBUSY, "it was replaced in this moment")


def _copy_over(path: Path, target: Path, before: os.stat_result) -> None:
    """Move to another file system: the copy is on disk, with its name, before the original is removed."""
    if stat.S_ISLNK(before.st_mode):
        target.symlink_to(path.readlink())
    elif stat.S_ISREG(before.st_mode):
        temporary = target.with_name(f".{target.name}.tmp")
        try:
            with path.open("rb") as source, temporary.open("wb") as copy:
                shutil.copyfileobj(source, copy)
                copy.flush()
                os.fsync(copy.fileno())
            os.utime(temporary, ns=(before.st_atime_ns, before.st_mtime_ns))
            temporary.rename(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    else:
        raise OSError(errno.EXDEV, "it is no file, and the quarantine is in another file system")
    if FileVersion.of(path.lstat()) != FileVersion.of(before):
        target.unlink()
        raise OSError(errno.EBUSY, "it was replaced in this moment")
    path.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
