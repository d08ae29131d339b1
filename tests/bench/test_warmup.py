"""The suite ``warmup``, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsst.ctrl.rapid.bench import SUITES, SuiteSettings


@pytest.mark.slow
def test_start_and_replacement_are_measured_beside_their_imports(tmp_path: Path) -> None:
    told: list[str] = []
    settings = SuiteSettings(work_dir=tmp_path, workers=1, databases=("postgresql",), quick=True)
    found = SUITES["warmup"].run(settings, told.append)
    rows = {row.what: row.columns for row in found.rows}
    start, replaced = rows["start to first task"], rows["kill to next shard"]
    imports = rows["import of executor and tasks"]["time"].median
    assert start["times of importing"].median * imports == pytest.approx(start["time"].median)
    assert {goal.value for goal in found.goals} == {
        start["times of importing"].median,
        replaced["times of importing"].median,
    }
    # Neither is possible without what is measured: an interpreter's start, and the death of a process.
    assert start["time"].median > 0.5
    assert replaced["time"].median > 0.02
    assert "tiny.yaml, PostgreSQL: repetition 1 of 1" in told
