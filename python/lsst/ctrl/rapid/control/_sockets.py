"""Sockets on which orders come in: who holds one is the only one."""

from __future__ import annotations

__all__ = ("SOCKET_NAME", "UnixListener", "open_port", "unix_address")

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from ..model import InputError

SOCKET_NAME = "control.sock"
"""Name of the socket in a work folder."""

_LONGEST_ADDRESS = 107
"""Bytes that the system takes as a UNIX socket's address."""

_BACKLOG = 16
_KEY = "'control: {socket: PATH}'"


class UnixListener:
    """A UNIX socket that only its owner's user can open.

    Parameters
    ----------
    path
        Its file; its folder is made.  One that a dead process left is replaced.

    Raises
    ------
    InputError
        If a living process has it, or something else is there.
    OSError
        If it cannot be made there.

    Notes
    -----
    A lock on a file beside it, which the system takes back when the process ends however it ends, tells the
    living from the dead; that file stays.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self.path)
        try:
            _check_place(self.path)
            self.socket = _listen(self.path)
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Close and remove it."""
        self.path.unlink(missing_ok=True)
        self.socket.close()
        os.close(self._lock)


def open_port(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Raises
    ------
    InputError
        If that is not possible.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        opened = socket.socket(family, kind, protocol)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(address)
            opened.setblocking(False)
            opened.listen(_BACKLOG)
        except BaseException:
            opened.close()
            raise
    except OSError as err:
        raise InputError(f"control: {host} port {port} cannot be opened: {err.strerror or err}.") from None
    return opened


@contextlib.contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """Give the address of a UNIX socket, also of one whose path is longer than the system takes.

    Raises
    ------
    InputError
        If it is too long and there is no way around it here.
    OSError
        If its folder cannot be opened.
    """
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    if not Path("/proc/self/fd").is_dir():
        raise InputError(
            f"{path}: this is too long for a socket; name a shorter one: 'control: {{socket: …}}'."
        )
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _lock(path: Path) -> int:
    file = path.with_name(f"{path.name}.lock")
    # In a folder that others can write to, a link would have us overwrite what it leads to.
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(lock).st_mode) or os.fstat(lock).st_uid != os.geteuid():
            raise InputError(f"{file}: this is not a file of ours; remove it, or take another --work-dir.")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 20).decode(errors="replace").strip()
        os.close(lock)
        raise InputError(
            f"{path}: another executor runs there (process {holder or 'unknown'}); stop it, or take another "
            "--work-dir."
        ) from None
    except BaseException:
        os.close(lock)
        raise
    os.truncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def _check_place(path: Path) -> None:
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise InputError(
            f"{path}: this is not a socket; remove it, or have the site file name another: {_KEY}."
        )


def _listen(path: Path) -> socket.socket:
    """Return a socket that listens; its file is seen from then on, instead of one that the dead left."""
    new = path.with_name(f".{path.name}")
    new.unlink(missing_ok=True)
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with unix_address(new) as address:
            opened.bind(address)
        # Before it listens, so that nobody else can have connected.
        new.chmod(0o600)
        opened.setblocking(False)
        opened.listen(_BACKLOG)
        new.replace(path)
    except BaseException:
        opened.close()
        new.unlink(missing_ok=True)
        raise
    return opened
