"""``rapid-exec doctor``, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from doctor.conftest import DETECTORS, Patient
from lsst.ctrl.rapid.cli._doctor import doctor
from lsst.ctrl.rapid.cli._run_command import run
from support.processes import SUMMIT, rapid_here


def typed(patient: Patient, *arguments: str | Path, code: int) -> str:
    place = ("-b", patient.repository, "--work-dir", patient.folder / "work")
    detectors = ("--detectors", ",".join(map(str, DETECTORS)))
    return rapid_here("doctor", *arguments, *place, *detectors, code=code)


def test_it_takes_what_run_takes() -> None:
    assert {option.name for option in run.params} <= {option.name for option in doctor.params}


def test_a_place_that_is_ready(patient: Patient) -> None:
    output = typed(patient, SUMMIT, "--watch", patient.folder / "landing", "--warm", code=0)
    assert "\nok    warm-up: a worker is warm after" in output
    assert "\n0 fault(s), " in output


def test_a_place_that_is_not(patient: Patient) -> None:
    (patient.folder / "site.yaml").write_text(f"watch: [{patient.folder}/gone]\n")
    output = typed(patient, "--site", patient.folder / "site.yaml", "--json", code=1)
    found = json.loads(output)
    [failed] = [finding for finding in found if finding["level"] == "FAIL"]
    assert failed["check"] == "landing"
    assert failed["found"] == f"{patient.folder}/gone: no such folder"
    assert failed["todo"].startswith("make it")
    assert "no pipeline is named" in next(f["found"] for f in found if f["check"] == "pipeline")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing.yaml"], "there is no pipeline"),
        (["--site", "nothing.yaml"], "nothing.yaml"),
        (["--since", "20261122"], "--watch butler"),
        ([], "There is no repository to look at"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    output = rapid_here("doctor", *arguments, code=2)
    assert told in " ".join(output.split())
    assert list(tmp_path.iterdir()) == []
