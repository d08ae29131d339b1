"""Faults of the simulated camera: which files come when, and what is written down of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pydantic
import pytest

from lsst.ctrl.rapid.simulator import SentExposure, SentRaw, SimulationConfig, parse_fault, simulate

START = "2026-03-16T03:00:00"
BEGIN = 1_800_000_000.0
"""When the tests' clock begins."""


def config(*faults: str, **options) -> SimulationConfig:
    chosen = {"scale": "1/16", "detectors": (94, 0, 29), "cadence": 10.0, "sequence": "bias"}
    return SimulationConfig(**chosen | {"faults": tuple(map(parse_fault, faults))} | options)


def take(folder: Path, clock, *faults: str, **options) -> list[SentRaw]:
    return list(simulate(config(*faults, **options), folder, clock=clock))


def times(sent: list[SentRaw]) -> list[tuple[float, int, int]]:
    """When each file came, with the number of its exposure and its detector."""
    return [(raw.file_closed - BEGIN, raw.exposure % 100_000, raw.detector) for raw in sent]


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".")]


def test_late_raws_come_while_later_exposures_are_taken(tmp_path, clock):
    sent = take(tmp_path, clock, "late:detectors=94,exposures=1..2,seconds=15", exposures=3)
    assert times(sent) == [
        (0, 1, 0),
        (0, 1, 29),
        (10, 2, 0),
        (10, 2, 29),
        (15, 1, 94),
        (20, 3, 94),
        (20, 3, 0),
        (20, 3, 29),
        (25, 2, 94),
    ]
    assert [raw.fault for raw in sent] == ["", "", "", "", "late", "", "", "", "late"]
    assert {raw.shutter_closed - BEGIN for raw in sent if raw.exposure % 100_000 == 1} == {0}
    assert clock.now() == BEGIN + 25
    assert not hidden(tmp_path)


def test_a_late_raw_is_hidden_until_it_comes_and_the_same_to_the_byte(tmp_path, clock):
    options = {"exposures": 2, "start": START, "sequence": "science", "cadence": 1.0}
    pending = simulate(
        config("late:detectors=94,exposures=1,seconds=9", **options), tmp_path / "a", clock=clock
    )
    on_time = [next(pending) for _ in range(5)]
    late = tmp_path / "a/20260315/MC_S_20260315_000001/MC_S_20260315_000001_R22_S11.fits"
    assert late not in {raw.path for raw in on_time}
    assert not late.exists()
    (waiting,) = hidden(tmp_path)
    assert waiting.name.startswith(f".{late.name}.")
    (raw,) = pending
    assert (raw.path, raw.file_closed) == (late, BEGIN + 9)
    plain = take(tmp_path / "b", clock, **options)
    for one in (*on_time, raw):
        (other,) = (p for p in plain if (p.exposure, p.detector) == (one.exposure, one.detector))
        assert other.path.read_bytes() == one.path.read_bytes()
        assert other.shutter_closed == one.shutter_closed


def test_late_raws_are_sent_while_the_pixels_of_the_next_exposure_are_made(tmp_path, clock, monkeypatch):
    from lsst.ctrl.rapid.simulator import _exposure

    def slow(*args, **options):
        clock.time += 4.0
        return made(*args, **options)

    made = _exposure.render_detector
    monkeypatch.setattr(_exposure, "render_detector", slow)
    sent = take(tmp_path, clock, "late:detectors=94,exposures=1,seconds=5", exposures=2, cadence=0)
    assert times(sent) == [
        (12, 1, 0),
        (12, 1, 29),
        (20, 1, 94),
        (24, 2, 94),
        (24, 2, 0),
        (24, 2, 29),
    ]


def test_missing_raws_never_come(tmp_path, clock):
    announced: list[SentExposure] = []
    chosen = config("missing:detectors=94", "missing:exposures=2", exposures=3)
    sent = list(simulate(chosen, tmp_path, on_exposure=announced.append, clock=clock))
    assert [(n, d) for _, n, d in times(sent)] == [(1, 0), (1, 29), (3, 0), (3, 29)]
    assert sorted(tmp_path.rglob("*.fits")) == sorted(raw.path for raw in sent)
    assert [(e.plan.seq_num, len(e.raws), e.missing) for e in announced] == [
        (1, 2, (94,)),
        (2, 0, (94, 0, 29)),
        (3, 2, (94,)),
    ]
    truth = json.loads((tmp_path / "truth" / f"{sent[0].obs_id}.json").read_text())
    assert list(truth["detectors"]) == ["0", "29"]
    assert not (tmp_path / "truth" / f"{announced[1].plan.obs_id}.json").exists()
    (raw, *_) = take(tmp_path, clock, exposures=1)
    assert raw.exposure % 100_000 == 4


@pytest.mark.parametrize("name", ["other", "same"])
def test_duplicates_come_again(tmp_path, clock, name):
    pending = simulate(
        config(f"duplicate:detectors=94,exposures=1,seconds=15,name={name}", exposures=2),
        tmp_path,
        clock=clock,
    )
    first = next(pending)
    content, inode = first.path.read_bytes(), first.path.stat().st_ino
    sent = [first, *pending]
    assert times(sent)[-1] == (15, 1, 94)
    again = sent[-1]
    assert [raw.fault for raw in sent] == [""] * 6 + ["duplicate"]
    assert again.path.read_bytes() == first.path.read_bytes() == content
    assert again.path.stat().st_ino != inode
    assert (again.path == first.path) is (name == "same")
    assert len(list(tmp_path.rglob("*.fits"))) == (6 if name == "same" else 7)
    assert not hidden(tmp_path)
    if name == "other":
        assert again.path.name == first.path.name.replace(".fits", "_again.fits")


def test_a_burst_comes_at_once_with_its_own_times_in_the_headers(tmp_path, clock):
    sent = take(tmp_path, clock, "burst:exposures=3,first=2", exposures=5, detectors=(94,))
    assert times(sent) == [(0, 1, 94), (30, 2, 94), (30, 3, 94), (30, 4, 94), (40, 5, 94)]
    assert [raw.shutter_closed - BEGIN for raw in sent] == [0, 10, 20, 30, 40]
    assert [raw.fault for raw in sent] == ["", "burst", "burst", "burst", ""]


def test_out_of_order(tmp_path, clock):
    detectors = tuple(range(90, 99))
    sent = take(tmp_path, clock, "out-of-order:depth=1", exposures=6, detectors=detectors, seed=1)
    assert {raw.fault for raw in sent} == {"out-of-order"}
    numbers = [number for _, number, _ in times(sent)][:: len(detectors)]
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6] != numbers
    for number in numbers:
        order = [d for _, n, d in times(sent) if n == number]
        assert sorted(order) == list(detectors) != order


def test_an_exposure_is_announced_when_all_that_comes_of_it_was_sent(tmp_path, clock):
    announced = []

    def check(exposure: SentExposure) -> None:
        truth = json.loads((tmp_path / "truth" / f"{exposure.plan.obs_id}.json").read_text())
        assert set(truth["detectors"]) == {"94", "0", "29"}
        announced.append((exposure.plan.seq_num, clock.now() - BEGIN, len(exposure.raws)))

    faults = ("late:detectors=94,exposures=1,seconds=15", "duplicate:detectors=0,exposures=2,seconds=3")
    list(simulate(config(*faults, exposures=3), tmp_path, on_exposure=check, clock=clock))
    assert announced == [(2, 13, 4), (1, 15, 3), (3, 20, 3)]


FAULTS = (
    "late:part=0.3,seconds=25",
    "missing:part=0.2",
    "duplicate:part=0.3,seconds=5",
    "out-of-order:depth=1",
    "burst:exposures=2,first=3",
)


def test_the_books_balance(tmp_path, clock):
    """What was read out is sent or told as missing; what else is wrong with it is told, too."""
    detectors = tuple(range(90, 99))
    announced: list[SentExposure] = []
    chosen = config(*FAULTS, exposures=6, detectors=detectors)
    sent = list(simulate(chosen, tmp_path, on_exposure=announced.append, clock=clock))
    written, told = lines(tmp_path / "manifest.jsonl"), lines(tmp_path / "faults.jsonl")
    assert [(line["path"], line["fault"]) for line in written] == [(str(r.path), r.fault) for r in sent]
    assert {line["path"] for line in written} == {str(path) for path in tmp_path.rglob("*.fits")}
    count = Counter((line["exposure"], line["detector"]) for line in written)
    by_kind = {
        kind: {(line["exposure"], line["detector"]) for line in told if line["fault"] == kind}
        for kind in ("late", "missing", "duplicate", "out-of-order", "burst")
    }
    assert all(by_kind.values())
    everything = {(e.plan.id, d) for e in announced for d in detectors}
    assert count.keys() | by_kind["missing"] == everything
    assert not count.keys() & by_kind["missing"]
    assert {key for key, times in count.items() if times == 2} == by_kind["duplicate"]
    assert set(count.values()) == {1, 2}
    for line in written:
        key = (line["exposure"], line["detector"])
        assert (line["fault"] == "late") == (key in by_kind["late"] and line["fault"] != "duplicate")
        if line["fault"] == "late":
            assert line["file_closed"] >= line["shutter_closed"] + 25
    assert {number for number, _ in by_kind["burst"]} == {
        e.plan.id for e in announced if e.plan.seq_num in (3, 4)
    }
    assert set(told[0]) == {"fault", "instrument", "exposure", "detector", "seconds", "obs_id", "number"}
    assert {(line["number"], line["obs_id"][-6:]) for line in told} == {(n, f"{n:06d}") for n in range(1, 7)}
    assert not hidden(tmp_path)


def test_a_simulation_can_be_repeated(tmp_path, clock):
    options = {"exposures": 4, "detectors": tuple(range(90, 99))}
    nights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        clock.time = BEGIN
        sent = take(tmp_path / name, clock, *FAULTS[:3], seed=seed, **options)
        nights.append([times(sent), [raw.fault for raw in sent]])
    assert nights[0] == nights[1] != nights[2]


@pytest.mark.parametrize("after", [1, 4, 7])
def test_closing_discards_what_was_not_sent(tmp_path, clock, after):
    faults = ("late:detectors=0,seconds=60", "duplicate:detectors=94,seconds=15", "burst:exposures=2,first=3")
    pending = simulate(config(*faults, exposures=5), tmp_path, clock=clock)
    sent = [next(pending) for _ in range(after)]
    assert hidden(tmp_path)
    pending.close()
    assert not hidden(tmp_path)
    assert sorted({raw.path for raw in sent}) == sorted(tmp_path.rglob("*.fits"))
    assert len(lines(tmp_path / "manifest.jsonl")) == after
    for obs_id in {raw.obs_id for raw in sent}:
        truth = json.loads((tmp_path / "truth" / f"{obs_id}.json").read_text())
        assert set(truth["detectors"]) == {str(raw.detector) for raw in sent if raw.obs_id == obs_id}


def test_interrupted_while_it_waits_for_late_raws(tmp_path, clock, monkeypatch):
    def interrupt(moment: float) -> None:
        if moment > BEGIN + 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(clock, "wait_until", interrupt)
    sent = []
    with pytest.raises(KeyboardInterrupt):
        sent.extend(simulate(config("late:detectors=94,seconds=60", cadence=0), tmp_path, clock=clock))
    assert not hidden(tmp_path)
    (truth,) = (tmp_path / "truth").glob("*.json")
    assert list(json.loads(truth.read_text())["detectors"]) == ["0", "29"]


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (("late:detectors=95",), "Fault 'late': detector 95 is not read out"),
        (("missing:exposures=1..4",), "Fault 'missing': there is no exposure 4, for 3 will be taken"),
        (("burst:exposures=2,first=9",), "Fault 'burst': there is no exposure 9"),
    ],
)
def test_a_fault_that_would_never_happen_is_refused(faults, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        config(*faults, exposures=3)
