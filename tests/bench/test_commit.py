"""The suite commit registers what it says."""

from __future__ import annotations

from pathlib import Path

from lsst.daf.butler import Butler

from lsst.ctrl.rapid.bench import SUITES, SuiteSettings


def test_commit_registers_raws_products_and_outcomes(tmp_path: Path) -> None:
    found = SUITES["commit"].run(SuiteSettings(work_dir=tmp_path, databases=("sqlite",), quick=True), print)
    assert {row.what for row in found.rows} == {
        "(e) committer",
        "upstream's transfer_from",
        "a full butler's put",
    }
    assert all(row.columns["registered"].median > 0 for row in found.rows)
    with Butler.from_config(str(tmp_path / "commit-sqlite" / "committer")) as butler:
        refs = butler.query_all_datasets("*", find_first=False, limit=None)
        kinds = [ref.datasetType.name for ref in refs]
        assert kinds.count("raw") == kinds.count("rapid_step1a_outcome") == 9
        assert kinds.count("tiny_statistics") == kinds.count("tinyImage_log") == 9
        assert all(butler.stored_many(refs).values())
