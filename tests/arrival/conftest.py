"""A watch on a real folder."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lsst.ctrl.rapid.arrival import DirectoryWatch
from lsst.ctrl.rapid.model import Arrival

SECONDS = 10.0


class Told:
    """What a watch told, awaited."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Arrival] = queue.Queue()
        self.all: list[Arrival] = []

    def __call__(self, arrival: Arrival) -> None:
        self._queue.put(arrival)

    def next(self) -> Arrival:
        """Wait for the next arrival."""
        arrival = self._queue.get(timeout=SECONDS)
        self.all.append(arrival)
        return arrival

    def names(self, number: int) -> list[str]:
        """Wait for some arrivals and return their files' names."""
        return [self.next().path.name for _ in range(number)]

    def now(self) -> list[Path]:
        """Return what was told already."""
        told = []
        while not self._queue.empty():
            told.append(self.next().path)
        return told


class Watching:
    """A running watch with what it told."""

    def __init__(self, folder: Path, told: Told, watch: DirectoryWatch) -> None:
        self.folder = folder
        self.told = told
        self.watch = watch

    def until_quiet(self) -> list[Path]:
        """Return what was told before a file that is made now."""
        marker = self.folder / "zz-marker.fits"
        (self.folder / ".marker").write_bytes(b"x")
        (self.folder / ".marker").rename(marker)
        told = []
        while (arrival := self.told.next()).path != marker:
            told.append(arrival.path)
        marker.unlink()
        return told


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "incoming"
    path.mkdir()
    return path


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Watching]]:
    """A function that starts to watch the folder."""
    with ExitStack() as stack:

        def begin(*, polling: bool = False) -> Watching:
            told = Told()
            watch = DirectoryWatch([folder], told, polling=polling)
            watch.start()
            stack.callback(watch.stop)
            return Watching(folder, told, watch)

        yield begin
