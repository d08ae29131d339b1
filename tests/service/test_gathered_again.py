"""A detector that comes after all was gathered, in another run."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.model import Outcome, Report
from lsst.ctrl.rapid.service import Executor, RunSettings
from lsst.ctrl.rapid.simulator import SimulationConfig, simulate
from support.registered import PIPELINE, make_registry

DETECTORS = (90, 91, 92)


class Place:
    """A repository, a landing folder, and the raws of one exposure."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.landing = folder / "landing"
        self.landing.mkdir()
        self.repository = make_registry(folder)
        self.write(PIPELINE)
        config = SimulationConfig(detectors=DETECTORS, scale="1/16")
        self.raws = {raw.detector: raw.path for raw in simulate(config, folder / "staging")}

    def write(self, pipeline: str) -> None:
        (self.folder / "toy.yaml").write_text(pipeline)

    def run(self, *detectors: int, transfer: str = "direct") -> Report:
        """Have raws come in a run of their own."""

        async def feed() -> None:
            for detector in detectors:
                shutil.copy(self.raws[detector], self.landing)

        settings = RunSettings(
            repository=self.repository,
            pipeline=self.folder / "toy.yaml",
            watch=(self.landing,),
            detectors=DETECTORS,
            work_dir=self.folder / "work",
            transfer=transfer,
        )
        report = asyncio.run(asyncio.wait_for(Executor(settings, feed).run(), timeout=120))
        assert {shard.outcome for shard in report.shards} <= {Outcome.DONE}
        return report

    def gathered(self) -> list[int]:
        """Return how many detectors each registered gather took."""
        with Butler.from_config(self.repository) as butler:
            refs = butler.query_datasets("toy_total", "rapid/*", find_first=False)
            return sorted(butler.get(ref)["n"] for ref in refs)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def steps(report: Report) -> Counter[str]:
    return Counter(shard.step for shard in report.shards)


@pytest.mark.parametrize("transfer", ["direct", "copy"])
def test_it_is_gathered_with_those_of_the_run_before(place: Place, transfer: str) -> None:
    place.run(90, 91, transfer=transfer)
    assert place.gathered() == [2]
    if transfer == "copy":
        for path in place.landing.iterdir():
            path.unlink()
    assert steps(place.run(92, transfer=transfer)) == {"step1a": 1, "step1b": 1}
    assert place.gathered() == [3]
    assert steps(place.run(transfer=transfer)) == {}, "all is done"


def test_what_another_payload_gathered_is_left(place: Place) -> None:
    place.run(90, 91)
    changed = "gather: {class: support.toy_tasks.GatherTask, config: {saveLogOutput: false}}"
    place.write(PIPELINE.replace("gather: support.toy_tasks.GatherTask", changed))
    assert steps(place.run(92)) == {"step1a": 1}
    assert place.gathered() == [2]


def test_what_read_scratch_is_not_made_again_without_it(place: Place) -> None:
    (place.folder / "toy.rapid.yaml").write_text("scratch: [toy_scaled]\n")
    place.run(90, 91)
    assert steps(place.run(92)) == {"step1a": 1}
    assert place.gathered() == [2]
