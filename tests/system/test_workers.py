"""A worker that dies under its shard."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable

from lsst.ctrl.rapid.model import Outcome
from support.processes import Running


def test_a_killed_worker_is_replaced_and_nothing_is_lost(start_run: Callable[..., Running]) -> None:
    run = start_run("--simulate", 1, "--cadence", 0, "--detectors", "90..98,0..8", "--workers", 2)
    run.wait_for_log("is warm", times=2)
    run.wait_for(lambda: any((run.work / "repo" / "rapid").rglob("quick_isr_image_*")), "the first image")
    pid = int(re.findall(r"Worker worker-0 \(process (\d+)\) is warm", run.log.read_text())[0])
    os.kill(pid, signal.SIGKILL)
    assert run.end() == 0, run.log.read_text()
    report = run.report
    assert report.summary.shards[Outcome.DONE] == 19, run.log.read_text()
    assert run.log.read_text().count("is warm") == 3
