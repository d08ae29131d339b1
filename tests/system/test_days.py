"""A night-level step of a live run: in part as the night goes on, whole at its end, again when more comes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.model import Outcome
from support.processes import Running, pipetask, rapid_here

PIPELINE = """
description: A night is counted.
tasks:
  level: support.toy_tasks.LevelTask
  scale: support.toy_tasks.ScaleTask
  gather: support.toy_tasks.GatherTask
  night: support.toy_tasks.NightTask
"""

RAPID = """
pipelines: [{pipeline: night.yaml}]
publish: [toy_night]
day_update: 2
"""

type Raws = dict[int, list[Path]]


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "night.yaml"
    path.write_text(PIPELINE)
    (tmp_path / "night.rapid.yaml").write_text(RAPID)
    return path


@pytest.fixture
def raws(tmp_path: Path) -> Raws:
    """Raws of four exposures, in the order in which they were taken, in a folder that nobody watches."""
    rapid_here("simulate", tmp_path / "camera", "--scale", "1/8", "--detectors", "90,91", "--exposures", 4)
    found: Raws = {}
    for line in map(json.loads, (tmp_path / "camera" / "manifest.jsonl").read_text().splitlines()):
        found.setdefault(line["exposure"], []).append(Path(line["path"]))
    return found


def send(run: Running, raws: Raws, numbers: Iterable[int]) -> None:
    for number in numbers:
        for path in list(raws.values())[number]:
            path.rename(run.work / "landing" / path.name)


def nights(run: Running) -> dict[str, dict[str, int]]:
    """Return what is registered of the night, by RUN."""
    butler = Butler.from_config(str(run.work / "repo"))
    refs = butler.query_datasets("toy_night", "*", find_first=False, explain=False)
    return {ref.run: butler.get(ref) for ref in refs}


def test_a_night_in_part_after_a_restart_whole_and_again(
    start_run: Callable[..., Running], pipeline: Path, raws: Raws, tmp_path: Path
) -> None:
    first = start_run("--detectors", "90,91", "--workers", 1, pipeline=pipeline)
    first.wait_for_log("is warm")
    send(first, raws, [0, 1])
    first.wait_for_log("(partial) done")
    [(partial, night)] = nights(first).items()
    assert partial.startswith("rapid/partial/")
    assert night == {"exposures": 2, "detectors": 4}
    first.wait_for_log("Published")
    [published] = (first.work / "published").glob("*/toy_night/*")
    day_obs = published.parts[-3]
    assert published.name == f"LSSTCamSim_{day_obs}_toy_night{published.suffix}"
    first.process.kill()
    first.end()

    # One exposure comes while nothing runs; the next run ends when it has nothing to do, and closes the day.
    send(first, raws, [2])
    second = start_run("--detectors", "90,91", "--workers", 1, "--until-idle", 1, pipeline=pipeline)
    assert second.end() == 0, second.log.read_text()
    [(whole, night)] = nights(second).items()
    assert whole.startswith(f"rapid/{day_obs}/")
    assert night == {"exposures": 3, "detectors": 6}
    [shard] = [shard for shard in second.report.shards if "day_obs" in shard.data_id]
    assert (shard.outcome, shard.planned_by, shard.partial) == (Outcome.DONE, "builder", False)
    assert second.report.summary.exposures == 1

    # The RUN is what plain pipetask would have made of these exposures.
    again = pipetask(
        "run", "-b", second.work / "repo", "-p", pipeline, "-i", "LSSTCamSim/defaults", "--output-run", whole,
        "--extend-run", "--skip-existing", "-d", f"instrument='LSSTCamSim' AND day_obs={day_obs}",
        cwd=tmp_path,
    )  # fmt: skip
    assert "contains no quanta" in again.stderr, again.stderr

    send(first, raws, [3])
    third = start_run("--detectors", "90,91", "--workers", 1, "--until-idle", 1, pipeline=pipeline)
    assert third.end() == 0, third.log.read_text()
    assert nights(third) == {whole: {"exposures": 4, "detectors": 8}}
    assert "more has come; it is made again" in third.log.read_text()
    ledger = [json.loads(line) for line in (third.work / "ledger.jsonl").read_text().splitlines()]
    assert [line["run"] for line in ledger] == [whole]
