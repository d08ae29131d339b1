"""Pipelines that the executor has never seen: without steps, with init-inputs, with failures."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from lsst.daf.butler import Butler, DatasetIdGenEnum, DatasetRef

from lsst.ctrl.rapid.model import Outcome, Report
from support.compare import differences
from support.processes import environment, pipetask, rapid_exec, rapid_here

PIPELINE = """
description: Not ours.
tasks:
  level:
    class: support.toy_tasks.LevelTask
    config: {{failing_in: '{failing}', empty: {empty}}}
  scale: support.toy_tasks.ScaleTask
  gather: support.toy_tasks.GatherTask
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipelines")
    (folder / "failing").write_text("91")
    (folder / "toy.yaml").write_text(PIPELINE.format(failing=folder / "failing", empty=[92]))
    done = rapid_exec(
        "run", "toy.yaml", "--simulate", 1, "--detectors", "90..93", "--work-dir", "work", "--workers", 2,
        cwd=folder,
    )  # fmt: skip
    (folder / "run.log").write_text(done.stdout + done.stderr)
    return folder


def test_a_failure_stops_only_what_depends_on_it(work: Path) -> None:
    report = Report.model_validate_json((work / "work" / "report.json").read_text())
    ended = {shard.data_id.get("detector"): shard for shard in report.shards}
    assert ended[90].outcome is ended[92].outcome is ended[93].outcome is Outcome.DONE
    assert ended[91].outcome is Outcome.FAILED
    assert "ValueError: this detector fails on purpose" in ended[91].reason
    assert ended[None].outcome is Outcome.DONE
    [run] = report.runs
    butler = Butler.from_config(str(work / "work" / "repo"))
    total = butler.get(
        "toy_total", instrument="LSSTCamSim", exposure=ended[None].data_id["exposure"], collections=run
    )
    assert total["n"] == 2
    scaled = butler.query_datasets("toy_scaled", run)
    assert {ref.dataId["detector"] for ref in scaled} == {90, 93}
    assert {butler.get(ref)["unit"] for ref in scaled} == {"adu"}
    # The failed quantum left its log, as upstream's executor leaves it.
    log = butler.get(
        "level_log",
        instrument="LSSTCamSim",
        exposure=ended[91].data_id["exposure"],
        detector=91,
        collections=run,
    )
    assert any("fails on purpose" in record.message for record in log)
    outcome = butler.get(
        "rapid_detector_step_outcome",
        instrument="LSSTCamSim",
        exposure=ended[91].data_id["exposure"],
        detector=91,
        collections=run,
    )
    assert (outcome["outcome"], "on purpose" in outcome["reason"]) == ("failed", True)


def test_the_same_as_pipetask_with_its_failure(work: Path) -> None:
    report = Report.model_validate_json((work / "work" / "report.json").read_text())
    done = pipetask(
        "run",
        "-b",
        "work/repo",
        "-p",
        "toy.yaml",
        "-i",
        "LSSTCamSim/defaults",
        "--output-run",
        "u/plain",
        "-d",
        "instrument='LSSTCamSim' AND exposure > 0",
        cwd=work,
    )
    assert done.returncode != 0
    butler = Butler.from_config(str(work / "work" / "repo"))
    # Upstream gives the gather up when a task that feeds it failed; ours gathers what is there.
    gathered = ("toy_total", "gather_log", "gather_metadata")
    assert differences(butler, report.runs[0], "u/plain", ignored=gathered) == []


def test_upstreams_report_reads_the_graph_of_what_was_run(work: Path) -> None:
    report = Report.model_validate_json((work / "work" / "report.json").read_text())
    [run] = report.runs
    told = rapid_here("export-graph", run, "-b", work / "work" / "repo", "-o", work / "run.qg")
    assert f"9 quanta of {run}" in told
    done = pipetask("report", "work/repo", "run.qg", "--full-output-filename", "report.yaml", cwd=work)
    assert done.returncode == 0, done.stderr
    summary = yaml.safe_load((work / "report.yaml").read_text())
    counts = {
        label: (len(task["failed_quanta"]), task["n_quanta_blocked"], task["n_succeeded"], task["n_expected"])
        for label, task in summary.items()
    }
    assert counts == {"level": (1, 0, 3, 4), "scale": (0, 1, 3, 4), "gather": (0, 0, 1, 1)}
    assert "fails on purpose" in str(summary["level"]["failed_quanta"])


def test_only_a_run_of_ours_is_exported(work: Path, tmp_path: Path) -> None:
    repo = work / "work" / "repo"
    assert "no collection" in rapid_here("export-graph", "no/such", "-b", repo, code=2)
    assert "not a RUN that" in rapid_here("export-graph", "LSSTCamSim/raw/all", "-b", repo, code=2)
    assert ".qg" in rapid_here("export-graph", "rapid", "-b", repo, "-o", tmp_path / "x.json", code=2)


def test_the_command_that_comes_with_a_failure_repeats_it(work: Path) -> None:
    report = Report.model_validate_json((work / "work" / "report.json").read_text())
    [failed] = [shard for shard in report.shards if shard.outcome is Outcome.FAILED]
    done = subprocess.run(
        failed.repeat, shell=True, cwd="/", env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "this detector fails on purpose" in done.stderr
    assert "Repeat it with: pipetask run" in (work / "run.log").read_text()


def test_a_step_alone_reads_what_an_earlier_run_made(work: Path) -> None:
    report = Report.model_validate_json((work / "work" / "report.json").read_text())
    [run] = report.runs
    repo = work / "work" / "repo"
    rapid_here(
        "run", f"{work / 'toy.yaml'}#gather", "-b", repo, "-d", "exposure > 0", "-i", run,
        "-i", "LSSTCamSim/defaults", "-o", "alone", "--work-dir", work / "alone", "--workers", 1,
    )  # fmt: skip
    [shard] = Report.model_validate_json((work / "alone" / "report.json").read_text()).shards
    assert (shard.outcome, shard.planned_by) == (Outcome.DONE, "trivial")
    butler = Butler.from_config(str(repo))
    data_id = {"instrument": "LSSTCamSim", "exposure": shard.data_id["exposure"]}
    totals = [butler.get("toy_total", data_id, collections=found) for found in (run, "alone")]
    assert totals[0] == totals[1]


def test_clobber_outputs_completes_a_run_with_a_failure(work: Path) -> None:
    report = Report.model_validate_json((work / "work" / "report.json").read_text())
    [run] = report.runs
    common = ("-p", "toy.yaml", "-d", "instrument='LSSTCamSim' AND exposure > 0", "-b", "work/repo")
    (work / "failing").unlink()
    done = pipetask(
        "run", *common, "-i", f"{run},LSSTCamSim/defaults", "--output-run", run, "--extend-run",
        "--skip-existing", "--clobber-outputs", cwd=work,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "previously succeeded and skipped" in done.stderr
    done = pipetask("run", *common, "-i", "LSSTCamSim/defaults", "--output-run", "u/mended", cwd=work)
    assert done.returncode == 0, done.stderr
    butler = Butler.from_config(str(work / "work" / "repo"))
    # What the gather made of the others stays, since it had succeeded; the log of 91 tells of both attempts.
    kept = ("toy_total", "gather_log", "gather_metadata", "level_log")
    assert differences(butler, run, "u/mended", ignored=kept) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("description: x\ntasks: {a: support.toy_tasks.NoSuchTask}", "NoSuchTask"),
        ("tasks: [", "cannot be loaded"),
        ("description: x\ntasks:\n  scale: support.toy_tasks.ScaleTask", "toy_schema"),
        (
            (
                "description: x\ntasks:\n  gather: {class: support.toy_tasks.GatherTask, "
                "config: {connections.scaled: nowhere}}"
            ),
            "'nowhere'",
        ),
    ],
)
def test_a_bad_pipeline_is_refused_with_one_line(work: Path, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    output = rapid_here(
        "run", tmp_path / "bad.yaml", "-b", work / "work" / "repo", "--work-dir", tmp_path / "work", code=2
    )
    assert told in output
    assert "Traceback" not in output


def test_what_was_shed_is_done_when_it_is_selected(tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(PIPELINE.format(failing="", empty=[]))
    rapid_here("simulate", tmp_path / "landing", "--detectors", "90,91", "--scale", "1/16")
    rapid_here("init-repo", tmp_path / "repo", "--instrument", "LSSTCamSim")
    ended = []
    for detectors in ("90", "90,91"):
        rapid_exec(
            "run", "toy.yaml", "-b", "repo", "--watch", "landing", "--detectors", detectors,
            "--until-idle", 1,
            "--workers", 1,
            cwd=tmp_path,
        )  # fmt: skip
        report = Report.model_validate_json((tmp_path / "rapid-data" / "report.json").read_text())
        ended.append({(s.step, s.data_id.get("detector")): s.outcome for s in report.shards})
    first, more = ended
    assert first == {
        ("detector_step", 90): Outcome.DONE,
        ("detector_step", 91): Outcome.SHED,
        ("exposure_step", None): Outcome.DONE,
    }
    assert more == {("detector_step", 91): Outcome.DONE, ("exposure_step", None): Outcome.DONE}
    butler = Butler.from_config(str(tmp_path / "repo"))
    outcomes = butler.query_datasets("rapid_detector_step_outcome", "rapid")
    assert {butler.get(ref)["outcome"] for ref in outcomes} == {"done"}
    assert {ref.dataId["detector"] for ref in outcomes} == {90, 91}


def test_raws_are_moved_once_nothing_reads_them(tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(PIPELINE.format(failing="", empty=[]))
    rapid_here("simulate", tmp_path / "landing", "--detectors", "90,91", "--scale", "1/16")
    rapid_here("init-repo", tmp_path / "repo", "--instrument", "LSSTCamSim")
    rapid_exec(
        "run",
        "toy.yaml",
        "-b",
        "repo",
        "--watch",
        "landing",
        "--detectors",
        "90,91",
        "--transfer",
        "move",
        "--until-idle",
        1,
        "--workers",
        1,
        cwd=tmp_path,
    )
    assert not list((tmp_path / "landing").rglob("*.fits"))
    butler = Butler.from_config(str(tmp_path / "repo"))
    raws = butler.query_datasets("raw", "LSSTCamSim/raw/all")
    assert {butler.get(ref).detector for ref in raws} == {90, 91}
    for ref in raws:
        assert butler.getURI(ref).ospath.startswith(str(tmp_path / "repo"))
        # As upstream's ingest makes it: from the data ID and the RUN.
        again = DatasetRef(
            ref.datasetType, ref.dataId, run=ref.run, id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN
        )
        assert again.id == ref.id
    assert len(butler.query_datasets("toy_total", "rapid")) == 1
