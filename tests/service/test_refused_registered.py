"""What the executor writes of registered raws that it refuses is what the checker reads."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lsst.ctrl.rapid.arrival import FoundRaws
from lsst.ctrl.rapid.check._ledger import read_ledgers
from lsst.ctrl.rapid.model import RefusedFile
from lsst.ctrl.rapid.service._intake import Intake


def test_each_detector_is_refused_for_the_checker_too(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"

    def refuse(path: Path, reason: str) -> None:
        ledger.write_text(RefusedFile.of(path, reason).model_dump_json() + "\n")

    intake: Any = SimpleNamespace(_parts=SimpleNamespace(refusals=SimpleNamespace(refuse=refuse)))
    Intake.refuse_registered(intake, FoundRaws("LSSTCam", 7, frozenset({90, 91, 92, 94})), "no record")
    found = read_ledgers([ledger])
    assert found.raws.keys() == {("LSSTCam", 7, detector) for detector in (90, 91, 92, 94)}
    assert not found.files
