"""Sequences, names, times, and what is left when it is stopped."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from pathlib import Path

import astropy.io.fits
import pydantic
import pytest
from astropy.time import Time

from lsst.ctrl.rapid.model import AnnouncedFile
from lsst.ctrl.rapid.simulator import Duplicate, SimulationConfig, simulate

START = "2026-03-16T03:00:00"


def config(**options):
    return SimulationConfig(**{"scale": "1/8", "detectors": (94, 0), "start": START} | options)


def contents(folder):
    raws = {p.name: p.read_bytes() for p in folder.rglob("*.fits")}
    return raws | {p.name: p.read_text() for p in (folder / "truth").iterdir()}


def hidden(folder):
    return [p for p in folder.rglob("*") if p.name.startswith(".")]


@pytest.mark.parametrize("compress", [False, True])
def test_same_seed_and_start_give_the_same_bytes(tmp_path, compress):
    options = {"exposures": 2, "sequence": "science,dark", "compress": compress}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        for _ in simulate(config(**options, seed=seed), tmp_path / name):
            pass
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert len(a) == 8
    assert a == b
    assert a.keys() == c.keys()
    assert all(a[name] != c[name] for name in a if name.endswith(".fits"))


def test_a_detector_does_not_depend_on_the_others(tmp_path):
    for name, detectors in (("one", (94,)), ("more", (0, 94))):
        for _ in simulate(config(detectors=detectors), tmp_path / name):
            pass
    (one,) = (tmp_path / "one").rglob("*R22_S11.fits")
    (same,) = (tmp_path / "more").rglob("*R22_S11.fits")
    assert one.read_bytes() == same.read_bytes()


def test_exposures_of_a_run_differ(tmp_path):
    raws = [
        raw.path.read_bytes()[20_000:] for raw in simulate(config(exposures=3, detectors=(94,)), tmp_path)
    ]
    assert len(set(raws)) == 3


def test_layout_of_the_folder_and_the_manifest(tmp_path):
    sent = list(simulate(config(exposures=5, sequence="science,flat,bias"), tmp_path))
    files = sorted(tmp_path.rglob("*.fits"))
    assert files == sorted(raw.path for raw in sent)
    assert files[0] == tmp_path / "20260315/MC_S_20260315_000001/MC_S_20260315_000001_R01_S00.fits"
    assert not [p for p in files if "truth" in p.parts]
    lines = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text().splitlines()]
    assert [Path(line["path"]) for line in lines] == [raw.path for raw in sent]
    assert [(line["exposure"], line["detector"]) for line in lines] == [
        (2026031500000 + seq_num, detector) for seq_num in range(1, 6) for detector in (94, 0)
    ]
    kinds = [line["observation_type"] for line in lines[::2]]
    assert kinds == ["science", "flat", "flat", "bias", "science"]
    assert {line["instrument"] for line in lines} == {"LSSTCamSim"}
    assert sorted(p.name for p in (tmp_path / "truth").iterdir()) == sorted(
        f"MC_S_20260315_{i:06d}.{end}" for i in range(1, 6) for end in ("ecsv", "json")
    )
    assert not hidden(tmp_path)


def test_before_the_controllers_shared_a_sequence_numbers_are_apart(tmp_path):
    (raw,) = simulate(config(start="2024-03-22T03:00:00", detectors=(94,)), tmp_path)
    assert raw.exposure == 7024032100001


def test_a_named_file_is_whole_and_the_others_are_hidden(tmp_path):
    pending = simulate(config(detectors=(94, 0, 29)), tmp_path)
    first = next(pending)
    assert list(tmp_path.rglob("*.fits")) == [first.path]
    assert len(hidden(tmp_path)) == 2
    assert all(not p.name.endswith(".fits") and p.parent == first.path.parent for p in hidden(tmp_path))
    assert first.path.stat().st_size % 2880 == 0
    pending.close()


@pytest.mark.parametrize("after", [1, 3])
def test_closing_leaves_whole_files_only(tmp_path, after):
    pending = simulate(config(exposures=3), tmp_path)
    sent = [next(pending) for _ in range(after)]
    pending.close()
    assert sorted(tmp_path.rglob("*.fits")) == sorted(raw.path for raw in sent)
    assert not hidden(tmp_path)
    assert len((tmp_path / "manifest.jsonl").read_text().splitlines()) == after
    truth = json.loads((tmp_path / "truth" / f"{sent[-1].obs_id}.json").read_text())
    assert list(truth["detectors"]) == ["94"]


def test_each_file_is_announced_before_it_has_its_name(tmp_path, monkeypatch):
    manifest = tmp_path / "sent.jsonl"
    replace, unannounced = Path.replace, []

    def look(path, target):
        lines = [AnnouncedFile.model_validate_json(line) for line in manifest.read_text().splitlines()]
        if lines[-1].path != str(target) or lines[-1].sha256 != hashlib.sha256(path.read_bytes()).hexdigest():
            unannounced.append(target)
        return replace(path, target)

    pending = simulate(
        config(faults=(Duplicate(part=1, seconds=0.01),)), tmp_path / "landing", announce=manifest
    )
    monkeypatch.setattr(Path, "replace", look)
    sent = [next(pending) for _ in range(4)]
    monkeypatch.undo()
    pending.close()
    assert not unannounced
    lines = [AnnouncedFile.model_validate_json(line) for line in manifest.read_text().splitlines()]
    told = [(one.path, one.exposure, one.detector, one.fault) for one in lines]
    assert told == [(str(raw.path), raw.exposure, raw.detector, raw.fault) for raw in sent]
    assert {line.fault for line in lines} == {"", "duplicate"}
    assert all(line.size == Path(line.path).stat().st_size for line in lines)


def test_interrupted_before_the_shutter_closes(tmp_path, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("lsst.ctrl.rapid.simulator._simulate._Shutter.close", interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(simulate(config(), tmp_path))
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    assert not list(tmp_path.glob("*/*"))


def test_next_run_of_the_day_continues_the_numbers(tmp_path):
    for _ in range(2):
        names = [raw.obs_id for raw in simulate(config(exposures=2, detectors=(94,)), tmp_path)]
    assert names == ["MC_S_20260315_000003", "MC_S_20260315_000004"]


def test_a_raw_is_never_replaced(tmp_path):
    (raw,) = simulate(config(detectors=(94,), first_seq_num=9), tmp_path)
    before = raw.path.read_bytes()
    with pytest.raises(FileExistsError, match="another folder"):
        list(simulate(config(detectors=(94,), first_seq_num=9, seed=5), tmp_path))
    assert raw.path.read_bytes() == before
    assert not hidden(tmp_path)


def test_numbers_of_a_day_run_out(tmp_path):
    with pytest.raises(ValueError, match="no seq_num left"):
        list(simulate(config(detectors=(94,), first_seq_num=99_999, exposures=2), tmp_path))


def test_real_time_and_cadence(tmp_path):
    before = time.time()
    sent = list(simulate(config(start=None, cadence=0.3, exposures=3, detectors=(94,)), tmp_path))
    closed = [raw.shutter_closed for raw in sent]
    assert before <= closed[0] <= time.time()
    assert all(0.29 <= b - a < 1.0 for a, b in itertools.pairwise(closed))
    assert all(raw.shutter_closed <= raw.file_closed for raw in sent)
    for raw in sent:
        header = astropy.io.fits.getheader(raw.path)
        ends = Time(header["MJD-END"], format="mjd", scale="tai")
        assert ends.unix == pytest.approx(raw.shutter_closed, abs=0.001)


def test_a_burst_follows_the_shutter_at_once(tmp_path):
    """Pixels are made before the shutter closes, so that latency is not the simulator's."""
    list(simulate(config(start=None, detectors=(94,)), tmp_path / "warm"))
    sent = list(simulate(config(start=None, detectors=tuple(range(90, 99))), tmp_path))
    assert sent[-1].file_closed - sent[0].shutter_closed < 0.5


def test_an_exposure_is_announced_when_it_is_whole(tmp_path):
    seen = []

    def check(exposure):
        assert all(raw.path.exists() for raw in exposure.raws)
        assert (tmp_path / "truth" / f"{exposure.plan.obs_id}.json").exists()
        seen.append((exposure.plan.obs_id, len(exposure.raws)))

    list(simulate(config(exposures=2), tmp_path, on_exposure=check))
    assert seen == [("MC_S_20260315_000001", 2), ("MC_S_20260315_000002", 2)]


def test_endless(tmp_path):
    pending = simulate(config(exposures=None, detectors=(94,), sequence="bias"), tmp_path)
    assert len(list(itertools.islice(pending, 4))) == 4
    pending.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"instrument": "DECam"}, "No detector table for instrument 'DECam'"),
        ({"detectors": (94, 999)}, "LSSTCamSim has no detector 999"),
        ({"detectors": (189,)}, "Guiders are not simulated"),
        ({"detectors": (94, 94)}, "each only once"),
        ({"detectors": ()}, "at least one"),
        ({"scale": "eighth"}, "not a number or a fraction"),
        ({"scale": "2"}, "less than or equal to 1"),
        ({"sequence": "science,spot"}, "'science', 'bias', 'dark' or 'flat'"),
        ({"scal": 1}, "Extra inputs"),
    ],
)
def test_a_wrong_configuration_says_so(options, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        SimulationConfig(**options)


def test_science_detectors_by_default():
    assert len(SimulationConfig().detector_numbers) == 189
    assert SimulationConfig(instrument="LSSTComCamSim").detector_numbers == tuple(range(9))
