"""A run with options that ``pipetask`` has, too, beside a run of ``pipetask`` with the same."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.model import Outcome, Report
from support.compare import differences
from support.processes import pipetask, rapid_exec, rapid_here

PIPELINE = """
description: Not ours.
tasks:
  level: support.toy_tasks.LevelTask
  scale: support.toy_tasks.ScaleTask
  gather: support.toy_tasks.GatherTask
"""
SAME = (
    "-c", "level:empty=[90]", "-C", "level:$TOY_FOLDER/change.py", "-c", "level:failing_in={failing}",
    "-c", "scale:connections.scaled=toy_other", "-c", "gather:connections.scaled=toy_other",
)  # fmt: skip
LOGGED = ("--log-level", "support=INFO,lsst.pipe.base=ERROR")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipetask")
    (folder / "toy.yaml").write_text(PIPELINE)
    (folder / "failing").write_text("91")
    (folder / "change.py").write_text("config.empty = [92]\nconfig.failing_in = 'not there'\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOY_FOLDER", str(folder))
        same = [word.format(failing=folder / "failing") for word in SAME]
        rapid_exec(
            *LOGGED, "run", "toy.yaml#level,scale,gather", "--simulate", 1, "--detectors", "90..92", "-j", 2,
            "--work-dir", "work", *same, "--log-file", "all.log", "--log-file", "all.json",
            cwd=folder,
        )  # fmt: skip
        done = pipetask(
            *LOGGED, "run", "-b", "work/repo", "-p", "toy.yaml#level,scale,gather",
            "-i", "LSSTCamSim/defaults", "--output-run", "u/plain",
            "-d", "instrument='LSSTCamSim' AND exposure > 0", *same,
            cwd=folder,
        )  # fmt: skip
    assert "this detector fails on purpose" in done.stderr
    return folder


@pytest.fixture(scope="module")
def report(work: Path) -> Report:
    return Report.model_validate_json((work / "work" / "report.json").read_text())


def test_configurations_logs_and_products_are_the_same(work: Path, report: Report) -> None:
    [run] = report.runs
    butler = Butler.from_config(str(work / "work" / "repo"))
    # Upstream gives the gather up when a task that feeds it failed; ours gathers what is there.
    gathered = ("toy_total", "gather_log", "gather_metadata")
    assert differences(butler, run, "u/plain", ignored=gathered) == []
    config = butler.get("level_config", collections=run)
    assert (list(config.empty), Path(config.failing_in).name) == ([92], "failing")
    assert butler.query_datasets("toy_other", run)
    [log] = [ref for ref in butler.query_datasets("level_log", run) if ref.dataId["detector"] == 90]
    logs = butler.get(log)
    assert [record.message for record in logs if record.levelname == "INFO"] == ["Level of detector 90."]
    assert {record.name.partition(".")[0] for record in logs} == {"support"}


def test_the_run_is_the_one_that_was_planned(
    work: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(work)
    monkeypatch.setenv("TOY_FOLDER", str(work))
    same = [word.format(failing=work / "failing") for word in SAME]
    found = [
        json.loads(rapid_here("plan", "toy.yaml", *words, "--json", "--log-level", "ERROR"))[0]["hash"]
        for words in (same, [])
    ]
    assert report.runs[0].endswith(f"/toy-{found[0]}")
    assert found[0] != found[1]


def test_the_command_that_repeats_a_failure_has_the_same_configuration(work: Path, report: Report) -> None:
    [failed] = [shard for shard in report.shards if shard.outcome is Outcome.FAILED]
    words = shlex.split(failed.repeat)
    assert f"level:{work}/change.py" in words, "it is found from any folder"
    assert not [word for word in words if word.startswith("gather:")], (
        "pipetask would refuse it for this step"
    )
    done = pipetask(*words[1:], cwd=Path("/"))
    assert done.returncode != 0
    assert "this detector fails on purpose" in done.stderr


def test_log_files_have_the_lines_of_the_head_and_of_the_workers(work: Path) -> None:
    lines = (work / "all.log").read_text().splitlines()
    assert any("lsst.ctrl.rapid.engine" in line and "is warm after" in line for line in lines)
    [level] = [line for line in lines if "Level of detector 90." in line]
    assert level.startswith("INFO 2")
    assert "support" in level
    assert "detector: 90" in level, "it names the quantum"
    records = [json.loads(line) for line in (work / "all.json").read_text().splitlines()]
    assert sum(record["message"] == "Level of detector 90." for record in records) == 1
    assert len(records) == len([line for line in lines if line.startswith(("INFO", "WARNING", "ERROR"))])
