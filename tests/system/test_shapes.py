"""Pipelines of many shapes, run live and by plain ``pipetask``: same datasets, contents, logs and caveats."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from lsst.daf.butler import Butler, FileDataset

from lsst.ctrl.rapid.instruments import RawFormatter, repository_config
from lsst.ctrl.rapid.model import Outcome, Report
from plan.shapes import SHAPES
from support.compare import differences
from support.processes import environment, rapid_here
from support.shape_night import INPUTS, Night, add_camera, add_exposures, add_given, fill, raws, stored
from support.shape_words import Shape, write_pipeline

NIGHT = Night()
WHERE = "instrument = 'ShapeCam' AND exposure IN (1, 2)"

_ALWAYS = {
    ("calibrations", "what holds changes between the exposures"),
    ("exposures", "detectors again after the gather"),
    ("init", "an init-output of an earlier step"),
    ("tracts and patches", "a task of a patch and one of the visit"),
    ("visits", "a visit reads what exposures made"),
}
_SLOW = {
    ("adjustQuantum", "no work for some"),
    ("adjust_all_quanta", "of an earlier step's images"),
    ("components", "of an earlier step"),
    ("dynamic connections", "an output more"),
    ("groups", "a detector of a group"),
    ("groups", "exposures within a group"),
    ("inner join", "an input is there for some detectors"),
    ("look-up functions", "another than what is certified"),
    ("multiple and deferred", "the same images twice"),
    ("optional inputs", "of a gather"),
    ("other spatial prerequisites", "templates of a detector"),
    ("reference catalogues", "with what makes the image"),
    ("storage classes", "converted in the same step and in a later one"),
    ("wide outputs", "an exposure writes for each detector"),
}

CHOSEN_SHAPES = [
    pytest.param(
        shape, marks=[pytest.mark.slow] if (shape.feature, shape.name) in _SLOW else [], id=str(shape)
    )
    for shape in SHAPES
    if (shape.feature, shape.name) in _ALWAYS | _SLOW
]
"""One shape of each feature that can be run; the table in ``plan/shapes.py`` has more of them."""


def pipetask_many(*commands: list[str], cwd: Path) -> list[tuple[int, str]]:
    """Run several ``pipetask`` commands; returns their exit codes and outputs."""
    done = subprocess.run(
        [sys.executable, "-m", "support.pipetask_many"],
        input=json.dumps(commands), cwd=cwd, env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [(code, output) for code, output in json.loads(done.stdout.splitlines()[-1])]


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two exposures of four detectors, whose raws are one simulated file."""
    folder = tmp_path_factory.mktemp("shapes")
    rapid_here("simulate", folder / "landing", "--detectors", "90", "--scale", "1/16", "--log-level", "error")
    [file] = (folder / "landing").rglob("*.fits")
    root = folder / "repo"
    Butler.makeRepo(str(root), config=repository_config())
    with Butler.from_config(str(root), writeable=True) as butler:
        add_camera(butler, NIGHT)
        fill(butler, NIGHT, stored)
        add_exposures(butler, NIGHT)
        add_given(butler, NIGHT, stored)
        for exposure in NIGHT.exposures:
            for ref in raws(butler, NIGHT, exposure, NIGHT.detectors):
                copy = folder / f"{exposure}-{ref.dataId['detector']}.fits"
                shutil.copy(file, copy)
                butler.ingest(
                    FileDataset(path=str(copy), refs=[ref], formatter=RawFormatter), transfer="direct"
                )
    return root


@dataclasses.dataclass(frozen=True)
class Ran:
    """What became of a shape: live, by plain pipetask, and by pipetask once more on what was run live."""

    report: Report
    theirs: str
    plain: Sequence[tuple[int, str]]
    again: tuple[int, str]


@pytest.fixture(scope="module")
def ran(repo: Path, request: pytest.FixtureRequest) -> Mapping[str, Ran]:
    """All shapes that are asked for, run."""
    shapes: list[Shape] = [
        item.callspec.params["shape"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.function is test_a_shape_gives_what_pipetask_gives
    ]
    reports, commands = {}, []
    for place, shape in enumerate(shapes):
        folder = repo.parent / shape.run
        folder.mkdir(parents=True)
        source = write_pipeline(shape, folder)
        rapid_here(
            "run", source.uri, "-b", repo, "-i", INPUTS, "-d", WHERE, "-o", f"ours/{place}",
            "--work-dir", folder / "work", "--workers", 2,
        )  # fmt: skip
        report = Report.model_validate_json((folder / "work" / "report.json").read_text())
        reports[str(shape)] = report
        theirs = f"theirs/{shape.run}"
        for number, step in enumerate(portions(shape)):
            inputs, more = (f"{theirs},{INPUTS}", ["--extend-run"]) if number else (INPUTS, [])
            commands.append(pipetask_run(repo, f"{source.uri}{step}", inputs, theirs, *more))
        commands.append(
            pipetask_run(repo, source.uri, INPUTS, *report.runs, "--extend-run", "--skip-existing")
        )
    done = iter(pipetask_many(*commands, cwd=repo.parent))
    return {
        str(shape): Ran(
            reports[str(shape)],
            f"theirs/{shape.run}",
            [next(done) for _ in portions(shape)],
            next(done),
        )
        for shape in shapes
    }


def portions(shape: Shape) -> list[str]:
    """Return what plain pipetask is to run, one after another: all, or one step after another.

    One query for all that has a tract leaves out the detectors that lie in none, from the first step on.
    """
    return [f"#{label}" for label in shape.steps] if shape.feature == "tracts and patches" else [""]


def pipetask_run(repo: Path, pipeline: str, inputs: str, run: str, *more: str) -> list[str]:
    return [
        "run", "-b", str(repo), "-p", pipeline, "-d", WHERE, "-i", inputs, "--output-run", run,
        "--register-dataset-types", *more,
    ]  # fmt: skip


@pytest.mark.timeout(600)  # the first of them has all of them run
@pytest.mark.parametrize("shape", CHOSEN_SHAPES)
def test_a_shape_gives_what_pipetask_gives(shape: Shape, repo: Path, ran: Mapping[str, Ran]) -> None:
    found = ran[str(shape)]
    shards = found.report.shards
    assert {s.outcome for s in shards} == {Outcome.DONE}, [s.reason for s in shards]
    planners = {label: str(step.planner) for label, step in shape.steps.items()}
    assert {s.step: s.planned_by for s in shards} == planners
    for code, output in found.plain:
        assert code == 0, output
    assert "QuantumGraph was empty" in found.again[1], found.again[1]
    [ours] = found.report.runs
    assert differences(Butler.from_config(str(repo)), ours, found.theirs) == []
