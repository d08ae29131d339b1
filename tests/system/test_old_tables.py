"""Tasks that compute with the Earth's orientation where its table is old and the network is away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.model import Outcome, Report
from support.processes import TIMEOUT, environment

CHANNEL = """
from astropy.time import Time
from lsst.pipe.base import Struct
from support.toy_tasks import LevelTask


class EarthTask(LevelTask):
    def run(self, raw):
        return Struct(level={"level": float(Time.now().delta_ut1_utc)})
"""
CONFIGURATION = """
[utils.iers.iers]
auto_max_age = 10.0
iers_auto_url = http://127.0.0.1:9/finals2000A.all
iers_auto_url_mirror = http://127.0.0.1:9/finals2000A.all
"""


@pytest.mark.slow
def test_no_shard_fails_and_one_line_says_what_to_do(tmp_path: Path) -> None:
    """No table is younger than 10 days when it is tested; nothing listens at that address.

    The configuration is read by a new interpreter, not by what is forked from one.
    """
    places = {f"XDG_{name.upper()}_HOME": str(tmp_path / name) for name in ("config", "cache")}
    for place in places.values():
        Path(place, "astropy").mkdir(parents=True)
    (tmp_path / "config/astropy/astropy.cfg").write_text(CONFIGURATION)
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/earth_channel.py").write_text(CHANNEL)
    (tmp_path / "earth.yaml").write_text("description: x\ntasks: {earth: earth_channel.EarthTask}\n")
    done = subprocess.run(
        [sys.executable, "-m", "lsst.ctrl.rapid.cli", "run", "earth.yaml", "--simulate", "1",
         "--detectors", "90,91", "--workers", "1", "--work-dir", "work"],
        cwd=tmp_path, env=environment([tmp_path / "sources"]) | places,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    report = Report.model_validate_json((tmp_path / "work/report.json").read_text())
    assert {shard.outcome for shard in report.shards} == {Outcome.DONE}, done.stdout
    butler = Butler.from_config(str(tmp_path / "work/repo"))
    levels = [butler.get(ref)["level"] for ref in butler.query_datasets("toy_level", report.runs)]
    assert len(levels) == 2
    assert all(0 < abs(level) < 0.9 for level in levels)
    lines = [line for line in done.stdout.splitlines() if "the Earth's orientation" in line]
    assert len(lines) == 1
    assert "iers_auto_url" in lines[0]
