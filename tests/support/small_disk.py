"""A disk that is really full: a small file system in memory, where the tests may mount one."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """A file system of some megabytes.

    Parameters
    ----------
    folder
        Where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / ".filler"

    def fill(self) -> None:
        """Leave no room."""
        with self._filler.open("ab", buffering=0) as stream:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        stream.write(bytes(size))
                except OSError as err:
                    if err.errno != errno.ENOSPC:
                        raise

    def make_room(self) -> None:
        """Leave as much room as there was."""
        self._filler.unlink()


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "4m") -> Iterator[SmallDisk]:
    """Mount a small file system; the test is skipped where that is not permitted."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if (done := subprocess.run(mount, capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
