"""``rapid-exec simulate``, and what ``rapid-exec run --simulate`` makes of the same options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lsst.ctrl.rapid.cli import main
from lsst.ctrl.rapid.model import InputError
from lsst.ctrl.rapid.simulator import Burst, Late, SimulationConfig
from support.processes import SUMMIT

FAULTS = ["--fault", "late:detectors=90..91,94,seconds=0.01", "--fault", "burst:exposures=2"]


def test_it_says_what_was_sent_and_what_not(tmp_path: Path) -> None:
    options = ["--scale", "1/16", "--detectors", "90..92", "--sequence", "bias", "--exposures", "2"]
    faults = ["--fault", "missing:detectors=91,exposures=2", "--fault", "duplicate:detectors=90,seconds=0.01"]
    done = CliRunner().invoke(main, ["simulate", str(tmp_path), *options, *faults])
    assert done.exit_code == 0, done.output
    told = done.output.splitlines()
    assert [line.partition(": ")[2] for line in told[:2]] == ["4 raws", "3 raws, 1 missing"]
    assert told[2].startswith("7 raws are in ")
    lines = (tmp_path / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["fault"] for line in lines].count("duplicate") == 2


def test_its_help_tells_the_faults() -> None:
    done = CliRunner().invoke(main, ["simulate", "--help"])
    for kind in ("late", "missing", "duplicate", "out-of-order", "burst"):
        assert f"  {kind}:" in done.output


def test_a_run_simulates_with_the_same_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[SimulationConfig] = []

    def enough(root: Path, instruments: list[str], config: SimulationConfig) -> None:
        seen.append(config)
        raise InputError("enough")

    monkeypatch.setattr("lsst.ctrl.rapid.cli._run.make_embedded_repository", enough)
    options = ["--simulate", "4", "--detectors", "90..94", "--work-dir", str(tmp_path / "work")]
    done = CliRunner().invoke(main, ["run", str(SUMMIT), *options, *FAULTS])
    assert "enough" in done.output
    assert seen[0].faults == (Late(detectors=(90, 91, 94), seconds=0.01), Burst(exposures=2))
