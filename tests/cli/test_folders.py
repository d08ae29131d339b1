"""Folders that are named for a run, and cannot be what they are to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsst.ctrl.rapid.ingest import make_repository
from support.processes import SUMMIT, rapid_here


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("folders") / "repo"
    make_repository(root, ["LATISS"])
    return root


@pytest.mark.parametrize("named_by", ["option", "site file"])
def test_a_quarantine_is_not_watched(repo: Path, tmp_path: Path, named_by: str) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(f"watch: [{tmp_path}]\nlink_targets: [/data]\n")
    quarantine = tmp_path / "quarantine"
    option = ["--quarantine", quarantine]
    if named_by == "site file":
        option = []
        with site.open("a") as stream:
            stream.write(f"quarantine: {quarantine}\n")
    told = rapid_here("run", SUMMIT, "-b", repo, "--site", site, *option, code=2)
    assert "is in the watched folder" in told
    assert not quarantine.exists()
