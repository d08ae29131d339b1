"""The right calibration for each exposure of a night, also when certifications change meanwhile."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import astropy.time
import pytest
from lsst.daf.butler import Butler, CollectionType, DatasetRef, DatasetType, Timespan

from lsst.ctrl.rapid.ingest import make_repository
from lsst.ctrl.rapid.model import Outcome
from support.processes import Running, rapid_here

CAMERA, DETECTOR = "LSSTCamSim", 90
NIGHT = "2026-05-01T"
INPUTS = ("newer", f"{CAMERA}/defaults")


def during(begin: str | None, end: str | None) -> Timespan:
    return Timespan(*(None if t is None else astropy.time.Time(NIGHT + t, scale="utc") for t in (begin, end)))


class Calibrations:
    """Certifies calibrations that say which they are."""

    def __init__(self, root: Path) -> None:
        self.butler = Butler.from_config(str(root), writeable=True)
        universe = self.butler.dimensions
        for name, *more in (("toy_bias",), ("toy_flat", "physical_filter")):
            dimensions = universe.conform(["instrument", "detector", *more])
            self.butler.registry.registerDatasetType(
                DatasetType(name, dimensions, "StructuredDataDict", isCalibration=True)
            )
        self.butler.collections.register("newer", CollectionType.CALIBRATION)

    def certify(self, name: str, tag: str, collection: str, when: Timespan, **data_id: str) -> DatasetRef:
        run = f"made/{tag}"
        self.butler.collections.register(run)
        ref = self.butler.put({"tag": tag}, name, instrument=CAMERA, detector=DETECTOR, run=run, **data_id)
        self.butler.registry.certify(collection, [ref], when)
        return ref


@pytest.fixture
def calibrations(tmp_path: Path) -> Calibrations:
    make_repository(tmp_path / "repo", [CAMERA])
    made = Calibrations(tmp_path / "repo")
    for physical_filter in ("r_57", "g_6", "i_39"):
        band = physical_filter[0]
        made.butler.registry.syncDimensionData(
            "physical_filter", {"instrument": CAMERA, "name": physical_filter, "band": band}
        )
    always = Timespan(None, None)
    made.certify("toy_bias", "old", f"{CAMERA}/calib", always)
    made.certify("toy_bias", "new", "newer", during("03:30:00", "04:30:00"))
    made.certify("toy_flat", "flat-g", f"{CAMERA}/calib", always, physical_filter="g_6")
    made.certify("toy_flat", "flat-r", f"{CAMERA}/calib", during(None, "07:30:00"), physical_filter="r_57")
    return made


def take(landing: Path, time: str, physical_filter: str) -> None:
    rapid_here(
        "simulate", landing, "--start", NIGHT + time, "--filter", physical_filter,
        "--detectors", str(DETECTOR), "--scale", "1/16", "--log-level", "error",
    )  # fmt: skip


def test_each_exposure_has_the_calibrations_of_its_time_and_filter(
    start_run: Callable[..., Running], calibrations: Calibrations, tmp_path: Path
) -> None:
    (tmp_path / "tags.yaml").write_text("description: x\ntasks: {tag: support.toy_tasks.TagTask}\n")
    landing = tmp_path / "landing"
    landing.mkdir()
    night = [
        ("03:00:00", "r_57", {"bias": "old", "flat": "flat-r"}),
        ("04:00:00", "r_57", {"bias": "new", "flat": "flat-r"}),
        ("05:00:00", "r_57", {"bias": "old", "flat": "flat-r"}),
        ("06:00:00", "g_6", {"bias": "old", "flat": "flat-g"}),
        ("07:00:00", "i_39", None),
        ("08:00:00", "r_57", None),
    ]

    def made(count: int) -> Callable[[], bool]:
        return lambda: len(list((tmp_path / "repo/rapid").rglob("toy_tags_*.yaml"))) >= count

    for time, physical_filter, _ in night:
        take(landing, time, physical_filter)
    run = start_run(
        "-b", tmp_path / "repo", *(o for i in INPUTS for o in ("-i", i)), "--watch", landing,
        "--detectors", str(DETECTOR), "--workers", 1,
        pipeline=tmp_path / "tags.yaml",
    )  # fmt: skip
    run.wait_for_log(" failed: ", 2)
    run.wait_for(made(4), "four products")

    # What was missing is certified while the executor runs.
    calibrations.certify(
        "toy_flat", "flat-r2", f"{CAMERA}/calib", during("07:30:00", None), physical_filter="r_57"
    )
    run.process.send_signal(signal.SIGHUP)
    run.wait_for_log("The calibrations were read anew")
    take(landing, "09:00:00", "r_57")
    night.append(("09:00:00", "r_57", {"bias": "old", "flat": "flat-r2"}))
    run.wait_for(made(5), "the last product")
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 0, run.log.read_text()

    butler = calibrations.butler
    butler.registry.refresh()
    ended = {int(shard.data_id["exposure"]): shard for shard in run.report.shards}
    assert len(ended) == len(night)
    for (_, physical_filter, tags), (exposure, shard) in zip(night, sorted(ended.items()), strict=True):
        [record] = butler.query_dimension_records("exposure", instrument=CAMERA, exposure=exposure)
        assert record.physical_filter == physical_filter
        if tags is None:
            assert shard.outcome is Outcome.FAILED
            assert "no toy_flat is certified in newer, LSSTCamSim/defaults" in shard.reason
            assert physical_filter in shard.reason
            assert shard.repeat.startswith("pipetask run ")
            assert f"exposure={exposure}" in shard.repeat
            continue
        assert shard.outcome is Outcome.DONE
        data_id = {"instrument": CAMERA, "exposure": exposure, "detector": DETECTOR}
        assert butler.get("toy_tags", data_id, collections="rapid") == tags
        # As the butler itself finds it.
        found = butler.find_dataset(
            "toy_bias", instrument=CAMERA, detector=DETECTOR, collections=INPUTS, timespan=record.timespan
        )
        assert found is not None
        assert butler.get(found) == {"tag": tags["bias"]}
