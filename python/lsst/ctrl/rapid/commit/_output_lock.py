"""Who writes to an output is the only one, on all machines: a lock that goes with its process."""

from __future__ import annotations

__all__ = ("OutputLock", "OutputTakenError", "take_output")

import contextlib
import fcntl
import hashlib
import logging
import os
import socket
import threading
import time
from pathlib import Path
from typing import Protocol

import sqlalchemy

from lsst.daf.butler import Butler
from lsst.daf.butler.direct_butler import DirectButler

from ..model import InputError

_LOG = logging.getLogger(__name__)

_PATIENCE_SECONDS = 3.0
"""How long a lock is waited for: the server may take a moment to notice that its holder was killed."""
_KEEP_ALIVE = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
"""Has the server notice within half a minute that the machine of the holder is gone."""


class OutputTakenError(RuntimeError):
    """Another executor writes to the output; the message says which."""


class OutputLock(Protocol):
    """The right to write to an output; methods may be called in any thread."""

    def check(self) -> None:
        """Make sure that it is held still; takes it again if its connection was lost.

        Raises
        ------
        OutputTakenError
            If somebody else has it now.
        Exception
            What the registry said, if it is out of reach.
        """

    def close(self) -> None:
        """Give it back."""


def take_output(butler: Butler, repository: str, output: str) -> OutputLock:
    """Take the right to write to an output.

    Parameters
    ----------
    butler
        The repository.
    repository
        Its name, for messages.
    output
        Name of the output chain.

    Raises
    ------
    InputError
        If another executor has it.

    Notes
    -----
    On PostgreSQL it is an advisory lock of a session of its own, which the server takes back when the
    connection ends, however that ends.  On SQLite it is a lock on a file beside the database, which the
    system takes back when the process ends; the file stays.
    """
    if not isinstance(butler, DirectButler):
        raise InputError(f"{repository}: a {type(butler).__name__} cannot be written to.")
    database = butler._registry._db  # noqa: SLF001 -- upstream has no other way to its connection
    url = database._engine.url  # noqa: SLF001
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            if url.get_backend_name() == "sqlite":
                return _FileLock(Path(str(url.database)), output)
            return _SessionLock(url, database.namespace or "", output)
        except OutputTakenError as err:
            if time.monotonic() > until:
                raise InputError(
                    f"-o/--output: {repository}: {err}. Two would overwrite each other's results: stop that "
                    "one, or name another output."
                ) from None
        time.sleep(0.1)


class _FileLock:
    """A lock on a file beside an SQLite database."""

    def __init__(self, database: Path, output: str) -> None:
        key = hashlib.blake2b(output.encode(), digest_size=8).hexdigest()
        self._path = database.with_name(f".rapid-exec-{key}.lock")
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 200, 0).decode(errors="replace").strip()
            os.close(self._file)
            raise OutputTakenError(_taken(output, holder)) from None
        except OSError:
            os.close(self._file)
            raise
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, _holder().encode(), 0)

    def check(self) -> None:
        """It is held as long as the process lives."""

    def close(self) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)


class _SessionLock:
    """A lock of a session of its own on a PostgreSQL server."""

    def __init__(self, url: sqlalchemy.URL, namespace: str, output: str) -> None:
        self._output = output
        digest = hashlib.blake2b(f"rapid-exec\0{namespace}\0{output}".encode(), digest_size=8).digest()
        self._key = int.from_bytes(digest, signed=True)
        self._engine = sqlalchemy.create_engine(
            url,
            poolclass=sqlalchemy.NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={"application_name": f"rapid-exec {_holder()}"[:63]},
        )
        self._lock = threading.Lock()
        self._connection: sqlalchemy.Connection | None = self._take()

    def check(self) -> None:
        with self._lock:
            if self._connection is not None:
                try:
                    self._connection.execute(sqlalchemy.text("SELECT 1"))
                except sqlalchemy.exc.SQLAlchemyError as err:
                    _LOG.debug("The connection that keeps output %s is lost: %s", self._output, err)
                    self._drop()
                else:
                    return
            self._connection = self._take()
            _LOG.info("Output %s is kept again: the connection had been lost.", self._output)

    def close(self) -> None:
        with self._lock:
            self._drop()
            self._engine.dispose()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlalchemy.exc.SQLAlchemyError):
                connection.invalidate()
            connection.close()

    def _take(self) -> sqlalchemy.Connection:
        connection = self._engine.connect()
        try:
            connection.execute(sqlalchemy.text(_KEEP_ALIVE))
            taken = connection.execute(
                sqlalchemy.text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key}
            ).scalar_one()
            if not taken:
                raise OutputTakenError(_taken(self._output, self._find_holder(connection)))
        except BaseException:
            connection.close()
            raise
        return connection

    def _find_holder(self, connection: sqlalchemy.Connection) -> str:
        """Return who holds the lock, as far as the server tells."""
        found = connection.execute(
            sqlalchemy.text(
                "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) "
                "WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND "
                "(classid::bigint << 32 | objid::bigint) = :key"
            ),
            {"key": self._key},
        ).scalar()
        return str(found or "").removeprefix("rapid-exec ")


def _holder() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _taken(output: str, holder: str) -> str:
    return f"another executor writes to output {output!r}" + (f" ({holder})" if holder else "")
