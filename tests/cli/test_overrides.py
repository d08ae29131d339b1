"""Configurations from the command line: what ``rapid-exec`` makes of them, and what ``pipetask`` does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from lsst.ctrl.mpexec.cli.cmd import build as pipetask_build
from lsst.pipe.base import Pipeline

from lsst.ctrl.rapid.cli._plan import plan
from lsst.ctrl.rapid.ingest import make_repository
from lsst.ctrl.rapid.model import InputError
from lsst.ctrl.rapid.plan import PipelineSource, load_pipeline, parse_overrides, read_choices
from support.processes import SUMMIT, rapid_here

PIPELINE = """
description: Not ours.
parameters: {bad: '[90]'}
tasks:
  level:
    class: support.toy_tasks.LevelTask
    config: {empty: parameters.bad}
  scale: support.toy_tasks.ScaleTask
"""
OTHER = """
description: Without a scale.
tasks: {level: support.toy_tasks.LevelTask}
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a pipeline, files that change it, and a companion, in the current folder."""
    (tmp_path / "toy.yaml").write_text(PIPELINE)
    (tmp_path / "other.yaml").write_text(OTHER)
    (tmp_path / "toy.rapid.yaml").write_text(
        "pipelines: [{pipeline: toy.yaml, where: exposure.exposure_time > 1}, {pipeline: other.yaml}]\n"
    )
    (tmp_path / "one.py").write_text("config.failing_in = 'one'\nconfig.hanging = [1]\n")
    (tmp_path / "two.py").write_text("config.failing_in = 'two'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOY_PLACE", str(tmp_path))
    return tmp_path / "toy.yaml"


CASES = [
    ["-c", "level:failing_in=x"],
    ["--config", "level:failing_in=x", "--config", "level:empty=[1,2]"],
    ["-c", "level:failing_in=x", "-c", "level:failing_in=y"],
    ["-c", "level:failing_in=x", "-C", "level:one.py"],
    ["-C", "level:one.py", "-c", "level:failing_in=x"],
    ["-C", "level:one.py", "-C", "level:two.py"],
    ["-C", "level:two.py,level:one.py"],
    ["-C", "level:two.py", "-c", "level:failing_in=x", "--config-file=level:one.py"],
    ["-C", "level:$TOY_PLACE/one.py"],
    ["-c", "parameters:bad=[7]"],
    ["-clevel:failing_in=x"],
    ["-c", "level:failing_in=a=b"],
    ["-c", "level:failing_in="],
    ["-c", "level:failing_in='x, y'"],
    ["-c", "level:connections.level=toy_other", "-c", "scale:connections.level=toy_other"],
    ["-c", "level:failing_in=x:y=z"],
    ["-c", "level:failing_in"],
    ["-c", "failing_in=x"],
    ["-C", "one.py"],
    ["-c", "nolabel:failing_in=x"],
    ["-C", "nolabel:one.py"],
    ["-C", "parameters:one.py"],
    ["-c", "level:fayling_in=x"],
    ["-c", "level:hanging=x"],
    ["-C", "level:absent.py"],
]  # fmt: skip


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_the_same_as_pipetask(words: Sequence[str], toy: Path) -> None:
    """The pipeline with its configurations, or a refusal of both."""
    asked = plan.make_context("plan", [str(toy), *words]).params["overrides"]
    theirs = CliRunner().invoke(
        pipetask_build, ["-p", str(toy), *words, "--show", "task-graph", "--save-pipeline", "theirs.yaml"]
    )
    if theirs.exit_code:
        with pytest.raises(InputError):
            load_pipeline(read_choices(PipelineSource.parse(str(toy), parse_overrides(asked))).sources[0])
        return
    expected = Pipeline.from_uri("theirs.yaml").to_graph()
    source = PipelineSource.parse(str(toy), parse_overrides(asked))
    ours = load_pipeline(read_choices(source).sources[0])
    assert ours.tasks.keys() == expected.tasks.keys()
    for label, node in ours.tasks.items():
        assert node.get_config_str() == expected.tasks[label].get_config_str()
    assert yaml.safe_load(str(read_choices(source).sources[0].read())) == yaml.safe_load(
        Path("theirs.yaml").read_text()
    )


def hashes(*words: str | Path) -> dict[str, str]:
    found = json.loads(rapid_here("plan", *words, "--json", "--log-level", "ERROR"))
    return {Path(one["pipeline"]).stem: one["hash"] for one in found}


def test_the_hash_has_them_where_the_label_is(toy: Path) -> None:
    before = hashes(toy)
    assert hashes(toy, "-c", "level:failing_in=''") == before, "that is its default"
    both = hashes(toy, "-c", "level:failing_in=x")
    assert both["toy"] != before["toy"]
    assert both["other"] != before["other"]
    one = hashes(toy, "-c", "scale:saveLogOutput=False")
    assert one["toy"] != before["toy"]
    assert one["other"] == before["other"]


def test_it_is_said_which_pipelines_have_the_task(toy: Path) -> None:
    told = rapid_here("plan", toy, "-c", "scale:saveLogOutput=False", "-c", "level:failing_in=x")
    assert told.count("--config") == 1
    assert "--config scale:saveLogOutput=False is for toy; other have no such task." in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["-c", "scael:saveLogOutput=False"],
            "no task of toy, other is labelled 'scael'; did you mean 'scale'?",
        ),
        (["-C", "levle:one.py"], "no task of toy, other is labelled 'levle'; did you mean 'level'?"),
        (["-c", "level:fayling_in=x"], "has no attribute fayling_in; did you mean 'failing_in'?"),
        (["-c", "level:connections.raww=x"], "did you mean 'raw'?"),
        (["-c", "level"], "'level' is not of the form -c/--config LABEL:FIELD=VALUE."),
        (["-C", "level"], "'level' is not of the form -C/--config-file LABEL:FILE."),
        (["-C", "level:absent.py"], "absent.py"),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan", "test-channels"])
def test_what_cannot_be_is_refused_in_one_line(
    command: str, words: Sequence[str], told: str, toy: Path, tmp_path: Path
) -> None:
    output = rapid_here(command, toy, *words, code=2)
    assert told in output.splitlines()[-1]
    assert not (tmp_path / "rapid-data").exists()


def test_what_a_changed_task_no_longer_reads_may_be_named_beside_the_pipeline(tmp_path: Path) -> None:
    """The summit's facts say that darks are shared, which nothing reads then."""
    make_repository(tmp_path / "repo", ["LATISS"])
    place = ("-b", tmp_path / "repo", "--work-dir", tmp_path)
    told = rapid_here("doctor", SUMMIT, *place, "-c", "quickIsr:doDark=False", code=1)
    assert "\nok    pipeline: " in told
    # What is misspelt is still refused where nothing is changed.
    folder = tmp_path / "pipelines"
    shutil.copytree(SUMMIT.parent, folder)
    facts = folder / "summit.rapid.yaml"
    facts.write_text(facts.read_text().replace("shared: [raw, bias, dark,", "shared: [raw, bias, darc,"))
    assert "FAIL  pipeline: " in rapid_here("doctor", folder / "summit.yaml", *place, code=1)
