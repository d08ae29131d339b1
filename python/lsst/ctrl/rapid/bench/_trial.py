"""Peers side by side in one database, and what it takes them to process an exposure."""

from __future__ import annotations

__all__ = ("DATABASES", "Measured", "Trial", "open_trial", "open_trials")

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ._cpu import cpu_seconds
from ._model import Database, SuiteSettings, Tell
from ._observer import Observer
from ._peers import (
    ColdPipetaskPeer,
    ExecutorPeer,
    Peer,
    SeparablePeer,
    SinglePipetaskPeer,
    WarmPeer,
)
from ._raws import TinyCamera, TinyRaw
from ._site import Site, open_site

DATABASES: Mapping[Database, str] = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
"""What databases are called in tables."""


@dataclass(frozen=True)
class Measured:
    """What it took to process an exposure.

    Attributes
    ----------
    detectors
        How many raws it had.
    seconds
        Until the observer had read the last output.
    cpu_seconds
        Of all processes of the peer and of the database.
    """

    detectors: int
    seconds: float
    cpu_seconds: float


class Trial:
    """Peers that are warm, each with a repository of its own in one database.

    Parameters
    ----------
    site
        Where the repositories are made.
    camera
        Takes the exposures.
    peers
        By letter, as in the documentation.
    observer
        Has opened all repositories.
    """

    def __init__(self, site: Site, camera: TinyCamera, peers: Mapping[str, Peer], observer: Observer) -> None:
        self.site = site
        self.camera = camera
        self.peers = peers
        self.observer = observer

    @property
    def where(self) -> str:
        """What the database is called in tables."""
        return DATABASES[self.site.database]

    def warm(self, letters: str, detectors: Sequence[int]) -> None:
        """Have peers process an exposure that does not count: what is done once is done then."""
        for letter in letters:
            self.measure(letter, self.camera.take(detectors))

    def measure(self, letter: str, raws: Sequence[TinyRaw]) -> Measured:
        """Have a peer process an exposure; its outputs are read and checked by somebody else.

        Parameters
        ----------
        letter
            Which peer.
        raws
            The exposure; other peers may be given the same.

        Raises
        ------
        RuntimeError
            If an output is missing or wrong.
        """
        peer = self.peers[letter]
        given = peer.prepare(raws)
        cpu = self._cpu(peer)
        started = time.monotonic()
        run = peer.process(given)
        ended = self.observer.read(peer.repository, run, raws)
        measured = Measured(len(raws), ended - started, self._cpu(peer) - cpu)
        self.observer.check(peer.repository, run, raws)
        return measured

    def _cpu(self, peer: Peer) -> float:
        return peer.cpu() + cpu_seconds(self.site.server_pids)


@contextlib.contextmanager
def open_trial(
    folder: Path, database: Database, letters: str, workers: int, detectors: Sequence[int]
) -> Iterator[Trial]:
    """Make peers and warm them, until the context is left.

    Parameters
    ----------
    folder
        Where all is written; must not be there yet.
    database
        Where the registries are.
    letters
        Which peers, like ``cde``.
    workers
        Processes of each peer that has workers.
    detectors
        Those that will be processed.

    Raises
    ------
    lsst.ctrl.rapid.model.InputError
        If PostgreSQL or ``pipetask`` is not here.
    RuntimeError
        If a peer cannot be warmed.
    """
    with contextlib.ExitStack() as stack:
        site = stack.enter_context(open_site(folder, database, detectors))
        local = site
        if "d" in letters and database != "sqlite":
            local = stack.enter_context(open_site(folder / "local", "sqlite", detectors))
        observer = Observer()
        stack.callback(observer.close)
        peers: dict[str, Peer] = {}
        for letter in letters:
            peers[letter] = _make(letter, site, local, workers)
            stack.callback(peers[letter].close)
        for peer in peers.values():
            peer.start()
        observer.start([peer.repository for peer in peers.values()])
        yield Trial(site, TinyCamera(folder / "raws"), peers, observer)


@contextlib.contextmanager
def open_trials(
    settings: SuiteSettings, name: str, letters: str, workers: int, detectors: Sequence[int], tell: Tell
) -> Iterator[list[Trial]]:
    """Make peers in each database that was asked for; see `open_trial`.

    Parameters
    ----------
    settings
        What was asked for.
    name
        Of the suite.
    letters, workers, detectors
        As for `open_trial`.
    tell
        Takes a line on each thing that is done.
    """
    with contextlib.ExitStack() as stack:
        trials = []
        for database in settings.databases:
            tell(f"{DATABASES[database]}: making repositories, warming {len(letters)} peers.")
            folder = settings.work_dir / f"{name}-{database}"
            trials.append(stack.enter_context(open_trial(folder, database, letters, workers, detectors)))
        yield trials


def _make(letter: str, site: Site, local: Site, workers: int) -> Peer:
    match letter:
        case "a":
            return ColdPipetaskPeer(site.copy("cold"))
        case "b":
            return SinglePipetaskPeer(site.copy("single"))
        case "c":
            return WarmPeer(site.copy("warm"), workers)
        case "d":
            return SeparablePeer(
                site.copy("separable"), [local.copy(f"local-{number}") for number in range(workers)]
            )
        case "e":
            return ExecutorPeer(site.copy("executor"), workers)
        case _:
            raise LookupError(f"There is no peer {letter!r}.")
