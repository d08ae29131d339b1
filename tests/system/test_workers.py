"""A worker that dies under its shard."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lsst.ctrl.rapid.model import Outcome
from support.processes import Running


@pytest.mark.parametrize("victim", ["worker", pytest.param("fork server", marks=pytest.mark.slow)])
def test_what_is_killed_is_replaced_and_nothing_is_lost(
    start_run: Callable[..., Running], victim: str
) -> None:
    run = start_run("--simulate", 1, "--cadence", 0, "--detectors", "90..93,0..3", "--workers", 2)
    run.wait_for_log("is warm", times=2)
    worker = int(re.findall(r"Worker worker-0 \(process (\d+)\) is warm", run.log.read_text())[0])
    process = Path("/proc", str(worker))
    server = int((process / "stat").read_text().rpartition(")")[2].split()[1])
    assert server != run.process.pid
    # What the head has imported is imported for all; forking would not be safe if it had threads then.
    assert Path("/proc", str(server), "comm").read_text() == "rapid-worker\n"
    assert len(list(Path("/proc", str(server), "task").iterdir())) == 1
    run.wait_for(lambda: any((run.work / "repo" / "rapid").rglob("quick_isr_image_*")), "the first image")
    # Not even a worker that can do nothing itself may outlive the server: Dask would have two of its name.
    os.kill(worker, signal.SIGSTOP)
    os.kill(worker if victim == "worker" else server, signal.SIGKILL)
    run.wait_for_log("Worker worker-0 (process", times=3)
    assert not process.exists()
    assert run.end() == 0, run.log.read_text()
    report = run.report
    assert report.summary.shards[Outcome.DONE] == 9, run.log.read_text()
    assert "will be replaced" in run.log.read_text()


def test_a_shard_that_hangs_is_ended_and_the_others_go_on(
    start_run: Callable[..., Running], tmp_path: Path
) -> None:
    (tmp_path / "hang.yaml").write_text(
        "description: One detector hangs.\ntasks:\n  level:\n    class: support.toy_tasks.LevelTask\n"
        "    config: {hanging: [91]}\n"
    )
    (tmp_path / "site.yaml").write_text("quantum_timeout: 5\nattempts: 1\n")
    run = start_run(
        "--site",
        tmp_path / "site.yaml",
        "--simulate",
        1,
        "--cadence",
        0,
        "--detectors",
        "90..94",
        "--workers",
        2,
        pipeline=tmp_path / "hang.yaml",
    )
    assert run.end() == 0, run.log.read_text()
    ended = {shard.data_id["detector"]: shard for shard in run.report.shards}
    assert {number for number, shard in ended.items() if shard.outcome is Outcome.DONE} == {90, 92, 93, 94}
    assert "time limit" in ended[91].reason
    assert "attempt 1 of 1" in ended[91].reason
