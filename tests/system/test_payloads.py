"""Channels of a scientist's own: written, tested with plain ``pipetask``, and run live."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.model import Outcome, Report
from support.processes import TIMEOUT, environment, rapid_here

DETECTOR_STEP, EXPOSURE_STEP = "payloads_mine_exposure_detector", "payloads_mine_exposure"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A package with a channel for detectors, one that gathers them, and one of its own pipeline."""
    root = tmp_path_factory.mktemp("payloads") / "payloads-mine"
    detector = ("--dimensions", "exposure,detector", "--input", "raw")
    rapid_here("new-channel", "skyLevel", *detector, "--package", root)
    rapid_here(
        "new-channel", "skySpread", "--dimensions", "exposure", "--input", "sky_level", "--input", "raw",
        "--output", "sky_spread:ArrowAstropy", "--package", root,
        "--pipeline", root / "pipelines/skyLevel.yaml",
    )  # fmt: skip
    rapid_here("new-channel", "biasLevel", *detector, "--package", root)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root / "python"))
        paths = [str(root / "python"), environment()["PYTHONPATH"]]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        yield root


def test_unedited_they_pass(package: Path, tmp_path: Path) -> None:
    output = rapid_here(
        "test-channels", package / "pipelines/skyLevel.yaml", "--step", EXPOSURE_STEP,
        "--junit", tmp_path / "junit.xml", "--work-dir", tmp_path / "work",
    )  # fmt: skip
    assert "6 passed, 0 failed, 0 skipped" in output
    [suite] = ET.parse(tmp_path / "junit.xml").getroot()
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("skyLevel", "6", "0")
    assert {(case.get("classname"), case.get("name")) for case in suite} == {
        (f"skyLevel.{step}", name)
        for step, task in ((DETECTOR_STEP, "skyLevel"), (EXPOSURE_STEP, "skySpread"))
        for name in ("pipetask run", task, "skip existing")
    }
    # The science exposure alone was selected, and gathered over its detectors.
    with Butler.from_config(str(tmp_path / "work/repo"), writeable=False) as butler:
        [table] = [
            butler.get(ref) for ref in butler.query_datasets("sky_spread", "payloads/*", find_first=False)
        ]
    assert {row["dataset"] for row in table if row["quantity"] == "mean"} == {"raw 93", "raw 94"}


def test_a_broken_one_is_red_and_says_why(package: Path, tmp_path: Path) -> None:
    module = package / "python/payloads_mine/bias_level.py"
    text = module.read_text()
    module.write_text(
        text.replace(
            "        numbers: dict", '        raise ValueError("on \\x1b[31mpurpose")\n        numbers: dict'
        )
    )
    facts = package / "pipelines/biasLevel.rapid.yaml"
    facts.write_text(
        "pipelines:\n"
        "- {pipeline: biasLevel.yaml, where: \"exposure.observation_type IN ('bias', 'dark')\"}\n"
        "- {pipeline: skyLevel.yaml, where: \"exposure.observation_type = 'arc'\"}\n"
    )
    output = rapid_here(
        "test-channels", package / "pipelines/biasLevel.yaml", "--step", DETECTOR_STEP,
        "--junit", tmp_path / "junit.xml", code=1,
    )  # fmt: skip
    assert "0 passed, 3 failed, 0 skipped" in output
    broken, unreachable = ET.parse(tmp_path / "junit.xml").getroot()
    failures = {case.get("name"): case.find("failure") for case in broken}
    assert failures.keys() == {"pipetask run", "biasLevel"}
    failure = failures["biasLevel"]
    assert failure is not None
    assert failure.get("message", "").endswith("ValueError: on \ufffd[31mpurpose")
    # Whoever reads it has the command to repeat, and the log.
    assert "pipetask run -b" in (failure.text or "").replace(str(Path(sys.executable).parent) + "/", "")
    assert "Traceback" in (failure.text or "")
    [case] = unreachable
    failure = case.find("failure")
    assert failure is not None
    assert "selects no simulated exposure: there are bias, dark, flat, science" in failure.get("message", "")


def test_they_run_live(package: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lsst.ctrl.rapid.cli", "run", str(package / "pipelines/skyLevel.yaml"),
         "--simulate", "1", "--detectors", "90,91", "--scale", "1/16", "--workers", "1",
         "--work-dir", "work"],
        cwd=tmp_path, env=os.environ | {"PATH": environment()["PATH"]}, capture_output=True, text=True,
        timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report = Report.model_validate_json((tmp_path / "work/report.json").read_text())
    ended = [(shard.step, shard.outcome) for shard in report.shards]
    assert {step for step, _ in ended} == {"step1a", "step1b", DETECTOR_STEP, EXPOSURE_STEP}
    assert {outcome for _, outcome in ended} == {Outcome.DONE}
    with Butler.from_config(str(tmp_path / "work/repo"), writeable=False) as butler:
        [table] = [butler.get(ref) for ref in butler.query_datasets("sky_spread", "rapid")]
    assert {row["dataset"] for row in table if row["quantity"] == "mean"} == {"raw 90", "raw 91"}
