"""Bad files among good ones, in two runs of one executor: each is told once, and nothing else is lost."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from lsst.daf.butler import Butler, MissingDatasetTypeError

from lsst.ctrl.rapid.cli._control_screen import print_status
from lsst.ctrl.rapid.model import Outcome, Report
from lsst.ctrl.rapid.service import Executor, RunSettings
from lsst.ctrl.rapid.simulator import SimulationConfig, simulate
from support.registered import PIPELINE, make_registry
from support.small_raws import set_card

DETECTORS = (90, 91, 92)
BURST = 300


class Night:
    """A landing folder, the raws of one exposure, and an executor that can be started again."""

    def __init__(self, folder: Path) -> None:
        (folder / "toy.yaml").write_text(PIPELINE)
        self.folder, self.landing = folder, folder / "landing"
        self.landing.mkdir()
        self.repository = make_registry(folder)
        sent = simulate(SimulationConfig(exposures=1, detectors=DETECTORS, scale="1/16"), folder / "staging")
        self.raws = {raw.detector: raw.path for raw in sent}
        self.executor: Executor | None = None

    def run(self, feed: Callable[[], Awaitable[None]], **settings: object) -> Report:
        told = RunSettings(
            repository=self.repository,
            pipeline=self.folder / "toy.yaml",
            watch=(self.landing,),
            detectors=DETECTORS,
            gather_deadline=0.5,
            work_dir=self.folder / "work",
            **settings,
        )
        self.executor = Executor(told, feed)
        return asyncio.run(asyncio.wait_for(self.executor.run(), timeout=120))

    @property
    def ledger(self) -> Counter[str]:
        """How many lines each file has."""
        path = self.folder / "work" / "ledger.jsonl"
        lines = map(json.loads, path.read_text().splitlines() if path.exists() else [])
        return Counter(Path(line["path"]).name for line in lines if "path" in line)

    def done(self) -> set[int]:
        """Return the detectors that are registered as done."""
        with Butler.from_config(self.repository) as butler:
            try:
                refs = butler.query_datasets(
                    "rapid_step1a_outcome", "rapid/*", find_first=False, explain=False
                )
            except MissingDatasetTypeError:
                return set()
            return {int(ref.dataId["detector"]) for ref in refs}

    async def until(self, condition: Callable[[], object]) -> None:
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 -- another process or thread brings it
            await asyncio.sleep(0.1)


def test_each_is_told_once_and_nothing_else_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    night = Night(tmp_path)
    landing, raws = night.landing, night.raws
    caplog.set_level(logging.INFO, "lsst.ctrl.rapid")

    async def first() -> None:
        (landing / "text.fits").write_text("This is no raw.")
        os.mkfifo(landing / "pipe.fits")
        (landing / "new\nline.fits").write_text("Nor is this.")
        for detector in (90, 91):
            shutil.copy(raws[detector], landing / f"{detector}.fits")
        await night.until(lambda: night.done() == {90, 91})
        shutil.copy(raws[90], landing / "again.fits")
        set_card(shutil.copy(raws[91], tmp_path / "91.fits"), "DARKTIME", "1.25").rename(
            landing / "other.fits"
        )
        set_card(shutil.copy(raws[90], tmp_path / "90.fits"), "DARKTIME", "1.25").rename(landing / "90.fits")
        await night.until(lambda: night.ledger["90.fits"])
        with (landing / "91.fits").open("r+b") as stream:
            stream.truncate(10_000)
        await night.until(lambda: night.ledger["91.fits"])
        for number in range(BURST):
            (landing / f"burst{number}.fits").touch()
        await night.until(lambda: night.ledger.total() == len(expected) + BURST)
        print_status(night.executor._control.status())

    expected = {
        "text.fits": "text.fits is not a FITS file",
        "pipe.fits": "pipe.fits is a pipe (FIFO), not a file",
        "new\nline.fits": "its name has control characters",
        "again.fits": "it is the same raw as {landing}/90.fits, which came before",
        "other.fits": "with other content; the first counts",
        "90.fits": "its content was changed after it had been taken; what was read first counts",
        "91.fits": "it was changed after it had been taken, and is no raw now: 91.fits is cut short",
    }
    report = night.run(first)
    reasons = {Path(file.path).name: file.reason for file in report.refused}
    for name, reason in expected.items():
        assert reason.format(landing=landing) in reasons[name]
    assert report.summary.refused_files == len(expected) + BURST
    assert night.ledger == Counter([*expected, *(f"burst{number}.fits" for number in range(BURST))])
    done = [s.data_id["detector"] for s in report.shards if s.outcome is Outcome.DONE and s.step == "step1a"]
    assert sorted(done) == [90, 91]
    # One line each, but not hundreds of a kind.
    lines = [record.getMessage() for record in caplog.records]
    assert all("\n" not in line for line in lines)
    assert sum("text.fits is refused: text.fits is not a FITS file" in line for line in lines) == 1
    assert sum("is refused: burst" in line for line in lines) < 60
    assert any("more file(s) are refused; each is in" in line for line in lines)
    told = capsys.readouterr().out
    assert f"{len(expected) + BURST} file(s) refused" in told
    assert "burst299.fits: burst299.fits is empty." in told
    assert "the ledger has each" in told

    # Started again: what is as it was is not written down twice, what is good now is taken.
    for number in range(BURST):
        (landing / f"burst{number}.fits").unlink()
    shutil.copy(raws[92], landing / ".92")
    (landing / ".92").rename(landing / "text.fits")
    before, quarantine = night.ledger, tmp_path / "quarantine"

    async def second() -> None:
        await night.until(lambda: 92 in night.done())

    report = night.run(second, quarantine=quarantine)
    assert night.done() == {90, 91, 92}
    assert "text.fits" not in {Path(file.path).name for file in report.refused}
    assert {name: night.ledger[name] for name in ("pipe.fits", "new\nline.fits")} == {
        "pipe.fits": 1, "new\nline.fits": 1
    }  # fmt: skip
    assert night.ledger["text.fits"] == before["text.fits"]
    # What is refused is put aside, but never what the repository has.
    moved = {path.name for path in quarantine.iterdir() if path.suffix != ".reason"}
    assert {"pipe.fits", "new\nline.fits"} <= moved
    assert moved.isdisjoint({"90.fits", "91.fits", "text.fits"})
    assert {path.name for path in landing.iterdir()} >= {"90.fits", "91.fits", "text.fits"}
    reason = json.loads((quarantine / "pipe.fits.reason").read_text())
    assert "pipe (FIFO)" in reason["reason"]


def test_which_file_of_a_raw_came_first_holds_over_restarts(tmp_path: Path) -> None:
    night = Night(tmp_path)
    first, second = night.landing / "z.fits", night.landing / "a.fits"

    async def in_turn() -> None:
        shutil.copy(night.raws[90], first)
        await night.until(lambda: night.done() == {90})
        copy = Path(shutil.copy(night.raws[90], tmp_path / "a.fits"))
        # A start tells of the oldest files first.
        os.utime(copy, (first.stat().st_mtime - 10,) * 2)
        await asyncio.to_thread(copy.rename, second)
        await night.until(lambda: night.ledger["a.fits"])

    night.run(in_turn)
    # The run is killed before the raw is registered: nothing is known but what the ledger says.
    shutil.rmtree(night.folder / "repo")
    night.repository = make_registry(night.folder)
    report = night.run(lambda: night.until(lambda: night.done() == {90}))
    with Butler.from_config(night.repository) as butler:
        [raw] = butler.query_datasets("raw", "*", find_first=False)
        assert butler.getURI(raw).ospath == str(first)
    assert [Path(file.path).name for file in report.refused] == ["a.fits"]
    assert night.ledger == {"a.fits": 1}

    # Where the first is gone, the second is all that there is.
    shutil.rmtree(night.folder / "repo")
    night.repository = make_registry(night.folder)
    first.unlink()
    report = night.run(lambda: night.until(lambda: night.done() == {90}))
    assert not report.refused
