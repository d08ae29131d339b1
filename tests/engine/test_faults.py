"""Workers that are killed, run out of memory, hang in every way, or cannot be warmed: one pool for all."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed.system import MEMORY_LIMIT

from lsst.ctrl.rapid.engine import TimeLimitError, WorkerAbsentError, WorkerLostError, _nanny, _process
from lsst.ctrl.rapid.engine._memory import memory_limit
from lsst.ctrl.rapid.engine._pauses import Pauses
from lsst.ctrl.rapid.engine._workers import Event, Ready, Unfit
from support.processes import is_alive
from support.worker_bench import Bench, steered_workers, wait_until

MEMORY = 1.2e9


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with steered_workers(tmp_path_factory.mktemp("faults"), memory=MEMORY) as bench:
        yield bench


@pytest.fixture
def bench(warm: Bench) -> Bench:
    """The workers, both warm and idle."""
    for file in warm.folder.iterdir():
        file.unlink()
    wait_until(lambda: is_complete(warm), "two warm workers")
    return warm


def is_complete(bench: Bench) -> bool:
    while bench.workers.next(0) is not None:
        pass
    numbers = [bench.workers._pool.pid(worker) for worker in bench.workers.idle]
    return sum(number is not None and is_alive(number) for number in numbers) == 2


def next_event(bench: Bench) -> Event:
    event = bench.workers.next(60)
    assert event is not None, "nothing happened for a minute"
    return event


def pid(bench: Bench, worker: str) -> int:
    found = bench.workers._pool.pid(worker)
    assert found is not None
    return found


def test_who_kills_its_worker_is_told_how_and_nobody_else_suffers(bench: Bench) -> None:
    bench.order("first.91", "hang")
    other = bench.begin("worker-1", bench.request("run", 91))
    bench.wait_for("begin first 91")
    poison = bench.request("run", 90)
    for order, told in (
        ("segfault", r"was killed by signal 11 \(Segmentation fault\)$"),
        ("abort", r"was killed by signal 6 \(Aborted\)$"),
        ("exit", "exited with code 3$"),
        ("die", r"was killed by signal 9 \(Killed\)$"),
    ):
        dead = pid(bench, "worker-0")
        bench.order("first.90", order)
        with pytest.raises(WorkerLostError, match=rf"worker process {dead} {told}"):
            bench.begin("worker-0", poison).result(60)
        assert not Path("/proc", str(dead)).exists()
        while next_event(bench) != Ready("worker-0"):
            pass
    bench.go_on("first.90")
    assert bench.begin("worker-0", poison).result(60).ok
    assert not other.done()
    bench.go_on("first.91")
    assert other.result(60).ok


def test_a_worker_that_takes_too_much_memory_is_ended_and_it_is_said_why(bench: Bench) -> None:
    bench.order("first.90", "grow")
    with pytest.raises(WorkerLostError, match=r"; out of memory: it used \d+ MB, and may use 1200 MB$"):
        bench.begin("worker-0", bench.request("run", 90)).result(60)
    assert not isinstance(bench.begin("worker-1", bench.request("run", 91)).result(60), WorkerLostError)


def test_it_is_said_when_the_system_killed_for_want_of_memory(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _nanny.system_kills()
    monkeypatch.setattr(_nanny, "system_kills", lambda: before + 1)
    bench.order("first.90", "die")
    with pytest.raises(WorkerLostError, match=r"\(Killed\); out of memory: the system had none left"):
        bench.begin("worker-0", bench.request("run", 90)).result(60)


def test_no_worker_may_take_the_machine() -> None:
    shares = [memory_limit(workers) for workers in (1, 2, 8)]
    assert shares[0] == shares[1] < MEMORY_LIMIT
    assert shares[2] == pytest.approx(shares[0] / 4, abs=1)


@pytest.mark.parametrize("how", ["holds the interpreter", "is stopped"])
def test_what_cannot_even_hear_is_ended_at_its_time_limit(bench: Bench, how: str) -> None:
    dead = pid(bench, "worker-0")
    request = bench.request("run", 90)
    if how == "is stopped":
        os.kill(dead, signal.SIGSTOP)
    else:
        bench.order("first.90", "hold")
    with pytest.raises(TimeLimitError, match=rf"time limit of 2 s exceeded; worker process {dead} was ended"):
        bench.begin("worker-0", request, seconds=2).result(60)
    assert how == "is stopped" or bench.said() == ["begin first 90"]
    assert not is_alive(dead)
    while next_event(bench) != Ready("worker-0"):
        pass
    (bench.folder / "first.90").unlink(missing_ok=True)
    assert bench.begin("worker-0", request).result(60).ok


def test_one_that_loses_its_connection_writes_nothing_more(bench: Bench) -> None:
    there = bench.files()
    bench.order("first.90", "hang")
    call = bench.begin("worker-0", bench.request("run", 90))
    bench.wait_for("begin first 90")
    pool = bench.workers._pool

    async def cut() -> None:
        address = pool._workers["worker-0"].address
        await pool._client.run(_cut, workers=[address])

    asyncio.run_coroutine_threadsafe(cut(), bench.workers._loop).result(60)
    with pytest.raises(WorkerLostError, match="was closed, or lost its connection to the head"):
        call.result(60)
    bench.go_on("first.90")
    while next_event(bench) != Ready("worker-0"):
        pass
    assert bench.files() == there
    assert bench.said() == ["begin first 90"]


def _cut(dask_worker: Any) -> None:
    dask_worker.loop.add_callback(dask_worker.batched_stream.comm.abort)


def test_one_that_dask_gives_up_is_dead_before_its_shard_is_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_process, "_TELL_SECONDS", 0.5)
    dead = pid(bench, "worker-0")
    bench.order("first.90", "hang")
    call = bench.begin("worker-0", bench.request("run", 90))
    bench.wait_for("begin first 90")
    os.kill(dead, signal.SIGSTOP)
    pool = bench.workers._pool

    async def give_up() -> None:
        pool._lose(pool._workers["worker-0"].address)

    asyncio.run_coroutine_threadsafe(give_up(), bench.workers._loop).result(60)
    with pytest.raises(WorkerLostError, match=rf"worker process {dead} was out of reach, and was ended"):
        call.result(60)
    assert not is_alive(dead)


def test_one_elsewhere_is_ended_by_its_nanny_there(bench: Bench) -> None:
    dead = pid(bench, "worker-0")
    bench.workers._pool._workers["worker-0"]._exited = None  # nothing of it is here
    bench.order("first.90", "hold")
    with pytest.raises(TimeLimitError):
        bench.begin("worker-0", bench.request("run", 90), seconds=2).result(60)
    assert not is_alive(dead)


@pytest.mark.parametrize(("order", "told"), [("die", "signal 9"), ("fail", "it fails on purpose")])
def test_one_that_cannot_be_warmed_is_tried_again_until_it_can(bench: Bench, order: str, told: str) -> None:
    nanny = bench.workers._pool._nannies[0]
    nanny.pauses = Pauses(longest=0.2)
    bench.order("warm", order)
    os.kill(pid(bench, "worker-0"), signal.SIGKILL)
    failures = 0
    while failures < 3:
        event = next_event(bench)
        assert event != Ready("worker-0")
        if isinstance(event, Unfit):
            assert event.worker == "worker-0"
            assert told in event.reason
            failures += 1
    assert nanny.pauses.failures >= 3
    assert bench.begin("worker-1", bench.request("run", 90)).result(60).ok
    bench.go_on("warm")
    while next_event(bench) != Ready("worker-0"):
        pass
    assert nanny.pauses.failures == 0


def test_a_process_that_cannot_be_started_is_started_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    nanny = bench.workers._pool._nannies[0]
    nanny.pauses = Pauses(longest=0.2)
    assert nanny.process is not None
    start, failures = nanny.process.start, iter([OSError("no more processes"), RuntimeError("no way")])

    async def started() -> Any:
        for failure in failures:
            raise failure
        return await start()

    monkeypatch.setattr(nanny.process, "start", started)
    os.kill(pid(bench, "worker-0"), signal.SIGKILL)
    while next_event(bench) != Ready("worker-0"):
        pass
    assert next(failures, None) is None


def test_a_shard_that_comes_late_to_a_worker_that_has_another_goes_elsewhere(bench: Bench) -> None:
    bench.order("first.90", "hang")
    first = bench.begin("worker-0", bench.request("run", 90))
    bench.wait_for("begin first 90")
    late = bench.request("run", 91)
    with pytest.raises(WorkerAbsentError):
        bench.begin("worker-0", late).result(60)
    assert bench.begin("worker-1", late).result(60).ok
    bench.go_on("first.90")
    assert first.result(60).ok


def test_pauses_grow_to_a_longest_and_end_with_success() -> None:
    pauses = Pauses(longest=5)
    assert [pauses.next() for _ in range(6)] == [0, 1, 2, 4, 5, 5]
    pauses.succeeded()
    assert pauses.next() == 0
