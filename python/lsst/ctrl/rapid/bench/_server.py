"""A PostgreSQL server of our own."""

from __future__ import annotations

__all__ = ("DatabaseServer", "postgresql")

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy

from .._own_server import own_server


@dataclass(frozen=True)
class DatabaseServer:
    """A running server.

    Attributes
    ----------
    engine
        Connections as its administrator, each statement a transaction of its own.
    pid
        Of its first process, of which all others are children.
    """

    engine: sqlalchemy.Engine
    pid: int

    @property
    def version(self) -> str:
        """Version of the server, like ``18.1``."""
        return str(self.scalar("SHOW server_version")).partition(" ")[0]

    def uri(self, database: str) -> str:
        """Return what a repository's configuration says of a database of this server."""
        url = self.engine.url.set(database=database)
        return url.render_as_string(hide_password=False)

    def create(self, name: str, template: str = "template1") -> None:
        """Make a database as a copy of another, to which nobody is connected; it is on disk then."""
        with self.engine.connect() as connection:
            # File by file: what was logged would be written again while something is measured.
            copied = f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY'
            connection.execute(sqlalchemy.text(copied))
            connection.execute(sqlalchemy.text("CHECKPOINT"))

    def drop(self, name: str) -> None:
        """Remove a database, whoever is connected to it, if it is there."""
        with self.engine.connect() as connection:
            connection.execute(sqlalchemy.text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))

    def writers(self, database: str) -> set[int]:
        """Return the process IDs of a database's connections that have written something just now."""
        statement = (
            "SELECT pid FROM pg_stat_activity WHERE datname = :name AND backend_xid IS NOT NULL "
            "AND backend_type = 'client backend'"
        )
        with self.engine.connect() as connection:
            return set(connection.execute(sqlalchemy.text(statement), {"name": database}).scalars())

    def scalar(self, statement: str, **values: Any) -> Any:
        """Return the first value that a statement gives."""
        with self.engine.connect() as connection:
            return connection.execute(sqlalchemy.text(statement), values).scalar()


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[DatabaseServer]:
    """Run a server until the context is left; its settings are PostgreSQL's own.

    Parameters
    ----------
    folder
        Where its data are; made if it is not there.

    Raises
    ------
    InputError
        If the package that has the server is not here, or the server does not start.
    """
    with own_server(folder) as server, contextlib.ExitStack() as stack:
        engine = sqlalchemy.create_engine(
            server.get_uri().replace("postgresql://", "postgresql+psycopg2://"), isolation_level="AUTOCOMMIT"
        )
        stack.callback(engine.dispose)
        pid = server.get_pid()
        assert pid is not None, "It runs."
        yield DatabaseServer(engine, pid)
