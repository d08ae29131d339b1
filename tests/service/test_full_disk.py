"""A full disk under a running executor: nothing fails, and what waited is done when there is room."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.model import Outcome
from lsst.ctrl.rapid.service import Executor, RunSettings
from lsst.ctrl.rapid.simulator import SimulationConfig, simulate
from support.registered import PIPELINE, make_registry
from support.small_disk import small_disk

DETECTORS = (90, 91)


def test_shards_wait_for_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lsst.ctrl.rapid")
    (tmp_path / "toy.yaml").write_text(PIPELINE)
    repository, landing = make_registry(tmp_path), tmp_path / "landing"
    landing.mkdir()
    sent = simulate(SimulationConfig(exposures=1, detectors=DETECTORS, scale="1/16"), tmp_path / "staging")
    raws = {raw.detector: raw.path for raw in sent}
    with small_disk(Path(repository) / "rapid") as disk, small_disk(tmp_path / "work", "64k") as work:
        executor = Executor(
            RunSettings(
                repository=repository,
                pipeline=tmp_path / "toy.yaml",
                watch=(landing,),
                detectors=DETECTORS,
                gather_timeout=300.0,
                work_dir=work.folder,
            ),
            feeder=lambda: feed(),
        )

        def troubles() -> list[str]:
            return list(executor._control.status().troubles)

        async def until(*texts: str) -> None:
            while not all(any(text in told for told in troubles()) for text in texts):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

        async def feed() -> None:
            disk.fill()
            work.fill()
            (landing / "text.fits").write_text("This is no raw.")
            for path in raws.values():
                shutil.copy(path, landing)
            await until("Nothing can be written: No space left on device", "The ledger cannot be written")
            status = executor._control.status()
            assert (status.ended, status.running, status.refused) == ({}, 0, 1)
            assert sum(not path.name.startswith(".") for path in disk.folder.rglob("*.fits")) == 0
            disk.make_room()
            work.make_room()
            while troubles():  # noqa: ASYNC110
                await asyncio.sleep(0.05)

        report = asyncio.run(asyncio.wait_for(executor.run(), timeout=200))
        assert {shard.outcome for shard in report.shards} == {Outcome.DONE}
        assert {shard.attempt for shard in report.shards} == {1}
        assert len(report.shards) == len(DETECTORS) + 1
        assert "text.fits" in (work.folder / "ledger.jsonl").read_text()
        assert (work.folder / "report.json").exists()
        with Butler.from_config(repository) as butler:
            outcomes = butler.query_datasets("rapid_step1a_outcome", "rapid/*", find_first=False)
            assert {ref.dataId["detector"] for ref in outcomes} == set(DETECTORS)
            for ref in butler.query_all_datasets("rapid/*", find_first=False):
                assert butler.getURI(ref).exists(), ref
        temporary = [path for path in disk.folder.rglob("*") if ".tmp" in path.name or "probe" in path.name]
        assert not temporary
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert sum(line.startswith("Nothing can be written: No space left on device: ") for line in errors) == 1
    assert sum(line.startswith("The ledger cannot be written") for line in errors) == 1
