"""A repository is opened for reading, also when the last who wrote to it was killed while it did."""

from __future__ import annotations

__all__ = ("open_to_read",)

import contextlib
import logging
import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy.event

from lsst.daf.butler import Butler

from .model import InputError

_LOG = logging.getLogger(__name__)

_ANYTHING = "SELECT 1 FROM sqlite_master LIMIT 1"


def open_to_read(repository: str) -> Butler:
    """Open a repository for reading.

    Parameters
    ----------
    repository
        Butler configuration or root.

    Returns
    -------
    butler
        A butler that cannot write.

    Raises
    ------
    InputError
        If there is no repository.
    sqlalchemy.exc.SQLAlchemyError
        If its registry cannot be reached.

    Notes
    -----
    A process that is killed while it commits to an SQLite registry leaves a journal, by which the next one
    takes back what was half written.  It has to be one that may write: a connection that only reads, as
    upstream's are, gets nothing but "attempt to write a readonly database"
    (https://sqlite.org/rescode.html#readonly_rollback).  So from the first call on, all of this process's
    connections have what was half written taken back when they find it: a new one before it is used, an older
    one so that what failed works when it is tried again.
    """
    if not sqlalchemy.event.contains(sqlalchemy.Engine, "connect", _see_to_new):
        sqlalchemy.event.listen(sqlalchemy.Engine, "connect", _see_to_new)
        sqlalchemy.event.listen(sqlalchemy.Engine, "handle_error", _see_to_failed)
    try:
        return Butler.from_config(repository, writeable=False)
    except (FileNotFoundError, RuntimeError, ValueError) as err:
        raise InputError(f"{repository}: the repository cannot be opened: {err}") from None


def _see_to_new(connection: Any, record: object) -> None:  # noqa: ARG001 -- SQLAlchemy's signature
    if isinstance(connection, sqlite3.Connection):
        try:
            connection.execute(_ANYTHING).fetchone()
        except sqlite3.OperationalError as err:  # any other is for who uses the connection
            if _is_half_written(err):
                _take_back(connection.execute("PRAGMA database_list").fetchone()[2])


def _see_to_failed(context: sqlalchemy.engine.ExceptionContext) -> None:
    if _is_half_written(context.original_exception) and context.engine is not None:
        _take_back(str(context.engine.url.database))


def _is_half_written(err: BaseException) -> bool:
    return (
        isinstance(err, sqlite3.OperationalError) and err.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK
    )


def _take_back(file: str) -> None:
    """Have SQLite take back what a process had half written to a database when it was killed."""
    writing = f"{Path(file).absolute().as_uri()}?mode=rw"
    try:
        with contextlib.closing(sqlite3.connect(writing, uri=True)) as connection:
            connection.execute(_ANYTHING).fetchone()
    except sqlite3.OperationalError as err:
        _LOG.warning(
            "%s: a process was killed while it wrote to it, and this user cannot take back what it had half "
            "written (%s): nobody can read it until a user opens it who may write to it and to its folder.",
            file,
            err,
        )
    else:
        _LOG.warning(
            "%s: a process was killed while it wrote to it; what it had half written is taken back.", file
        )
