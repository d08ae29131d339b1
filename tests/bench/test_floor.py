"""The suites of the floor and of full raws, on raws that are not full: that they measure, and what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lsst.ctrl.rapid.bench import Findings, SuiteSettings
from lsst.ctrl.rapid.bench._floor import COPY, FITSIO, OURS, WRITE, FloorMeter, measure_floor
from lsst.ctrl.rapid.bench._raws import INSTRUMENT, TinyCamera
from lsst.ctrl.rapid.bench._suites import SUITES


def run(name: str, work_dir: Path) -> tuple[Findings, list[str]]:
    told: list[str] = []
    findings = SUITES[name].run(SuiteSettings(work_dir=work_dir, quick=True), told.append)
    return findings, told


def values(findings: Findings, what: str, column: str) -> tuple[float, ...]:
    [row] = [row for row in findings.rows if row.what == what]
    return row.columns[column].values


def test_the_floor_is_made_of_its_parts(tmp_path: Path) -> None:
    [raw] = TinyCamera(tmp_path / "raws").take([94])
    meter = FloorMeter(raw.path, instrument=INSTRUMENT, detector=94, output_bytes=3 << 24, folder=tmp_path)
    floor, clock = measure_floor(meter, 3)
    median = {what: clock.cpu(what).median for what in (FITSIO, OURS, COPY, WRITE)}
    assert floor.read == min(median[FITSIO], median[OURS])
    assert floor.read_and_copy == floor.read + median[COPY]
    assert floor.fitsio_and_copy == median[FITSIO] + median[COPY]
    assert floor.shard > floor.read + median[WRITE]
    assert len(clock.wall(COPY).values) == 3
    assert list(tmp_path.iterdir()) == [tmp_path / "raws"]


def test_all_bytes_are_written(tmp_path: Path) -> None:
    [raw] = TinyCamera(tmp_path / "raws").take([94])
    wanted = (1 << 24) + 12_345
    meter = FloorMeter(raw.path, instrument=INSTRUMENT, detector=94, output_bytes=wanted, folder=tmp_path)
    meter._write()
    assert (tmp_path / "floor.bin").stat().st_size == wanted
    for one, other in zip(meter._read_with_fitsio(), meter._read().segments, strict=True):
        np.testing.assert_array_equal(one, other.array)


def test_the_suite_floor(tmp_path: Path) -> None:
    findings, told = run("floor", tmp_path)
    assert {row.where for row in findings.rows} == {"full raw", "tiny raw"}
    assert any("MB" in line for line in told)
    for row in findings.rows:
        assert all(value >= 0.0 for series in row.columns.values() for value in series.values)


@pytest.fixture(scope="module")
def summit(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return run("summit", tmp_path_factory.mktemp("summit"))[0]


@pytest.mark.slow
def test_the_framework_is_taken_apart(summit: Findings) -> None:
    parts = (
        "file closed to start",
        "worker, outside quanta",
        "quanta, outside tasks",
        "finished to registered",
    )
    # Two detectors, and one exposure that counts.
    each = [values(summit, f"shard: {part}", "time") for part in parts]
    whole = values(summit, "shard: framework", "time")
    assert [sum(shard) for shard in zip(*each, strict=True)] == pytest.approx(whole)
    assert all(value > 0.0 for series in each for value in series)
    assert len(whole) == 2
    assert min(values(summit, "shard: tasks", "time")) > 1.0


@pytest.mark.slow
def test_the_goals_of_the_summit(summit: Findings) -> None:
    framework, reduction = summit.goals
    floor = values(summit, "floor of a shard", "CPU")[0]
    assert framework.target == 0.1
    assert framework.value == pytest.approx(np.median(values(summit, "shard: framework", "time")) / floor)
    ratio = values(summit, "quick ISR by floor: read with fitsio, copy", "CPU")
    assert reduction.target == 2.5
    assert reduction.value == pytest.approx(np.median(ratio))
