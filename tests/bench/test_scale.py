"""The suite of repositories that grow."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lsst.ctrl.rapid.bench import SUITES, SuiteSettings, _suite_scale


@pytest.mark.slow
def test_a_repository_is_measured_and_kept_for_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = dataclasses.replace(_suite_scale._QUICK, datasets=(40,), detectors=(), workers=())
    monkeypatch.setattr(_suite_scale, "_QUICK", sizes)
    told: list[str] = []
    settings = SuiteSettings(work_dir=tmp_path, workers=1, quick=True)
    found = SUITES["scale"].run(settings, told.append)
    [row] = found.rows
    assert row.what == "40 datasets"
    assert len(row.columns) == 6
    assert all(series.low > 0 for series in row.columns.values())
    assert row.columns["repository read"].median < row.columns["restart"].median
    assert [goal.value for goal in found.goals] == [1.0] * 6
    assert all(chart.curves for chart in found.charts)
    kept = {path.name for path in (tmp_path / "scale-sqlite").iterdir()}
    assert kept == {"contents.json", "filled-40", "model", "model-work", "raws", "template"}
    # What was told of filling is not told again.
    detectors = _suite_scale._detectors(2)
    archive = (tmp_path / "scale-sqlite", "sqlite", detectors, 2, (40,), told.append)
    before = len(told)
    with _suite_scale.open_archive(*archive) as there, there.copy(40) as repository:
        assert repository.root.is_dir()
    assert not repository.root.exists()
    assert len(told) == before


def test_a_machine_that_changes_its_speed_between_turns_changes_no_ratio() -> None:
    speeds = [1.0, 1.9, 1.0, 1.9, 1.9, 1.0, 1.9]
    small = [[10.0 * speed for speed in speeds], [11.0, 19.0]]
    same = [[10.5 * speed for speed in speeds], [20.0, 10.0]]
    slower = [[13.0 * speed for speed in speeds], [30.0, 14.0]]
    assert _suite_scale._ratio(same, small) == pytest.approx(1.05)
    assert _suite_scale._ratio(slower, small) == pytest.approx(1.3)
