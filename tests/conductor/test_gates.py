"""When gathers run, and what a failure stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lsst.ctrl.rapid.conductor import StepRule
from lsst.ctrl.rapid.model import Shard

from .conftest import DEADLINE

ISR = StepRule("isr", per_detector=True, after=frozenset())
GATHER = StepRule("gather", per_detector=False, after=frozenset({"isr"}))
CALIBRATE = StepRule("calibrate", per_detector=True, after=frozenset({"isr"}))
PLOT = StepRule("plot", per_detector=False, after=frozenset({"gather"}))
WARP = StepRule("warp", per_detector=True, after=frozenset({"gather"}))


def shard(step: str, exposure: int, detector: int | None = None) -> Shard:
    return Shard("summit", step, "LSSTCam", exposure, detector)


def finished(hand: Any, exposure: int = 1) -> bool:
    return bool(hand.conductor.is_finished("LSSTCam", exposure))


def test_a_gather_waits_for_every_expected_detector(hand: Any) -> None:
    hand.raws(1, 0, 1, 2)
    assert [s.step for s in hand.run_all()] == ["isr"] * 3
    assert hand.conductor.open_gates == 1
    assert not finished(hand)
    hand.raw(1, 3)
    assert hand.shards() == [shard("isr", 1, 3)]
    assert hand.shards() == []
    assert hand.end(shard("isr", 1, 3)) == [shard("gather", 1)]
    assert hand.shards() == [shard("gather", 1)]
    assert hand.conductor.open_gates == 0
    assert not finished(hand)
    hand.end(shard("gather", 1))
    assert finished(hand)


def test_of_an_exposure_other_detectors_can_be_expected(hand: Any) -> None:
    hand.conductor.expect("LSSTCam", 1, frozenset({0, 2}))
    hand.raws(1, 0, 2)
    hand.raws(2, 0, 2)
    ran = hand.run_all()
    assert shard("gather", 1) in ran
    assert shard("gather", 2) not in ran
    assert hand.conductor.missing("LSSTCam", 1) == frozenset()
    assert hand.conductor.missing("LSSTCam", 2) == {1, 3}


def test_a_failed_detector_counts_as_ended(hand: Any) -> None:
    hand.raws(1, 0, 1, 2, 3)
    ran = hand.run_all(failing=frozenset({shard("isr", 1, 2), shard("isr", 1, 3)}))
    assert ran[-1] == shard("gather", 1)
    assert finished(hand)


def test_a_detector_that_is_given_up_counts_as_ended_and_its_gather_is_told(hand: Any) -> None:
    hand.workers("w2")
    hand.raws(1, 0, 1, 2, 3)
    hand.conductor._attempts = 1
    for dispatch in hand.dispatches():
        if dispatch.shard.detector != 0:
            hand.end(dispatch.shard)
    [other] = [s for s in hand.shards() if s.detector != 0]
    hand.end(other)
    ready = hand.conductor.lost(shard("isr", 1, 0), "killed", 1.0)
    assert ready == [shard("gather", 1)]
    assert hand.run_all() == [shard("gather", 1)]
    assert [give.shard for give in hand.gave] == [shard("isr", 1, 0)]


def test_after_the_deadline_a_gather_runs_without_what_has_not_come(hand: Any) -> None:
    hand.now = 50.0
    hand.raws(1, 0, 1)
    hand.run_all()
    assert hand.conductor.next_deadline == 150.0
    assert hand.conductor.tick(149.9) == []
    assert hand.conductor.tick(150.0) == [shard("gather", 1)]
    assert hand.conductor.missing("LSSTCam", 1) == {2, 3}
    assert hand.run_all() == [shard("gather", 1)]
    assert finished(hand)


def test_the_deadline_counts_from_the_first_raw(hand: Any) -> None:
    hand.raw(1, 0)
    hand.now = 90.0
    hand.raw(1, 1)
    hand.run_all()
    assert hand.conductor.tick(100.0) == [shard("gather", 1)]


def test_after_the_deadline_a_gather_still_waits_for_what_runs(hand: Any) -> None:
    hand.raws(1, 0, 1)
    hand.shards()
    assert hand.conductor.tick(200.0) == []
    hand.now = 201.0
    assert hand.end(shard("isr", 1, 0)) == []
    assert hand.end(shard("isr", 1, 1)) == [shard("gather", 1)]


def test_the_next_deadline_is_the_earliest_of_the_open_gates(hand: Any) -> None:
    assert hand.conductor.next_deadline is None
    hand.now = 10.0
    hand.raw(1, 0)
    hand.now = 20.0
    hand.raw(2, 0)
    assert hand.conductor.next_deadline == 110.0
    hand.run_all()
    hand.conductor.tick(115.0)
    assert hand.conductor.next_deadline == 120.0


def test_a_deadline_that_has_passed_is_not_named_again(hand: Any) -> None:
    hand.raw(1, 0)
    hand.shards()
    hand.conductor.tick(100.0)
    assert hand.conductor.open_gates == 1
    assert hand.conductor.next_deadline is None, "time alone will not open the gate any more"


def test_closing_the_gates_gathers_what_is_there(hand: Any) -> None:
    hand.raws(1, 0, 1)
    hand.raws(2, 0)
    hand.run_all()
    assert set(hand.conductor.close_gates(5.0)) == {shard("gather", 1), shard("gather", 2)}
    assert hand.run_all() == [shard("gather", 2), shard("gather", 1)]
    assert hand.conductor.close_gates(6.0) == []
    assert finished(hand)


def test_a_gate_that_was_closed_while_a_detector_runs_opens_when_it_ends(hand: Any) -> None:
    hand.raws(1, 0)
    hand.shards()
    assert hand.conductor.close_gates(5.0) == []
    hand.now = 6.0
    assert hand.end(shard("isr", 1, 0)) == [shard("gather", 1)]


def test_each_exposure_has_its_own_gate(hand: Any) -> None:
    hand.raws(1, 0, 1)
    hand.raws(2, 0, 1, 2, 3)
    ran = hand.run_all()
    assert shard("gather", 2) in ran
    assert shard("gather", 1) not in ran


def test_steps_follow_a_gather(make_hand: Callable[..., Any]) -> None:
    hand = make_hand([ISR, GATHER, PLOT, WARP], detectors=2)
    hand.workers("w0")
    hand.raws(1, 0, 1)
    ran = [s.step for s in hand.run_all()]
    assert ran[:3] == ["isr", "isr", "gather"]
    assert sorted(ran[3:]) == ["plot", "warp", "warp"]
    assert finished(hand)


def test_a_step_of_a_detector_follows_without_waiting_for_the_others(make_hand: Callable[..., Any]) -> None:
    hand = make_hand([ISR, CALIBRATE, GATHER])
    hand.workers("w0")
    hand.raw(1, 0)
    assert hand.shards() == [shard("isr", 1, 0)]
    assert hand.end(shard("isr", 1, 0)) == [shard("calibrate", 1, 0)]
    assert hand.shards() == [shard("calibrate", 1, 0)]


def test_a_detectors_later_step_is_given_up_when_its_earlier_one_failed(
    make_hand: Callable[..., Any],
) -> None:
    last = StepRule("last", per_detector=False, after=frozenset({"calibrate"}))
    hand = make_hand([ISR, CALIBRATE, last], detectors=2)
    hand.workers("w0")
    hand.raws(1, 0, 1)
    ran = hand.run_all(failing=frozenset({shard("isr", 1, 1)}))
    assert shard("calibrate", 1, 1) not in ran
    assert [(give.shard, give.attempt) for give in hand.gave] == [(shard("calibrate", 1, 1), 0)]
    assert "earlier step failed" in hand.gave[0].reason
    assert ran[-1] == shard("last", 1), "the gather runs without it"
    assert finished(hand)


def test_what_follows_a_failed_gather_is_given_up(make_hand: Callable[..., Any]) -> None:
    hand = make_hand([ISR, GATHER, PLOT, WARP], detectors=2)
    hand.workers("w0")
    hand.raws(1, 0, 1)
    ran = hand.run_all(failing=frozenset({shard("gather", 1)}))
    assert [s.step for s in ran] == ["isr", "isr", "gather"]
    assert {give.shard for give in hand.gave} == {
        shard("plot", 1),
        shard("warp", 1, 0),
        shard("warp", 1, 1),
    }
    assert finished(hand)


def test_a_pipeline_without_a_gather_is_finished_when_its_detectors_are(
    make_hand: Callable[..., Any],
) -> None:
    hand = make_hand([ISR])
    hand.workers("w0")
    hand.raw(1, 0)
    assert not finished(hand)
    hand.run_all()
    assert finished(hand)
    assert hand.conductor.open_gates == 0
    assert hand.conductor.next_deadline is None


def test_an_exposure_that_never_came_is_not_finished(hand: Any) -> None:
    assert not finished(hand, 99)


def test_what_ended_in_an_earlier_run_does_not_run_again_and_counts(hand: Any) -> None:
    for detector in (0, 1, 2):
        hand.conductor.already_ended(shard("isr", 1, detector), failed=detector == 2, now=0.0)
        assert hand.conductor.is_known(shard("isr", 1, detector))
        assert hand.raw(1, detector) == []
    assert hand.raw(1, 3) == [shard("isr", 1, 3)]
    assert hand.run_all() == [shard("isr", 1, 3), shard("gather", 1)]
    assert hand.conductor.missing("LSSTCam", 1) == frozenset()


def test_only_the_gather_is_left_of_an_earlier_run(hand: Any) -> None:
    for detector in range(4):
        hand.conductor.already_ended(shard("isr", 1, detector), failed=False, now=0.0)
    assert hand.raw(1, 0) == [shard("gather", 1)]
    assert hand.run_all() == [shard("gather", 1)]


def test_a_gather_that_ended_in_an_earlier_run_is_not_run_again(hand: Any) -> None:
    hand.conductor.already_ended(shard("isr", 1, 0), failed=False, now=0.0)
    hand.conductor.already_ended(shard("gather", 1), failed=False, now=0.0)
    hand.raws(1, 0, 1, 2, 3)
    assert hand.run_all() == [shard("isr", 1, detector) for detector in (1, 2, 3)]
    assert finished(hand)


def test_what_an_earlier_run_gathered_is_made_again_once_more_have_ended(hand: Any) -> None:
    before = frozenset({0, 1, 2})
    for detector in before:
        hand.conductor.already_ended(shard("isr", 1, detector), failed=False, now=0.0)
    hand.conductor.already_ended(shard("gather", 1), failed=False, now=0.0, gathered=before)
    hand.raws(1, *before)
    assert finished(hand), "it took them all"
    hand.raw(1, 3)
    assert hand.run_all() == [shard("isr", 1, 3)]
    [replaced] = hand.told
    assert replaced.shards == (shard("gather", 1),)


def test_what_an_earlier_run_gathered_is_left_until_all_that_it_took_is_known(hand: Any) -> None:
    hand.conductor.already_ended(shard("gather", 1), failed=False, now=0.0, gathered=frozenset({0, 1}))
    hand.raws(1, 2, 3)
    assert hand.run_all() == [shard("isr", 1, 2), shard("isr", 1, 3)]
    hand.now = 2 * DEADLINE
    hand.conductor.tick(hand.now)
    assert hand.told == []
    assert finished(hand)
    for detector in (0, 1):
        hand.conductor.already_ended(shard("isr", 1, detector), failed=False, now=hand.now)
        hand.raw(1, detector)
    hand.run_all()
    assert [replaced.shards for replaced in hand.told] == [(shard("gather", 1),)]


@pytest.mark.parametrize("newest", [1, 2])
def test_an_exposure_begun_in_an_earlier_run_keeps_its_turn(hand: Any, newest: int) -> None:
    hand.conductor.worker_lost("w1")
    hand.conductor.already_ended(shard("isr", newest, 0), failed=False, now=0.0)
    hand.raw(newest, 0, newness=20.0)
    hand.raw(3 - newest, 1, newness=10.0)
    hand.raw(newest, 1, newness=20.0)
    assert hand.run_all() == [shard("isr", newest, 1), shard("isr", 3 - newest, 1)]


def test_what_is_known_is_what_is_ready_runs_or_ended(hand: Any) -> None:
    assert not hand.conductor.is_known(shard("isr", 1, 0))
    hand.raw(1, 0)
    assert hand.conductor.is_known(shard("isr", 1, 0))
    assert not hand.conductor.is_known(shard("isr", 1, 1))
    assert not hand.conductor.is_known(shard("gather", 1))
    hand.run_all()
    assert hand.conductor.is_known(shard("isr", 1, 0))


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_gather_waits_as_long_when_the_clock_is_set(hand: Any, step: float) -> None:
    hand.raws(1, 0, 1, 2)
    hand.run_all()
    hand.tick(hand.now + 60)
    hand.conductor.clock_set(step)
    assert hand.tick(hand.now + step + 39) == []
    assert hand.tick(hand.now + 2) == [shard("gather", 1)]
