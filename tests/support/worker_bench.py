"""Warm workers of the engine, with raws and steered tasks to try them on."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

from lsst.daf.butler import Butler

from lsst.ctrl.rapid._startup import start_fork_server
from lsst.ctrl.rapid.engine import ExplicitQuantum, QuantaRequest, ShardRequest, ShardResponse, WorkerSetup
from lsst.ctrl.rapid.engine._workers import Workers
from lsst.ctrl.rapid.plan import (
    CompiledPipeline,
    DatasetMessage,
    PipelineSource,
    RecordStore,
    ShardInputs,
    compile_pipeline,
    instantiate,
    record_to_json,
    records_to_message,
)
from support.registered import INSTRUMENT, RAWS, OtherIngest, make_registry
from support.steered_tasks import follow, look_pipeline

DAY = 20261122
DETECTORS = (90, 91, 93)

type Request = ShardRequest | QuantaRequest


@dataclasses.dataclass(frozen=True, kw_only=True)
class SteeredSetup(WorkerSetup):
    """What workers are given; a worker that unpacks it to become warm first does what a file says."""

    order: Path

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        follow(self.order)


@dataclasses.dataclass
class Bench:
    """Raws, a pipeline first -> next (and another beside them) -> all on them, and two warm workers."""

    butler: Butler
    root: Path
    folder: Path
    pipeline: CompiledPipeline
    setup: WorkerSetup
    workers: Workers
    exposures: int = 0

    def __post_init__(self) -> None:
        self.other = OtherIngest(str(self.root))
        self.records = RecordStore.from_butler(self.butler, [INSTRUMENT])
        (self.root.parent / "raw.fits").write_text("nobody reads this")

    def exposure(self) -> int:
        """Register raws of an exposure of its own."""
        self.exposures += 1
        number = DAY * 100_000 + self.exposures
        self.other.exposure(number, DAY)
        self.other.files([(number, detector) for detector in DETECTORS], self.root.parent / "raw.fits")
        return number

    def request(self, kind: str, detector: int, exposure: int | None = None) -> Request:
        """Return the request for a detector of an exposure, of a new one if none is named."""
        number = exposure or self.exposure()
        data_id = {"instrument": INSTRUMENT, "exposure": number, "detector": detector}
        ref = self.butler.find_dataset("raw", data_id, collections=RAWS)
        assert ref is not None
        expanded = self.butler.registry.expandDataId(data_id)
        new = [expanded.records[element] for element in ("day_obs", "group", "exposure")]
        stored = self.butler._datastore.export_records([ref])
        request = ShardRequest(
            pipeline="steered",
            step="step1a",
            instrument=INSTRUMENT,
            exposure=number,
            detector=detector,
            run=f"rapid/{DAY}/steered-x",
            dimension_records=tuple(map(record_to_json, new)),
            raws=(),
            inputs=(DatasetMessage.of(ref),),
            datastore_records=records_to_message(stored),
        )
        if kind == "run":
            return request
        self.records.add(new)
        inputs = ShardInputs(request.refs(self.pipeline.dataset_types, self.records), stored)
        planned = instantiate(
            self.pipeline.graph,
            self.pipeline.step("step1a"),
            request.shard,
            request.run,
            inputs,
            self.records,
        )
        quanta = tuple(ExplicitQuantum(p.id, p.node.label, p.quantum) for p in planned)
        return QuantaRequest("steered", quanta, datastore_records=request.datastore_records)

    def order(self, name: str, order: str) -> None:
        """Tell a task what to do: ``first.90``."""
        (self.folder / name).write_text(order)

    def go_on(self, name: str) -> None:
        """Let a task go on that hangs."""
        (self.folder / name).unlink()

    def said(self) -> list[str]:
        """What the tasks said, in order."""
        file = self.folder / "said"
        return file.read_text().splitlines() if file.exists() else []

    def wait_for(self, line: str) -> None:
        """Wait until a task has said a line."""
        wait_until(lambda: line in self.said(), line)

    def begin(self, worker: str, request: Request, seconds: float = 60.0) -> Future[ShardResponse]:
        """Send a request to a worker, which may take so long."""
        pool = self.workers._pool
        call = pool.run if isinstance(request, ShardRequest) else pool.run_quanta
        return asyncio.run_coroutine_threadsafe(call(worker, request, seconds), self.workers._loop)

    def ask(self, worker: str) -> bool:
        """Ask a worker's shard to yield, and wait until the worker has heard of it."""
        pool = self.workers._pool

        async def ask() -> bool:
            asked = pool.ask_yield(worker)
            await asyncio.gather(*pool._tasks)
            return asked

        return asyncio.run_coroutine_threadsafe(ask(), self.workers._loop).result(60)

    def yielded(self, request: Request, detector: int) -> ShardResponse:
        """Have a shard yield while its first quantum runs."""
        self.order(f"first.{detector}", "hang")
        response = self.begin("worker-0", request)
        self.wait_for(f"begin first {detector}")
        assert self.ask("worker-0")
        self.go_on(f"first.{detector}")
        return response.result(60)

    def files(self) -> set[Path]:
        """All files of RUNs of the executor."""
        return {file for name in ("rapid", "rapid_scratch") for file in (self.root / name).rglob("*.*")}


def wait_until(holds: Callable[[], object], what: str) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until, f"waited for {what}"
        time.sleep(0.01)


@contextlib.contextmanager
def steered_workers(folder: Path, *, memory: float | None = None) -> Iterator[Bench]:
    """Start two workers, each of which may take so many bytes, and wait until they are warm."""
    # As the command's: without, each worker imports for seconds until it is warm.
    start_fork_server(["lsst.ctrl.rapid.cli._forked"])
    root = Path(make_registry(folder))
    orders = folder / "orders"
    orders.mkdir()
    (folder / "steered.yaml").write_text(look_pipeline(orders))
    with Butler.from_config(str(root), writeable=True) as butler:
        pipeline = compile_pipeline(PipelineSource(folder / "steered.yaml"), butler)
        pipeline.graph.register_dataset_types(butler)
        static = RecordStore.from_butler(butler, [INSTRUMENT]).static()
        setup = SteeredSetup(
            repository=str(root),
            pipelines=(pipeline,),
            static_records=tuple(map(record_to_json, static)),
            shared=frozenset(),
            cache_bytes=1e6,
            scratch=frozenset({"look_next"}),
            order=orders / "warm",
        )
        workers = Workers(setup, 2, memory=memory)
        try:
            while len(workers.idle) < 2:
                assert workers.next(120) is not None
            yield Bench(butler, root, orders, pipeline, setup, workers)
        finally:
            workers.close()
