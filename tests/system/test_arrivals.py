"""Real raws, and what is none, arriving while the executor runs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lsst.daf.butler import Butler, DatasetType, Timespan
from lsst.images import Image

from lsst.ctrl.rapid.ingest import make_repository
from lsst.ctrl.rapid.model import Outcome
from support.processes import Running, rapid_here

RAWS = {
    "lsstcam flat": "30211212000310-R22-S22-det098.fits",
    "lsstcam bias": "3019031900001-R10-S02-det029.fits",
    "comcam bias": "3019053000001-R22-S00-det000.fits",
    "latiss unknown": "3018092000065-det000.fits",
    "simulated science": "7024032100720-R22-S11-det094.fits.fz",
}

EXPECTED = {
    # exposure, detector: instrument, observation type, physical filter, outcome, part of the reason
    (3021121200310, 98): ("LSSTCam", "flat", "SDSSi", Outcome.FAILED, "is certified in"),
    (3019031900001, 29): ("LSSTCam", "bias", "unknown", Outcome.DONE, ""),
    (3018092000065, 0): ("LATISS", "unknown", "unknown~unknown", Outcome.SHED, "no pipeline selects"),
    (7024032100720, 94): ("LSSTCamSim", "science", "r_57", Outcome.FAILED, "is certified in"),
}
"""How each real raw ends: one of them has a bias, the others have none; LSSTComCam is not registered."""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of three instruments, with a bias for one detector."""
    root = tmp_path / "repo"
    make_repository(root, ["LSSTCam", "LSSTCamSim", "LATISS"])
    with Butler.from_config(str(root), writeable=True) as butler:
        dimensions = butler.dimensions.conform(["instrument", "detector"])
        for name in ("bias", "dark"):
            butler.registry.registerDatasetType(DatasetType(name, dimensions, "ImageV2", isCalibration=True))
        dimensions = butler.dimensions.conform(["instrument", "detector", "physical_filter"])
        butler.registry.registerDatasetType(DatasetType("flat", dimensions, "ImageV2", isCalibration=True))
        butler.collections.register("LSSTCam/calib/zero")
        image = Image(np.zeros((4000, 4072), np.float32))
        ref = butler.put(image, "bias", instrument="LSSTCam", detector=29, run="LSSTCam/calib/zero")
        butler.registry.certify("LSSTCam/calib", [ref], Timespan(None, None))
    return root


def test_each_file_ends_as_it_must(
    start_run: Callable[..., Running], repository: Path, shared_data: Path, tmp_path: Path
) -> None:
    raws = shared_data / "raws"
    landing = tmp_path / "landing"
    landing.mkdir()
    # There before the start.
    shutil.copy(raws / RAWS["latiss unknown"], landing / "before.fits")
    run = start_run(
        "-b", repository, "--watch", landing, "--until-idle", 5, "--workers", 1, "--detectors", "0,29,94,98"
    )
    run.wait_for_log("is warm")

    # Renamed into place from a hidden name; copied slowly; in a new sub-folder; the same raw again elsewhere.
    shutil.copy(raws / RAWS["lsstcam bias"], landing / ".bias.part")
    (landing / ".bias.part").rename(landing / "bias.fits")
    content = (raws / RAWS["lsstcam flat"]).read_bytes()
    with (landing / "flat.fits").open("wb", buffering=0) as slow:
        slow.write(content[: len(content) // 2])
        run.wait_for_log("exposure 3019031900001 (bias")
        slow.write(content[len(content) // 2 :])
    (landing / "sub" / "folder").mkdir(parents=True)
    shutil.copy(raws / RAWS["simulated science"], landing / "sub" / "folder" / "science.fits.fz")
    run.wait_for_log("exposure 7024032100720 (science")
    shutil.copy(raws / RAWS["simulated science"], landing / "again.fits.fz")

    # What is refused: truncated, no FITS, another camera; and what is not looked at.
    whole = (raws / RAWS["simulated science"]).read_bytes()
    (landing / "truncated.fits.fz").write_bytes(whole[: len(whole) - 5000])
    (landing / "text.fits").write_text("This is not FITS.")
    (landing / "empty.fits").touch()
    shutil.copy(raws / RAWS["comcam bias"], landing / "comcam.fits")
    (landing / "notes.txt").write_text("left aside")
    run.wait_for_log("is refused", times=5)
    # The executor lives on.
    os.link(landing / "bias.fits", landing / "last.fits")
    run.wait_for_log("last.fits is refused")
    assert run.end() == 0, run.log.read_text()

    report = run.report
    ended = {
        (shard.data_id["exposure"], shard.data_id["detector"]): shard
        for shard in report.shards
        if shard.step == "step1a"
    }
    assert set(ended) == set(EXPECTED)
    butler = Butler.from_config(str(repository))
    for (exposure, detector), (instrument, kind, physical_filter, outcome, reason) in EXPECTED.items():
        shard = ended[exposure, detector]
        assert (shard.data_id["instrument"], shard.outcome) == (instrument, outcome), shard.reason
        assert reason in shard.reason
        [record] = butler.query_dimension_records("exposure", instrument=instrument, exposure=exposure)
        assert (record.observation_type, record.physical_filter) == (kind, physical_filter)
        raw = butler.find_dataset(
            "raw",
            instrument=instrument,
            exposure=exposure,
            detector=detector,
            collections=f"{instrument}/raw/all",
        )
        assert raw is not None
        assert butler.getURI(raw).exists()
        assert butler.get(raw).detector == detector

    refused = {Path(line.path).name: line.reason for line in report.refused}
    assert set(refused) == {
        "again.fits.fz", "truncated.fits.fz", "text.fits", "empty.fits", "comcam.fits", "last.fits"
    }  # fmt: skip
    assert "same raw as" in refused["again.fits.fz"]
    assert "same raw as" in refused["last.fits"]
    assert "not a FITS file" in refused["text.fits"]
    assert "empty" in refused["empty.fits"]
    assert "LSSTComCam" in refused["comcam.fits"]
    assert "init-repo" in refused["comcam.fits"]
    ledger = [json.loads(line) for line in (run.work / "ledger.jsonl").read_text().splitlines()]
    assert {Path(line["path"]).name for line in ledger} == set(refused)
    # The gathers ran with what was there, the other expected detectors missing.
    gathers = {shard.data_id["exposure"]: shard for shard in report.shards if shard.step == "step1b"}
    assert gathers[3019031900001].outcome is Outcome.DONE
    assert report.summary.missing > 0


def test_ingest_raws_registers_files_once(repository: Path, shared_data: Path, tmp_path: Path) -> None:
    files = [shared_data / "raws" / name for name in RAWS.values()]
    (tmp_path / "bad.fits").write_text("no")
    output = rapid_here("ingest-raws", "-b", repository, *files, tmp_path / "bad.fits", code=1)
    assert "4 of 6 file(s) are registered" in output
    assert "bad.fits is refused" in output
    assert "LSSTComCam" in output
    assert "1 of 1" in rapid_here("ingest-raws", "-b", repository, files[0])
    butler = Butler.from_config(str(repository))
    assert len(butler.query_datasets("raw", "*/raw/all", find_first=False)) == 4
