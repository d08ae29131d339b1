"""Steps of a group, and steps that wait for what is committed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lsst.ctrl.rapid.conductor import StepRule
from lsst.ctrl.rapid.model import Shard

CAMERA = "LSSTCam"
ISR = StepRule("isr", per_detector=True, after=frozenset())
COMBINE = StepRule("combine", per_detector=True, after=frozenset({"isr"}), per_group=True)
COADD = StepRule("coadd", per_detector=False, after=frozenset({"isr"}), per_group=True)
REGISTERED = StepRule("registered", per_detector=True, after=frozenset({"isr"}), needs_commit=True)
PLANE = StepRule("plane", per_detector=False, after=frozenset({"isr"}), needs_commit=True)

type MakeHand = Callable[..., Any]


def take(hand: Any, exposure: int, detector: int, group: str = "g", size: int = 2) -> Sequence[Shard]:
    return hand.conductor.raw("summit", CAMERA, exposure, detector, hand.now, float(exposure), group, size)


@pytest.fixture
def hand(make_hand: MakeHand) -> Any:
    hand = make_hand([ISR, COMBINE, COADD], detectors=2)
    hand.workers("w0", "w1")
    return hand


def test_a_group_waits_for_as_many_exposures_as_its_headers_say(hand: Any) -> None:
    for detector in (0, 1):
        take(hand, 1, detector)
    assert [shard.step for shard in hand.run_all()] == ["isr", "isr"]
    assert not hand.conductor.is_finished(CAMERA, 1)
    for detector in (0, 1):
        take(hand, 2, detector)
    ran = hand.run_all()
    assert [shard for shard in ran if shard.step == "coadd"] == [
        Shard("summit", "coadd", CAMERA, 2, None, "g", (1,))
    ]
    assert {shard.detector for shard in ran if shard.step == "combine"} == {0, 1}
    assert {shard.exposures for shard in ran if shard.step == "combine"} == {(1, 2)}
    assert hand.conductor.is_finished(CAMERA, 1)
    assert hand.conductor.is_finished(CAMERA, 2)


def test_a_group_waits_for_as_many_exposures_as_somebody_knows_of(hand: Any) -> None:
    hand.conductor.expect_group(CAMERA, "g", 2)
    for detector in (0, 1):
        take(hand, 1, detector, size=1)
    assert [shard.step for shard in hand.run_all()] == ["isr", "isr"]
    for detector in (0, 1):
        take(hand, 2, detector, size=1)
    assert {shard.exposures for shard in hand.run_all() if shard.step != "isr"} == {(1, 2)}


def test_a_detector_of_a_group_does_not_wait_for_the_others(hand: Any) -> None:
    take(hand, 1, 0)
    take(hand, 2, 0)
    ran = hand.run_all()
    assert [shard.detector for shard in ran if shard.step == "combine"] == [0]
    assert not [shard for shard in ran if shard.step == "coadd"]


def test_a_group_that_never_becomes_whole_runs_after_the_deadline_of_its_newest(hand: Any) -> None:
    take(hand, 1, 0)
    take(hand, 1, 1)
    hand.run_all()
    hand.now = 99.0
    assert hand.conductor.tick(hand.now) == []
    hand.now = 100.0
    assert {shard.step for shard in hand.conductor.tick(hand.now)} == {"combine", "coadd"}
    assert {shard.exposures for shard in hand.run_all()} == {(1,)}
    assert hand.conductor.idle


def test_groups_are_apart(hand: Any) -> None:
    for exposure, group in ((1, "g"), (2, "h")):
        for detector in (0, 1):
            take(hand, exposure, detector, group, size=1)
    ran = hand.run_all()
    assert {(shard.group, shard.exposures) for shard in ran if shard.step == "coadd"} == {
        ("g", (1,)),
        ("h", (2,)),
    }


def test_a_group_runs_without_what_failed(hand: Any) -> None:
    for exposure in (1, 2):
        for detector in (0, 1):
            take(hand, exposure, detector)
    failed = {Shard("summit", "isr", CAMERA, exposure, 0) for exposure in (1, 2)}
    ran = hand.run_all(frozenset(failed))
    assert [shard.detector for shard in ran if shard.step == "combine"] == [1]
    assert [give.shard.step for give in hand.gave] == ["combine"]
    assert [shard.step for shard in ran].count("coadd") == 1


def test_what_a_group_ended_before_is_not_done_again(hand: Any) -> None:
    hand.conductor.already_ended(Shard("summit", "coadd", CAMERA, 1, None, "g"), failed=False, now=0.0)
    for exposure in (1, 2):
        for detector in (0, 1):
            take(hand, exposure, detector)
    assert "coadd" not in {shard.step for shard in hand.run_all()}


def test_a_group_whose_worker_was_lost_is_tried_again(hand: Any) -> None:
    for exposure in (1, 2):
        take(hand, exposure, 0)
    for shard in hand.shards():
        hand.end(shard)
    [combine] = hand.shards()
    assert hand.conductor.lost(combine, "it died", hand.now) == []
    assert hand.shards() == [combine]


def test_what_is_planned_from_the_registry_waits_for_the_commit(make_hand: MakeHand) -> None:
    hand = make_hand([ISR, REGISTERED, PLANE], detectors=2)
    hand.workers("w0", "w1")
    hand.raws(1, 0, 1)
    first, second = hand.shards()
    hand.end(first)
    hand.end(second)
    assert hand.shards() == []
    hand.conductor.raw_committed(CAMERA, 1, 0, hand.now)
    assert hand.shards() == []
    assert hand.conductor.committed(first, hand.now) == [Shard("summit", "registered", CAMERA, 1, 0)]
    [registered] = hand.shards()
    hand.end(registered)
    hand.conductor.raw_committed(CAMERA, 1, 1, hand.now)
    assert {shard.step for shard in hand.conductor.committed(second, hand.now)} == {"registered", "plane"}
    assert len(hand.run_all()) == 2
    assert hand.conductor.is_finished(CAMERA, 1)


def test_what_was_committed_by_an_earlier_run_is_not_waited_for(make_hand: MakeHand) -> None:
    hand = make_hand([ISR, REGISTERED], detectors=1)
    hand.workers("w0")
    hand.conductor.already_ended(Shard("summit", "isr", CAMERA, 1, 0), failed=False, now=0.0)
    hand.raw(1, 0)
    assert hand.shards() == []
    hand.conductor.raw_committed(CAMERA, 1, 0, hand.now)
    assert [shard.step for shard in hand.shards()] == ["registered"]
