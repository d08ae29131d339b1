"""A shard that is asked to yields its worker between two quanta, and goes on elsewhere where it stopped."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import os
import pickle
import signal
from collections.abc import Iterator

import pytest
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.pipe.base.quantum_reports import ExecutionStatus

from lsst.ctrl.rapid.engine import ShardActor, ShardRequest, ShardResponse, WarmUp, WorkerLostError
from lsst.ctrl.rapid.engine._workers import Ready
from lsst.ctrl.rapid.plan import records_from_message, records_to_message
from support.worker_bench import DETECTORS, Bench, Request, steered_workers, wait_until

LABELS = ("first", "middle", "next")
SUCCESS, FAILURE, SKIPPED = ExecutionStatus.SUCCESS, ExecutionStatus.FAILURE, ExecutionStatus.SKIPPED


def again(request: Request, before: ShardResponse) -> Request:
    """Return the request that goes on where a response says that it stopped."""
    if isinstance(request, ShardRequest):
        return request.model_copy(update={"before": before})
    return dataclasses.replace(request, before=before)


def statuses(response: ShardResponse) -> dict[str, ExecutionStatus]:
    return {report.taskLabel: report.status for report in response.reports}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with steered_workers(tmp_path_factory.mktemp("yield")) as bench:
        yield bench


@pytest.fixture
def bench(warm: Bench) -> Bench:
    for file in warm.folder.iterdir():
        file.unlink()
    return warm


@pytest.mark.parametrize("kind", ["run", "run_quanta"])
def test_a_shard_yields_after_its_quantum_and_goes_on_elsewhere(bench: Bench, kind: str) -> None:
    request = bench.request(kind, 90)
    there = bench.files()
    first = bench.yielded(request, 90)
    assert first.yielded
    assert statuses(first) == {"first": SUCCESS}
    assert {output.dataset_type for output in first.outputs} == {"look_first", "first_log", "first_metadata"}
    assert bench.begin("worker-0", bench.request(kind, 91)).result(60).ok

    whole = bench.begin("worker-1", again(request, first)).result(60)
    assert whole.ok, whole.reason
    assert not whole.yielded
    assert statuses(whole) == dict.fromkeys(LABELS, SUCCESS)
    assert collections.Counter(bench.said())["begin first 90"] == 1
    assert len({report.quantumId for report in whole.reports}) == 3
    assert [times.label for times in whole.quanta] == [report.taskLabel for report in whole.reports]
    assert whole.started == first.started
    assert {output.id for output in first.outputs} < {output.id for output in whole.outputs}
    assert len(whole.outputs) == 9
    assert len(bench.files() - there) == 18
    if kind == "run":
        assert {str(output.id) for output in whole.outputs} <= set(ids_in(whole.planned))
        assert {str(report.quantumId) for report in whole.reports} <= set(ids_in(whole.planned))


def ids_in(text: str) -> list[str]:
    return [part for part in text.split('"') if len(part) == 36 and part.count("-") == 4]


def test_it_yields_as_often_as_it_is_asked(bench: Bench) -> None:
    request = bench.request("run", 90)
    first = bench.yielded(request, 90)
    second = bench.pipeline.step("step1a").tasks[1]
    bench.order(f"{second}.90", "hang")
    rest = bench.begin("worker-0", again(request, first))
    bench.wait_for(f"begin {second} 90")
    bench.ask("worker-0")
    bench.go_on(f"{second}.90")
    more = rest.result(60)
    assert more.yielded
    assert len(more.reports) == 2
    assert bench.begin("worker-0", again(request, more)).result(60).ok
    assert sorted(line for line in bench.said() if line.startswith("begin")) == [
        f"begin {label} 90" for label in LABELS
    ]


def test_what_failed_before_it_yielded_blocks_afterwards(bench: Bench) -> None:
    request = bench.request("run", 90)
    bench.order("first.90", "fail after go on")
    response = bench.begin("worker-0", request)
    bench.wait_for("begin first 90")
    bench.ask("worker-0")
    with (bench.folder / "said").open("a") as said:
        said.write("go on\n")
    first = response.result(60)
    assert first.yielded
    assert statuses(first) == {"first": FAILURE}
    assert "on purpose" in first.reason
    bench.go_on("first.90")
    whole = bench.begin("worker-1", again(request, first)).result(60)
    assert statuses(whole) == {"first": FAILURE, "middle": SUCCESS, "next": SKIPPED}
    assert not whole.ok
    assert whole.reason == first.reason


def test_a_request_that_comes_late_stops_nobody_else(bench: Bench) -> None:
    pool, loop = bench.workers._pool, bench.workers._loop
    bench.order("first.90", "hang")
    early = bench.begin("worker-0", bench.request("run", 90))
    bench.wait_for("begin first 90")
    worker = pool._workers["worker-0"]
    number = worker.running
    assert number is not None
    bench.go_on("first.90")
    assert not early.result(60).yielded
    assert not bench.ask("worker-0")

    bench.order("first.91", "hang")
    late = bench.begin("worker-0", bench.request("run", 91))
    bench.wait_for("begin first 91")
    asyncio.run_coroutine_threadsafe(pool._ask_yield(worker, number), loop).result(60)
    bench.go_on("first.91")
    assert not late.result(60).yielded


def test_nothing_is_left_to_yield_after_the_last_quantum(bench: Bench) -> None:
    request = bench.request("run", 90)
    first = bench.yielded(request, 90)
    last = bench.pipeline.step("step1a").tasks[-1]
    bench.order(f"{last}.90", "hang")
    rest = bench.begin("worker-0", again(request, first))
    bench.wait_for(f"begin {last} 90")
    bench.ask("worker-0")
    bench.go_on(f"{last}.90")
    whole = rest.result(60)
    assert whole.ok
    assert not whole.yielded


@pytest.mark.parametrize("kind", ["run", "run_quanta"])
def test_one_that_has_not_begun_yields_at_once(bench: Bench, kind: str) -> None:
    actor = ShardActor(pickle.dumps(bench.setup))
    assert WarmUp.model_validate_json(actor.warm()).ok
    request = bench.request(kind, 90)

    def run(request: Request, call: int) -> ShardResponse:
        if isinstance(request, ShardRequest):
            return ShardResponse.model_validate_json(actor.run(request.model_dump_json().encode(), call))
        return ShardResponse.model_validate_json(actor.run_quanta(pickle.dumps(request), call))

    asyncio.run(actor.ask_yield(7))
    first = run(request, 7)
    assert first.yielded
    assert first.ok
    assert not first.reports
    assert run(again(request, first), 8).ok
    assert len(bench.said()) == 6


def test_a_worker_that_dies_while_it_is_asked_is_lost_as_ever(bench: Bench) -> None:
    pool = bench.workers._pool
    bench.order("first.93", "hang")
    response = bench.begin("worker-1", bench.request("run", 93))
    bench.wait_for("begin first 93")
    pid = pool.pid("worker-1")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)

    async def ask() -> bool:
        return pool.ask_yield("worker-1")

    assert asyncio.run_coroutine_threadsafe(ask(), bench.workers._loop).result(60)
    [asking] = pool._tasks
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerLostError, match="signal 9"):
        response.result(60)
    bench.go_on("first.93")
    wait_until(asking.done, "the request to end")
    assert asking.exception() is None
    while (event := bench.workers.next(60)) != Ready("worker-1"):
        assert event is not None
    assert bench.begin("worker-1", bench.request("run", 93)).result(60).ok


def test_a_gather_on_another_worker_reads_scratch(bench: Bench) -> None:
    exposure = bench.exposure()
    made = [bench.begin("worker-0", bench.request("run", d, exposure)).result(60) for d in DETECTORS]
    records = DatastoreRecordData.merge_mappings(*(records_from_message(m.datastore_records) for m in made))
    of_one = bench.request("run", 90, exposure)
    assert isinstance(of_one, ShardRequest)
    gather = of_one.model_copy(
        update={
            "step": "step1b",
            "detector": None,
            "detectors": DETECTORS,
            "inputs": tuple(o for m in made for o in m.outputs if o.dataset_type == "look_next"),
            "datastore_records": records_to_message(records),
        }
    )
    response = bench.begin("worker-1", gather).result(60)
    assert response.ok, response.reason
    [total] = list((bench.root / "rapid").rglob(f"look_total*{exposure}*"))
    assert total.read_text().count("next") == len(DETECTORS)
    scratch = list((bench.root / "rapid_scratch" / gather.run).iterdir())
    assert {file.name[:9] for file in scratch} == {"look_next"}
    assert not list((bench.root / "rapid").rglob("look_next_*"))
