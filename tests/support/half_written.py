"""A process that is killed while it writes to an SQLite database: ``python half_written.py DATABASE``."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

TABLE = "half_written"


def leave_half_written(root: str) -> None:
    """Leave an SQLite repository as a process does that is killed when it has written a part of a commit."""
    database = Path(root) / "gen3.sqlite3"
    done = subprocess.run([sys.executable, __file__, str(database)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert database.with_name(f"{database.name}-journal").stat().st_size > 0


if __name__ == "__main__":
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("PRAGMA cache_size = 5")  # pages: what does not fit is written before the commit
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"CREATE TABLE {TABLE} (x BLOB)")
    for _ in range(100):
        connection.execute(f"INSERT INTO {TABLE} VALUES (zeroblob(4000))")
    os.kill(os.getpid(), signal.SIGKILL)
