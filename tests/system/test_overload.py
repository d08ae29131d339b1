"""More raws than one worker can keep up with, live, on shards of pipelines/summit.yaml."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lsst.ctrl.rapid.control import ControlClient
from lsst.ctrl.rapid.model import Outcome
from support.processes import Running, rapid_here

DETECTORS = ("--detectors", "90..97")


@pytest.fixture
def exposures(tmp_path: Path) -> list[dict[int, Path]]:
    """Raws of five exposures, by detector, in a folder that nobody watches."""
    rapid_here("simulate", tmp_path / "camera", "--scale", "1/8", *DETECTORS, "--exposures", 5)
    lines = (tmp_path / "camera" / "manifest.jsonl").read_text().splitlines()
    found: dict[int, dict[int, Path]] = {}
    for line in map(json.loads, lines):
        found.setdefault(line["exposure"], {})[line["detector"]] = Path(line["path"])
    return [found[exposure] for exposure in sorted(found)]


def send(run: Running, *exposures: dict[int, Path]) -> None:
    for raws in exposures:
        for raw in raws.values():
            raw.rename(run.work / "landing" / raw.name)


def wait_until_done(run: Running, gathers: int) -> None:
    run.wait_for_log("8 detectors done", times=gathers)


def test_a_new_exposure_gets_its_worker_within_one_quantum(
    start_run: Callable[..., Running], exposures: list[dict[int, Path]]
) -> None:
    run = start_run(*DETECTORS, "--workers", 1, "--mode", "preemptive")
    run.wait_for_log("is warm")
    older, newer = exposures[:2]
    control = ControlClient(run.work / "control.sock")
    send(run, older)
    run.wait_for(lambda: control.status().backlog.shards >= 3, "the older exposure")
    send(run, newer)
    run.wait_for_log("8 of 8 detectors done", times=2)
    run.process.terminate()
    assert run.end() == 0, run.log.read_text()

    report = run.report
    assert report.summary.shards[Outcome.DONE] == 18, "what stopped went on"
    shards = [shard for shard in report.shards if shard.step == "step1a"]
    first, second = sorted({shard.data_id["exposure"] for shard in shards})
    began = min(s.times.quanta[0].start for s in shards if s.data_id["exposure"] == second)
    ready = min(s.times.ready or 0.0 for s in shards if s.data_id["exposure"] == second)
    older_quanta = [q for s in shards if s.data_id["exposure"] == first for q in s.times.quanta]
    between = [quantum for quantum in older_quanta if ready < quantum.end <= began]
    # That which ran, and what began while the worker was being asked: on a busy machine that takes a while.
    assert len(between) <= 3
    assert any(quantum.start >= began for quantum in older_quanta), "the older one waited"
    assert report.summary.yield_ms.n >= 1
    assert all(len(shard.times.quanta) == 4 for shard in shards), "each quantum ran once"


@pytest.mark.slow
def test_exposures_are_processed_in_part_while_too_much_waits_and_whole_again_after(
    start_run: Callable[..., Running], exposures: list[dict[int, Path]], tmp_path: Path
) -> None:
    (tmp_path / "site.yaml").write_text(
        "policy: {down_selection: {pattern: ccd_checkerboard, above: 0.05, below: 0.01}}\n"
        "gather_timeout: 600\ngather_deadline: 600\n"
    )
    run = start_run("--site", tmp_path / "site.yaml", *DETECTORS, "--workers", 1)
    run.wait_for_log("is warm")
    send(run, exposures[0])
    run.wait_for_log("8 of 8 detectors done", times=1)
    send(run, *exposures[1:4])
    run.wait_for_log("4 of 4 detectors done", times=2)
    run.wait_for_log("8 of 8 detectors done", times=2)
    send(run, exposures[4])
    run.wait_for_log("8 of 8 detectors done", times=3)
    run.process.terminate()
    assert run.end() == 0, run.log.read_text()

    report = run.report
    assert [change.reduced for change in report.down_selected] == [True, False]
    assert report.down_selected[0].pattern == "ccd_checkerboard"
    assert report.down_selected[0].waiting_seconds > 0.05
    shed = [shard for shard in report.shards if shard.outcome is Outcome.SHED]
    assert {shard.data_id["exposure"] for shard in shed} == {
        int(report.down_selected[0].exposure), int(report.down_selected[1].exposure) - 1
    }  # fmt: skip
    assert len(shed) == 8
    assert {shard.reason for shard in shed} == {
        "more waits than can be processed, and its detector is not in the pattern ccd_checkerboard"
    }
    log = run.log.read_text()
    assert "Exposures are processed in part from" in log
    assert "Exposures are processed as usual again from" in log
    assert "on processed in part (ccd_checkerboard): " in log, "the summary at the end has it, too"
