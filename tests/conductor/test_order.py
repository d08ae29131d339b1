"""Which shard runs next, and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from lsst.ctrl.rapid.conductor import StepRule, WholeCamera
from lsst.ctrl.rapid.model import Shard

ISR = StepRule("isr", per_detector=True, after=frozenset())
GATHER = StepRule("gather", per_detector=False, after=frozenset({"isr"}))


def isr(exposure: int, detector: int) -> Shard:
    return Shard("summit", "isr", "LSSTCam", exposure, detector)


def gather(exposure: int, step: str = "gather") -> Shard:
    return Shard("summit", step, "LSSTCam", exposure)


def test_a_raw_is_ready_at_once_and_goes_to_a_free_worker(hand: Any) -> None:
    assert hand.raw(1, 0) == [isr(1, 0)]
    [dispatch] = hand.dispatches()
    assert (dispatch.shard, dispatch.attempt) == (isr(1, 0), 1)
    assert hand.conductor.running == {isr(1, 0): dispatch.worker}
    assert hand.conductor.free_workers == 1


def test_without_a_worker_everything_waits(make_hand: Callable[..., Any]) -> None:
    hand = make_hand([ISR, GATHER])
    hand.raws(1, 0, 1)
    assert hand.dispatches() == []
    assert hand.conductor.ready == 2
    hand.workers("w0")
    assert len(hand.dispatches()) == 1


def test_the_newest_exposure_goes_first_whatever_came_first(hand: Any) -> None:
    hand.raws(1, 0, 1)
    hand.dispatches()
    hand.raws(2, 0, 1)
    hand.raws(4, 0)
    hand.raws(3, 0)
    assert hand.run_all() == []
    for shard in (isr(1, 0), isr(1, 1)):
        hand.end(shard)
    assert [shard.exposure for shard in hand.run_all()] == [4, 3, 2, 2]


def test_newness_decides_not_the_number(hand: Any) -> None:
    hand.conductor.worker_lost("w1")
    hand.raw(10, 0, newness=1.0)
    hand.raw(9, 0, newness=2.0)
    assert hand.run_all() == [isr(9, 0), isr(10, 0)]


def test_a_gather_goes_before_the_other_shards_of_its_exposure(make_hand: Callable[..., Any]) -> None:
    late = StepRule("late", per_detector=True, after=frozenset({"isr"}))
    hand = make_hand([ISR, GATHER, late], detectors=2)
    hand.workers("w0")
    hand.raws(1, 0, 1)
    hand.run_all()
    hand.raws(2, 0, 1)
    assert [shard.step for shard in hand.run_all()] == ["isr", "isr", "gather", "late", "late"]


def test_a_detector_returns_to_its_worker(hand: Any) -> None:
    hand.raws(1, 0, 1)
    home = {dispatch.shard.detector: dispatch.worker for dispatch in hand.dispatches()}
    for detector in (0, 1):
        hand.end(isr(1, detector))
    for exposure, order in ((2, (1, 0)), (3, (0, 1))):
        for detector in order:
            hand.raw(exposure, detector)
        for dispatch in hand.dispatches():
            assert dispatch.worker == home[dispatch.shard.detector]
            hand.end(dispatch.shard)


def test_a_detector_does_not_wait_for_its_worker_while_another_is_free(hand: Any) -> None:
    hand.raw(1, 0)
    [first] = hand.dispatches()
    hand.raw(2, 0)
    [second] = hand.dispatches()
    assert second.shard == isr(2, 0)
    assert second.worker != first.worker


def test_a_free_worker_prefers_the_detector_that_it_knows(hand: Any) -> None:
    hand.raws(1, 0, 1)
    home = {dispatch.shard.detector: dispatch.worker for dispatch in hand.dispatches()}
    hand.raws(2, 0, 1)
    hand.end(isr(1, 1))
    [dispatch] = hand.dispatches()
    assert (dispatch.shard, dispatch.worker) == (isr(2, 1), home[1])


def test_the_detectors_of_two_cameras_are_not_confused(make_hand: Callable[..., Any]) -> None:
    cameras = WholeCamera({"LSSTCam": frozenset({0}), "LATISS": frozenset({0})})
    hand = make_hand([ISR], choice=cameras)
    hand.workers("w0")
    hand.raw(1, 0)
    hand.run_all()
    hand.workers("w1")
    hand.conductor.raw("summit", "LATISS", 1, 0, 0.0, 1.0)
    [dispatch] = hand.dispatches()
    assert dispatch.shard == Shard("summit", "isr", "LATISS", 1, 0)


def test_the_same_raw_told_twice_runs_once(hand: Any) -> None:
    hand.raw(1, 0)
    assert hand.raw(1, 0) == []
    assert hand.run_all() == [isr(1, 0)]
    assert hand.raw(1, 0) == []
    assert hand.run_all() == []


def test_draining_dispatches_nothing_more_but_lets_what_runs_end(hand: Any) -> None:
    hand.raws(1, 0, 1, 2)
    running = hand.shards()
    hand.conductor.drain()
    assert not hand.conductor.idle
    for shard in running:
        hand.end(shard)
        assert hand.dispatches() == []
    assert hand.conductor.idle
    assert hand.conductor.ready == 1


def test_a_shard_lost_while_draining_is_not_tried_again(hand: Any) -> None:
    hand.raw(1, 0)
    [dispatch] = hand.dispatches()
    hand.conductor.drain()
    hand.conductor.worker_lost(dispatch.worker)
    hand.conductor.lost(dispatch.shard, "killed", 1.0)
    assert hand.dispatches() == []
    assert hand.conductor.idle


def test_a_worker_that_is_lost_when_free_gets_nothing(hand: Any) -> None:
    hand.conductor.worker_lost("w0")
    hand.raws(1, 0, 1)
    assert [dispatch.worker for dispatch in hand.dispatches()] == ["w1"]


def test_a_worker_that_was_lost_while_it_ran_does_not_become_free(hand: Any) -> None:
    hand.raw(1, 0)
    [dispatch] = hand.dispatches()
    hand.conductor.worker_lost(dispatch.worker)
    hand.end(dispatch.shard)
    assert hand.conductor.free_workers == 1
    hand.raws(1, 1, 2)
    assert dispatch.worker not in [other.worker for other in hand.dispatches()]


@pytest.mark.parametrize("worker_told_first", [True, False])
def test_a_lost_shard_is_tried_again_elsewhere(hand: Any, worker_told_first: bool) -> None:
    hand.raw(1, 0)
    [first] = hand.dispatches()
    if worker_told_first:
        hand.conductor.worker_lost(first.worker)
    assert hand.conductor.lost(first.shard, "killed", 1.0) == []
    if not worker_told_first:
        hand.conductor.worker_lost(first.worker)
    [second] = hand.dispatches()
    assert second.shard == first.shard
    assert second.attempt == 2
    assert second.worker != first.worker
    assert hand.gave == []


def test_a_shard_is_given_up_after_its_last_attempt(make_hand: Callable[..., Any]) -> None:
    hand = make_hand([ISR], attempts=3)
    hand.workers("w0", "w1", "w2", "w3")
    hand.raw(1, 0)
    for attempt in (1, 2, 3):
        [dispatch] = hand.dispatches()
        assert dispatch.attempt == attempt
        hand.conductor.worker_lost(dispatch.worker)
        hand.conductor.lost(dispatch.shard, f"killed by {attempt}", 1.0)
    assert not hand.conductor.idle, "that it is given up must be told yet"
    assert hand.dispatches() == []
    [give] = hand.gave
    assert give.shard == isr(1, 0)
    assert give.attempt == 3
    assert give.reason == "killed by 3 (attempt 3 of 3)"
    assert hand.conductor.idle
    assert hand.conductor.is_finished("LSSTCam", 1)
    hand.dispatches()
    assert len(hand.gave) == 1


def test_what_is_given_up_is_told_while_draining(make_hand: Callable[..., Any]) -> None:
    hand = make_hand([ISR], attempts=1)
    hand.workers("w0")
    hand.raw(1, 0)
    [dispatch] = hand.dispatches()
    hand.conductor.drain()
    hand.conductor.lost(dispatch.shard, "killed", 1.0)
    hand.dispatches()
    assert [give.shard for give in hand.gave] == [isr(1, 0)]


def test_the_count_of_attempts_begins_anew_for_each_shard(hand: Any) -> None:
    hand.workers("w2", "w3")
    for exposure in (1, 2):
        hand.raw(exposure, 0)
        [dispatch] = hand.dispatches()
        hand.conductor.worker_lost(dispatch.worker)
        hand.conductor.lost(dispatch.shard, "killed", 1.0)
        [again] = hand.dispatches()
        assert again.attempt == 2
        hand.end(again.shard)
    assert hand.gave == []


def test_poison_of_many_exposures_takes_no_more_workers_than_its_own_attempts(hand: Any) -> None:
    for exposure in (1, 2, 3):
        hand.raws(exposure, 0, 1, 2, 3)
    tries: Counter[Shard] = Counter()
    done = set()
    while dispatches := hand.dispatches():
        for dispatch in dispatches:
            tries[dispatch.shard] += 1
            if dispatch.shard.detector == 1:
                hand.conductor.worker_lost(dispatch.worker)
                hand.conductor.lost(dispatch.shard, "killed", hand.now)
                hand.workers(dispatch.worker)
            else:
                done.add(dispatch.shard)
                hand.end(dispatch.shard)
    assert {shard.exposure: n for shard, n in tries.items() if shard.detector == 1} == {1: 2, 2: 2, 3: 2}
    assert {n for shard, n in tries.items() if shard.detector != 1} == {1}
    assert len([shard for shard in done if shard.detector is not None]) == 9
    assert {give.reason for give in hand.gave if give.attempt} == {"killed (attempt 2 of 2)"}
    assert len(hand.gave) == 3


def test_a_shard_that_did_not_reach_its_worker_frees_none_that_has_another(hand: Any) -> None:
    hand.raws(1, 0, 1, 2)
    late, other = hand.dispatches()
    hand.conductor.worker_lost(late.worker)
    hand.workers(late.worker)
    [third] = hand.dispatches()
    assert third.worker == late.worker
    hand.conductor.yielded(late.shard)
    assert hand.conductor.free_workers == 0
    hand.end(other.shard)
    [again] = hand.dispatches()
    assert (again.shard, again.attempt) == (late.shard, 1)
