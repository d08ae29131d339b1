"""What comes first when not all can be processed at once, and who is interrupted for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lsst.ctrl.rapid.conductor import Backlog, Selected, Yield
from lsst.ctrl.rapid.model import DownSelection, Mode, PatternSpec, Policy, Shard

from .conftest import CAMERA, GATHER, ISR, Hand


def isr(exposure: int, detector: int) -> Shard:
    return Shard("summit", "isr", CAMERA, exposure, detector)


def hand_of(mode: Mode, **more: Any) -> Hand:
    hand = Hand([ISR, GATHER], policy=Policy(mode=mode), **more)
    hand.workers("w0", "w1")
    return hand


def test_workers_wait_for_the_next_exposure_although_older_ones_wait() -> None:
    hand = hand_of(Mode.WAITING)
    hand.raws(1, 0, 1, 2, 3)
    assert hand.shards() == [isr(1, 0), isr(1, 1)]
    hand.raws(2, 0)
    hand.end(isr(1, 0))
    hand.end(isr(1, 1))
    assert hand.shards() == [isr(2, 0)]
    hand.end(isr(2, 0))
    assert hand.shards() == []
    assert hand.conductor.idle
    assert hand.conductor.backlog == Backlog(2, 1, 1, 0.0, reduced=False)


def test_a_gather_of_an_older_exposure_does_not_wait() -> None:
    hand = hand_of(Mode.WAITING)
    hand.raws(1, 0, 1, 2, 3)
    shards = hand.shards()
    for shard in shards:
        hand.end(shard)
    shards = hand.shards()
    hand.raw(2, 0)
    for shard in shards:
        hand.end(shard)
    assert hand.shards() == [isr(2, 0), Shard("summit", "gather", CAMERA, 1)]


def test_what_waits_is_worked_off_when_no_more_raws_come() -> None:
    hand = hand_of(Mode.WAITING)
    hand.raws(1, 0, 1, 2, 3)
    hand.raws(2, 0, 1, 2, 3)
    hand.run_all()
    assert hand.conductor.backlog.shards == 4
    hand.conductor.close_gates(hand.now)
    hand.run_all()
    assert hand.conductor.is_finished(CAMERA, 1)


def test_a_running_shard_is_not_interrupted_unless_that_is_wanted() -> None:
    hand = hand_of(Mode.CONSUMING)
    hand.raws(1, 0, 1, 2, 3)
    hand.shards()
    hand.raws(2, 0, 1, 2, 3)
    assert hand.shards() == []
    assert hand.told == []


def test_older_shards_are_asked_to_stop_for_as_many_as_wait_of_a_newer_exposure() -> None:
    hand = hand_of(Mode.PREEMPTIVE)
    hand.raws(1, 0, 1, 2, 3)
    hand.shards()
    hand.raw(2, 0)
    assert hand.shards() == []
    assert hand.told == [Yield(isr(1, 1), "w1")], "what was begun last"
    assert hand.shards() == []
    assert len(hand.told) == 1, "nobody is asked twice"
    hand.conductor.yielded(isr(1, 1))
    assert hand.shards() == [isr(2, 0)]
    assert hand.conductor.ready == 3, "what has stopped waits again"


def test_the_oldest_is_asked_first() -> None:
    hand = hand_of(Mode.PREEMPTIVE)
    hand.raw(2, 0)
    hand.raw(1, 0)
    hand.shards()
    hand.raw(3, 0)
    hand.shards()
    assert hand.told == [Yield(isr(1, 0), "w1")]


def test_a_shard_that_stopped_is_tried_as_often_as_others() -> None:
    hand = hand_of(Mode.PREEMPTIVE)
    hand.raw(1, 0)
    for _ in range(5):
        [dispatch] = hand.dispatches()
        assert (dispatch.shard, dispatch.attempt) == (isr(1, 0), 1)
        hand.conductor.yielded(isr(1, 0))


def test_nobody_is_asked_for_an_exposure_that_is_not_newer() -> None:
    hand = hand_of(Mode.PREEMPTIVE)
    hand.raws(2, 0, 1)
    hand.shards()
    hand.raws(1, 0)
    hand.raw(2, 2)
    hand.shards()
    assert hand.told == []


class Halves:
    """All four detectors, or the first two."""

    def whole(self, *_: object) -> Selected:
        return Selected(frozenset(range(4)))

    def usual(self, *_: object) -> Selected:
        return self.whole()

    def reduced(self, *_: object) -> Selected:
        return Selected(frozenset({0, 1}), reduced=True)


@pytest.fixture
def overloaded() -> Hand:
    rule = DownSelection(pattern=PatternSpec(include=("minimal",)), above=25.0, below=10.0)
    hand = Hand([ISR, GATHER], policy=Policy(down_selection=rule), choice=Halves())
    hand.workers("w0", "w1")
    hand.raws(1, 0, 1)
    for shard in hand.shards():
        hand.conductor.ended(shard, failed=False, now=0.0, seconds=10.0)
    return hand


def reduced(hand: Hand, exposure: int, *, guaranteed: bool = False) -> bool:
    return hand.conductor.select("summit", CAMERA, exposure, guaranteed=guaranteed).reduced


def work_off(hand: Hand, seconds: float) -> None:
    """Run what waits until it would take no longer than so many seconds."""
    while hand.conductor.backlog.seconds > seconds:
        hand.shards()
        shard = next(iter(hand.conductor.running))
        hand.conductor.ended(shard, failed=False, now=0.0, seconds=10.0)


def test_exposures_are_processed_in_part_while_too_much_waits_and_whole_again_after(overloaded: Hand) -> None:
    hand = overloaded
    assert not reduced(hand, 2)
    hand.raws(2, 0, 1, 2, 3)
    assert not reduced(hand, 3), "20 s of work are not too much"
    hand.raws(3, 0, 1, 2, 3)
    assert reduced(hand, 4), "40 s are"
    assert reduced(hand, 5, guaranteed=True) is False
    work_off(hand, 10.0)
    assert not reduced(hand, 6), "10 s are so little that all is processed again"


def test_what_is_of_the_past_does_not_have_new_exposures_processed_in_part(overloaded: Hand) -> None:
    hand = overloaded
    hand.raw(9, 0)
    for older in (2, 3, 4):
        hand.raws(older, 0, 1, 2, 3)
    assert hand.conductor.backlog.seconds > 40.0
    assert not reduced(hand, 10)
    hand.shards()
    assert hand.conductor.ready > 0


def test_between_the_limits_it_stays_as_it_is(overloaded: Hand) -> None:
    hand = overloaded
    hand.raws(2, 0, 1, 2, 3)
    hand.raws(3, 0, 1, 2, 3)
    assert reduced(hand, 4)
    work_off(hand, 20.0)
    assert 10.0 < hand.conductor.backlog.seconds <= 25.0
    assert reduced(hand, 5)
    assert reduced(hand, 4), "what was decided for an exposure stays"


def test_only_the_selected_detectors_are_waited_for(overloaded: Hand) -> None:
    hand = overloaded
    hand.raws(2, 0, 1, 2, 3)
    hand.raws(3, 0, 1, 2, 3)
    reduced(hand, 4)
    hand.raws(4, 0, 1)
    shards = [*hand.shards(), *hand.shards()]
    assert {isr(4, 0), isr(4, 1)} == set(shards)
    for shard in shards:
        hand.end(shard)
    assert hand.shards()[0] == Shard("summit", "gather", CAMERA, 4)


def test_what_was_shed_is_not_run_when_its_outcome_is_registered(overloaded: Hand) -> None:
    hand = overloaded
    hand.raws(2, 0, 1, 2, 3)
    hand.raws(3, 0, 1, 2, 3)
    assert reduced(hand, 4)
    hand.raw(4, 0)
    assert list(hand.conductor.committed(isr(4, 2), hand.now)) == []
    assert list(hand.conductor.raw_committed(CAMERA, 4, 2, hand.now)) == []


def test_a_shard_whose_worker_died_goes_to_another_one(make_hand: Callable[..., Any]) -> None:
    hand = make_hand([ISR])
    hand.workers("w0", "w1")
    hand.raw(1, 0)
    [dispatch] = hand.dispatches()
    hand.conductor.worker_lost(dispatch.worker)
    hand.conductor.lost(isr(1, 0), "killed", hand.now)
    hand.workers(dispatch.worker)
    [again] = hand.dispatches()
    assert (again.shard, again.attempt) == (isr(1, 0), 2)
    assert again.worker != dispatch.worker


def test_the_only_worker_tries_again_itself(make_hand: Callable[..., Any]) -> None:
    hand = make_hand([ISR])
    hand.workers("w0")
    hand.raw(1, 0)
    hand.dispatches()
    hand.conductor.worker_lost("w0")
    hand.conductor.lost(isr(1, 0), "killed", hand.now)
    assert hand.dispatches() == []
    hand.workers("w0")
    [again] = hand.dispatches()
    assert again.worker == "w0"


def test_the_halves_of_a_wavefront_sensor_go_to_one_worker(make_hand: Callable[..., Any]) -> None:
    hand = make_hand([ISR], partners={0: 1, 1: 0})
    hand.workers("w0", "w1", "w2")
    hand.raws(1, 0, 1, 2)
    placed = {dispatch.shard.detector: dispatch.worker for dispatch in hand.dispatches()}
    assert placed == {0: "w0", 2: "w1"}, "the other half waits, although a worker is free"
    hand.end(isr(1, 0))
    [dispatch] = hand.dispatches()
    assert (dispatch.shard, dispatch.worker) == (isr(1, 1), "w0")


def test_half_a_sensor_does_not_wait_for_a_worker_that_died(make_hand: Callable[..., Any]) -> None:
    hand = make_hand([ISR], partners={0: 1, 1: 0})
    hand.workers("w0", "w1")
    hand.raws(1, 0, 1)
    [dispatch] = hand.dispatches()
    hand.conductor.worker_lost(dispatch.worker)
    hand.conductor.lost(dispatch.shard, "killed", hand.now)
    assert len(hand.dispatches()) == 1


def test_nothing_is_dispatched_while_paused(make_hand: Callable[..., Any]) -> None:
    hand = make_hand([ISR])
    hand.workers("w0")
    hand.conductor.pause()
    hand.raw(1, 0)
    assert hand.shards() == []
    hand.conductor.resume()
    assert hand.shards() == [isr(1, 0)]
