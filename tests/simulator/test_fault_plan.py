"""What is asked for, which raws it hits, and what comes when: without files."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from lsst.ctrl.rapid.model import InputError
from lsst.ctrl.rapid.simulator import (
    Burst,
    Duplicate,
    FaultPlan,
    Injection,
    Late,
    Missing,
    OutOfOrder,
    Schedule,
    parse_fault,
)

CADENCE = 37.0
PLANE = tuple(range(189))


def plan(*faults: str, seed: int = 0, exposures: int | None = None) -> FaultPlan:
    return FaultPlan(map(parse_fault, faults), seed=seed, instrument="LSSTCamSim", exposures=exposures)


def come(chosen: FaultPlan, exposures: int, detectors: tuple[int, ...]) -> list[tuple[float, int, int]]:
    """When each raw comes, in order: (time, exposure, detector); the first shutter closes at 0."""
    schedule, seen = Schedule(), []

    def send(until: float) -> None:
        while (due := schedule.next_due) is not None and due <= until:
            sending = schedule.pop(due)
            seen.append((due, sending.number, sending.detector))

    for number in range(1, exposures + 1):
        closed = (number - 1) * CADENCE
        send(closed)
        schedule.close(chosen.fate(number, detectors), closed)
    send(float("inf"))
    return seen


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("late:part=0.003,seconds=60", Late(part=0.003, seconds=60)),
        ("late:detectors=94,seconds=20", Late(detectors=(94,), seconds=20)),
        ("late:detectors=90..92,94,exposures=2", Late(detectors=(90, 91, 92, 94), exposures=(2,))),
        ("missing:part=0.001", Missing(part=0.001)),
        ("missing: exposures = 1, 3 .. 4 , part = 1", Missing(exposures=(1, 3, 4), part=1)),
        ("duplicate:part=0.01,seconds=5", Duplicate(part=0.01, seconds=5, name="other")),
        ("duplicate:detectors=94,name=same", Duplicate(detectors=(94,), name="same")),
        ("out-of-order", OutOfOrder()),
        ("out-of-order:depth=2,exposures=5", OutOfOrder(depth=2, exposures=(5,))),
        ("burst:exposures=5", Burst(exposures=5)),
        ("burst:exposures=3,first=2", Burst(exposures=3, first=2)),
    ],
)
def test_what_a_person_writes(text, fault):
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lat:part=0.1", "there is no fault 'lat'; did you mean 'late'?"),
        ("", "did you mean"),
        ("late:secnds=5,part=0.1", "unknown key 'secnds'; did you mean 'seconds'?"),
        ("missing:part=2", "part: Input should be less than or equal to 1"),
        ("missing:part=0", "part: Input should be greater than 0"),
        ("missing:part=some", "part: Input should be a valid number"),
        ("late:detectors=94,seconds=nan", "seconds: "),
        ("late:detectors=94,seconds=-1", "seconds: Input should be greater than 0"),
        ("late:detectors=90..x", "detectors: '90..x' is neither a number nor a range"),
        ("late:detectors=94,seconds", "'seconds' is not of the form KEY=VALUE"),
        ("late:94", "'94' is not of the form KEY=VALUE"),
        ("late:part=0.1,part=0.2", "'part' is given twice"),
        ("late:part=0.1,kind=missing", "unknown key 'kind'"),
        ("late:exposures=0", "exposures.0: Input should be greater than 0"),
        ("missing", "the whole: say which raws: part=0.01, detectors=90..98, exposures=2"),
        ("duplicate:seconds=5", "say which raws"),
        ("duplicate:part=0.1,name=new", "name: Input should be 'other' or 'same'"),
        ("burst", "exposures: Field required"),
        ("burst:exposures=1", "exposures: Input should be greater than or equal to 2"),
        ("out-of-order:depth=-1", "depth: "),
    ],
)
def test_what_a_person_may_get_wrong(text, told):
    with pytest.raises(InputError) as caught:
        parse_fault(text)
    assert told in str(caught.value)
    assert str(caught.value).startswith(f"fault {text!r}: ")
    assert "\n" not in str(caught.value)


def test_without_faults_an_exposure_comes_as_its_shutter_closes():
    assert come(plan(), 2, (94, 0)) == [(0.0, 1, 94), (0.0, 1, 0), (CADENCE, 2, 94), (CADENCE, 2, 0)]


def test_a_late_raw_comes_after_raws_of_later_exposures():
    seen = come(plan("late:detectors=94,exposures=1,seconds=60"), 3, (94, 0))
    assert seen == [
        (0.0, 1, 0),
        (CADENCE, 2, 94),
        (CADENCE, 2, 0),
        (60.0, 1, 94),
        (2 * CADENCE, 3, 94),
        (2 * CADENCE, 3, 0),
    ]


def test_of_two_faults_of_a_kind_the_first_counts():
    seen = come(plan("late:detectors=94,seconds=5", "late:exposures=1,seconds=9"), 1, (94, 0))
    assert seen == [(5.0, 1, 94), (9.0, 1, 0)]


def test_a_missing_raw_is_told_and_never_comes():
    fate = plan("missing:detectors=94", "late:exposures=1", "duplicate:exposures=1").fate(1, (94, 0))
    assert {sending.detector for sending in fate.sendings} == {0}
    assert fate.missing == (94,)
    assert fate.injections == (
        Injection("missing", 94, None),
        Injection("late", 0, 60.0),
        Injection("duplicate", 0, 5.0),
    )


def test_a_duplicate_follows_the_raw_itself():
    chosen = plan(
        "duplicate:detectors=94,seconds=5", "late:exposures=2,seconds=7", "burst:exposures=2,first=3"
    )
    times = [time for time, _, detector in come(chosen, 4, (94, 0)) if detector == 94]
    first = [0.0, CADENCE + 7, 3 * CADENCE, 3 * CADENCE]
    assert times == sorted(first + [time + 5 for time in first])
    assert [(s.detector, s.fault, s.copy) for s in chosen.fate(1, (94, 0)).sendings] == [
        (94, "", ""),
        (0, "", ""),
        (94, "duplicate", "other"),
    ]


def test_a_burst_holds_exposures_until_the_last_has_closed():
    seen = come(plan("burst:exposures=3,first=2"), 5, (94, 0))
    assert [(time, number) for time, number, _ in seen[::2]] == [
        (0.0, 1),
        (3 * CADENCE, 2),
        (3 * CADENCE, 3),
        (3 * CADENCE, 4),
        (4 * CADENCE, 5),
    ]


def test_the_last_of_many_bursts_ends_with_the_simulation():
    seen = come(plan("burst:exposures=3", exposures=5), 5, (94,))
    assert [time / CADENCE for time, _, _ in seen] == [2, 2, 2, 4, 4]
    assert len(come(plan("burst:exposures=3"), 5, (94,))) == 3


def test_detectors_of_an_exposure_come_in_random_order():
    orders = [[s.detector for s in plan("out-of-order").fate(number, PLANE).sendings] for number in (1, 2, 3)]
    assert all(sorted(order) == list(PLANE) for order in orders)
    assert not any(a == b for a, b in itertools.combinations([*orders, list(PLANE)], 2))
    named = plan("out-of-order:exposures=2")
    assert [s.detector for s in named.fate(1, PLANE).sendings] == list(PLANE)
    assert [s.detector for s in named.fate(2, PLANE).sendings] == orders[1]


def test_exposures_are_overtaken_by_no_more_than_the_depth():
    numbers = [number for _, number, _ in come(plan("out-of-order:depth=2", exposures=60), 60, (94,))]
    assert sorted(numbers) == list(range(1, 61))
    overtaken_by = [sum(later > n for later in numbers[: numbers.index(n)]) for n in numbers]
    assert max(overtaken_by) == 2
    assert 0 in overtaken_by
    assert 1 in overtaken_by
    in_order = [number for _, number, _ in come(plan("out-of-order", exposures=60), 60, (94,))]
    assert in_order == list(range(1, 61))


def test_random_parts_are_as_large_as_was_asked_for():
    chosen = plan("late:part=0.02", "missing:part=0.01", "duplicate:part=0.03")
    counts = Counter(i.fault for n in range(1, 301) for i in chosen.fate(n, PLANE).injections)
    raws = 300 * len(PLANE)
    for kind, part in (("late", 0.02), ("missing", 0.01), ("duplicate", 0.03)):
        assert counts[kind] == pytest.approx(part * raws, abs=5 * (part * raws) ** 0.5)


def hits(chosen: FaultPlan, kind: str, detectors: tuple[int, ...] = PLANE) -> list[tuple[int, int]]:
    return [
        (n, i.detector) for n in range(1, 31) for i in chosen.fate(n, detectors).injections if i.fault == kind
    ]


def test_what_is_hit_depends_on_the_seed_alone():
    late = hits(plan("late:part=0.05", seed=3), "late")
    assert late
    assert late == hits(plan("late:part=0.05", seed=3), "late")
    assert late != hits(plan("late:part=0.05", seed=4), "late")
    few = PLANE[::-7]
    assert hits(plan("late:part=0.05", seed=3), "late", few) == [
        (n, d) for n in range(1, 31) for d in few if (n, d) in late
    ]
    both = plan("missing:part=0.05", "duplicate:part=0.05", "out-of-order:depth=3", "late:part=0.05", seed=3)
    missing = set(hits(both, "missing"))
    assert missing
    assert hits(both, "late") == [hit for hit in late if hit not in missing]
    backwards = plan("late:part=0.05", seed=3)
    assert [backwards.fate(n, PLANE) for n in range(30, 0, -1)][::-1] == [
        plan("late:part=0.05", seed=3).fate(n, PLANE) for n in range(1, 31)
    ]


def test_two_random_faults_of_a_kind_hit_different_raws():
    first = set(hits(plan("missing:part=0.05"), "missing"))
    both = set(hits(plan("missing:part=0.05", "missing:part=0.05"), "missing"))
    assert len(both) > 1.7 * len(first)
