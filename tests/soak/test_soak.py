"""The soak itself: an executor that is killed and stopped, and the balance afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lsst.ctrl.rapid.model import InputError
from lsst.ctrl.rapid.soak import SoakConfig, SoakResult, soak
from support.processes import SUMMIT, environment


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_it_balances_after_a_minute_of_faults(tmp_path: Path) -> None:
    words = ["--minutes", "0.75", "--seed", "3", "--work-dir", "soak", "--detectors", "90,91"]
    done = subprocess.run(
        [sys.executable, "-m", "lsst.ctrl.rapid.cli", "soak", *words],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The soak passed." in done.stdout
    result = SoakResult.model_validate_json((tmp_path / "soak" / "soak.json").read_text())
    assert result.passed
    assert result.disturbances
    assert result.restarts >= 1
    balance = result.balance
    assert balance.sent == balance.done + balance.failed + balance.shed + balance.refused
    events = [
        json.loads(line)["event"] for line in (tmp_path / "soak" / "soak.jsonl").read_text().splitlines()
    ]
    assert events[0] == "head-started"
    assert events[-1] == "checked"


def test_it_does_not_write_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(InputError, match="is not empty"):
        soak(SoakConfig(pipeline=SUMMIT, work_dir=tmp_path, minutes=1), print)
