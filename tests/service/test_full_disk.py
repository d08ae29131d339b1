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
SHARDS = len(DETECTORS) + 1
"""Shards of an exposure, its gather among them."""


def test_shards_wait_for_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lsst.ctrl.rapid")
    (tmp_path / "toy.yaml").write_text(PIPELINE)
    repository, landing = make_registry(tmp_path), tmp_path / "landing"
    landing.mkdir()
    sent = list(
        simulate(SimulationConfig(exposures=2, detectors=DETECTORS, scale="1/16"), tmp_path / "staging")
    )
    first, second = (
        [raw.path for raw in sent if raw.exposure == exposure]
        for exposure in sorted({raw.exposure for raw in sent})
    )
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

        def images() -> int:
            return sum(not path.name.startswith(".") for path in disk.folder.rglob("*.fits"))

        def troubles() -> list[str]:
            return list(executor._control.status().troubles)

        async def until(*texts: str) -> None:
            while not all(any(text in told for told in troubles()) for text in texts):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

        async def feed() -> None:
            # The RUN is begun before the disk is full: the registry can be written all the time.
            for path in first:
                shutil.copy(path, landing)
            while (status := executor._control.status()).ended != {"done": SHARDS} or status.uncommitted:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            before = images()
            disk.fill()
            work.fill()
            (landing / "text.fits").write_text("This is no raw.")
            for path in second:
                shutil.copy(path, landing)
            await until("Nothing can be written: No space left on device", "The ledger cannot be written")
            status = executor._control.status()
            assert (status.ended, status.running, status.refused) == ({"done": SHARDS}, 0, 1)
            assert images() == before
            disk.make_room()
            work.make_room()
            while troubles():  # noqa: ASYNC110
                await asyncio.sleep(0.05)

        report = asyncio.run(asyncio.wait_for(executor.run(), timeout=200))
        assert {shard.outcome for shard in report.shards} == {Outcome.DONE}
        assert {shard.attempt for shard in report.shards} == {1}
        assert len(report.shards) == 2 * SHARDS
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
