"""Gathers of a live run: in part when time is up, complete, and again for what came too late."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.model import Outcome
from support.processes import SUMMIT, Running, pipetask, rapid_here

DETECTORS = (90, 91, 92, 93)
SUMMARY = "quick_exposure_summary"


@pytest.fixture
def raws(tmp_path: Path) -> dict[int, Path]:
    """Raws of one exposure, by detector, in a folder that nobody watches."""
    rapid_here("simulate", tmp_path / "camera", "--scale", "1/8", "--detectors", "90..93", "--seed", 7)
    lines = (tmp_path / "camera" / "manifest.jsonl").read_text().splitlines()
    return {line["detector"]: Path(line["path"]) for line in map(json.loads, lines)}


def summaries(butler: Butler, collection: str) -> dict[str, int]:
    """Return how many detectors each summary below a collection is of, by RUN."""
    butler.registry.refresh()
    refs = butler.query_datasets(SUMMARY, collection, find_first=False, explain=False)
    return {ref.run: int(butler.get(ref)["n_detectors_done"][0]) for ref in refs}


def send(run: Running, raws: dict[int, Path], *detectors: int) -> None:
    for detector in detectors:
        raws[detector].rename(run.work / "landing" / raws[detector].name)


def test_what_has_ended_is_shown_and_the_complete_gather_takes_its_place(
    start_run: Callable[..., Running], raws: dict[int, Path], tmp_path: Path
) -> None:
    (tmp_path / "site.yaml").write_text("gather_timeout: 0.5\ngather_deadline: 600\n")
    run = start_run("--site", tmp_path / "site.yaml", "--detectors", "90..93", "--workers", 1)
    run.wait_for_log("is warm")
    send(run, raws, 90)
    run.wait_for_log("(partial): 1 of 4 detectors have ended")
    run.wait_for_log("(partial) done")
    butler = Butler.from_config(str(run.work / "repo"))
    [(partial, count)] = summaries(butler, "rapid/partial").items()
    assert partial.startswith("rapid/partial/")
    assert count == 1
    assert summaries(butler, "rapid") == {}, "no partial result is among what others read"
    run.wait_for_log("Published", times=2)

    send(run, raws, 91, 92, 93)
    run.wait_for_log(f"datasets are removed from {partial}")
    run.wait_for_log("4 of 4 detectors done")
    assert list(summaries(butler, "rapid").values()) == [4]
    assert summaries(butler, "rapid/partial") == {}
    run.process.terminate()
    assert run.end() == 0, run.log.read_text()
    gathers = {shard.partial: shard for shard in run.report.shards if shard.step == "step1b"}
    assert {one: shard.outcome for one, shard in gathers.items()} == {True: Outcome.DONE, False: Outcome.DONE}
    assert run.report.summary.missing == 0


def test_a_detector_that_comes_too_late_is_gathered_with_the_others_once_more(
    start_run: Callable[..., Running], raws: dict[int, Path], tmp_path: Path
) -> None:
    (tmp_path / "site.yaml").write_text("gather_timeout: 600\ngather_deadline: 0.5\n")
    run = start_run("--site", tmp_path / "site.yaml", "--detectors", "90,91", "--workers", 1)
    run.wait_for_log("is warm")
    send(run, raws, 90)
    run.wait_for_log("1 detector(s) are missing: 91")
    run.wait_for_log("Published", times=2)
    butler = Butler.from_config(str(run.work / "repo"))
    [(complete, count)] = summaries(butler, "rapid").items()
    assert count == 1

    send(run, raws, 91)
    run.wait_for_log("it is gathered again")
    run.wait_for_log("(again, 1) done")
    assert summaries(butler, "rapid") == {complete: 2}
    ledger = [json.loads(line) for line in (run.work / "ledger.jsonl").read_text().splitlines()]
    assert [line["run"] for line in ledger] == [complete]
    assert "#step1b" in ledger[0]["removed"]
    run.process.terminate()
    assert run.end() == 0, run.log.read_text()
    # The RUN is what plain pipetask would have made of both detectors.
    where = "instrument='LSSTCamSim' AND detector IN (90, 91)"
    again = pipetask(
        "run", "-b", run.work / "repo", "-p", SUMMIT, "-i", "LSSTCamSim/defaults", "--output-run", complete,
        "--extend-run", "--skip-existing", "-d", where, cwd=tmp_path,
    )  # fmt: skip
    assert "contains no quanta" in again.stderr


@pytest.mark.slow
def test_a_restart_leaves_no_partial_result_beside_the_complete_one(
    start_run: Callable[..., Running], raws: dict[int, Path], tmp_path: Path
) -> None:
    (tmp_path / "site.yaml").write_text("gather_timeout: 0.5\ngather_deadline: 600\n")
    arguments = ("--site", tmp_path / "site.yaml", "--detectors", "90..93", "--workers", 1)
    first = start_run(*arguments)
    first.wait_for_log("is warm")
    send(first, raws, 90)
    first.wait_for_log("(partial) done")
    first.process.kill()
    first.end()
    butler = Butler.from_config(str(first.work / "repo"))
    assert len(summaries(butler, "rapid/partial")) == 1

    second = start_run(*arguments)
    second.wait_for_log("is warm")
    send(second, raws, 91, 92, 93)
    second.wait_for_log("are removed from")
    second.wait_for_log("4 of 4 detectors done")
    assert list(summaries(butler, "rapid").values()) == [4]
    assert summaries(butler, "rapid/partial") == {}
    second.process.terminate()
    assert second.end() == 0, second.log.read_text()
