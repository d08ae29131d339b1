"""The main job, from simulated raws to a repository that upstream's tools understand."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.model import Outcome, Report
from support.compare import differences
from support.processes import SUMMIT, pipetask, rapid_exec

DETECTORS = (0, 1, 90, 94)  # two of ITL, two of E2V
INPUTS = "LSSTCamSim/defaults"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder in which one exposure of each kind was simulated and reduced."""
    folder = tmp_path_factory.mktemp("run")
    rapid_exec(
        "run",
        SUMMIT,
        "--simulate",
        5,
        "--sequence",
        "science,bias,dark,flat",
        "--cadence",
        0,
        "--detectors",
        ",".join(map(str, DETECTORS)),
        "--work-dir",
        "work",
        "--workers",
        2,
        "--report",
        "elsewhere/report.json",
        cwd=folder,
    )
    return folder / "work"


@pytest.fixture(scope="module")
def report(work: Path) -> Report:
    return Report.model_validate_json((work / "report.json").read_text())


@pytest.fixture
def butler(work: Path) -> Butler:
    return Butler.from_config(str(work / "repo"), writeable=False)


def test_every_shard_is_done(report: Report, work: Path) -> None:
    assert report.summary.exposures == 5
    assert report.summary.shards[Outcome.DONE] == 5 * (len(DETECTORS) + 1)
    assert report.summary.shards[Outcome.FAILED] == 0
    assert report.summary.missing == 0
    assert not report.refused
    assert {shard.planned_by for shard in report.shards} == {"memory"}
    assert (work.parent / "elsewhere/report.json").read_text() == (work / "report.json").read_text()


def test_each_kind_of_exposure_has_its_pipeline(report: Report, butler: Butler) -> None:
    types = {
        record.id: record.observation_type
        for record in butler.query_dimension_records("exposure", instrument="LSSTCamSim")
    }
    pipelines = {"science": "summit", "bias": "summitBias", "dark": "summitDark", "flat": "summitFlat"}
    assert sorted(types.values()) == ["bias", "dark", "flat", "flat", "science"]
    for shard in report.shards:
        assert shard.pipeline == pipelines[types[int(shard.data_id["exposure"])]]


def test_times_pass_in_order_and_overhead_adds_up(report: Report) -> None:
    for shard in report.shards:
        times = shard.times
        passed = [
            times.file_closed,
            times.seen,
            times.ready,
            times.dispatched,
            times.started,
            times.finished,
            times.committed,
        ]
        assert None not in passed
        assert passed == sorted(passed, key=float)  # type: ignore[arg-type]
        assert shard.overhead is not None
        parts = shard.overhead
        assert parts.latency_ms == pytest.approx(parts.no_worker_free_ms + parts.overhead_ms)
        assert parts.latency_ms == pytest.approx(1e3 * (times.started - times.file_closed), abs=1e-6)


def test_everything_reported_is_registered_and_readable(report: Report, butler: Butler) -> None:
    total = 0
    for run in report.runs:
        for dataset_type in butler.collections.get_info(run, include_summary=True).dataset_types or ():
            if "exposure" not in butler.get_dataset_type(dataset_type).dimensions.names:
                continue
            for ref in butler.query_datasets(dataset_type, run, find_first=False):
                total += 1
                assert butler.getURI(ref).exists()
    assert total == report.summary.datasets_committed
    raws = butler.query_datasets("raw", "LSSTCamSim/raw/all")
    assert len(raws) == 5 * len(DETECTORS)


def test_outcomes_say_how_each_shard_ended(report: Report, butler: Butler) -> None:
    outcomes = butler.query_datasets("rapid_step1a_outcome", "rapid/*", find_first=False)
    assert len(outcomes) == 5 * len(DETECTORS)
    assert all(butler.get(ref)["outcome"] == "done" for ref in outcomes)


def test_output_chain_holds_the_runs_and_the_inputs(report: Report, butler: Butler) -> None:
    chain = butler.collections.get_info("rapid").children
    assert set(report.runs) | {INPUTS} <= set(chain)
    assert chain[-1] == INPUTS


def test_published_pictures_are_whole(work: Path) -> None:
    pictures = list((work / "published").rglob("*.png"))
    assert len(pictures) == 5 + 1  # a mosaic of each exposure, the PSF of the science exposure
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


@pytest.mark.parametrize(
    ("pipeline", "step"),
    [("summit", "step1a"), ("summit", "step1b"), ("summitBias", "step1b")],
)
def test_pipetask_finds_nothing_to_do(work: Path, report: Report, pipeline: str, step: str) -> None:
    [run] = [run for run in report.runs if f"/{pipeline}-" in run]
    exposures = {int(s.data_id["exposure"]) for s in report.shards if s.pipeline == pipeline}
    done = pipetask(
        "run",
        "-b",
        "repo",
        "-p",
        f"{SUMMIT.with_name(pipeline)}.yaml#{step}",
        "-i",
        f"{run},{INPUTS}",
        "--output-run",
        run,
        "--extend-run",
        "--skip-existing",
        "-d",
        f"instrument='LSSTCamSim' and exposure in ({','.join(map(str, exposures))})",
        cwd=work,
    )
    assert "previously succeeded and skipped" in done.stderr, done.stderr
    assert "QuantumGraph contains no quanta" in done.stderr, done.stderr


def test_plain_pipetask_gives_the_same_datasets(work: Path, report: Report, butler: Butler) -> None:
    [ours] = [run for run in report.runs if "/summit-" in run]
    [exposure] = {int(s.data_id["exposure"]) for s in report.shards if s.pipeline == "summit"}
    done = pipetask(
        "run",
        "-b",
        "repo",
        "-p",
        SUMMIT,
        "-i",
        INPUTS,
        "--output-run",
        "u/plain",
        "-d",
        f"instrument='LSSTCamSim' and exposure={exposure}",
        cwd=work,
    )
    assert done.returncode == 0, done.stderr
    assert differences(butler, ours, "u/plain") == []


def test_report_command_shows_where_the_time_went(work: Path) -> None:
    done = rapid_exec("report", "report.json", "--plot", "times.png", cwd=work)
    assert "overhead" in done.stdout
    assert "Warm-up" in done.stdout
    assert "quickIsr" in done.stdout
    assert (work / "times.png").read_bytes().startswith(b"\x89PNG")


def test_a_second_run_leaves_what_is_done(work: Path, report: Report) -> None:
    again = rapid_exec(
        "run",
        SUMMIT,
        "--work-dir",
        "work",
        "--until-idle",
        1,
        "--workers",
        1,
        "--report",
        "again.json",
        "--detectors",
        ",".join(map(str, DETECTORS)),
        cwd=work.parent,
    )
    second = Report.model_validate_json((work.parent / "again.json").read_text())
    assert second.shards == (), again.stdout
    assert not second.refused
