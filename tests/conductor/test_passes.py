"""A gather of what is there, the complete one, and the same again for what came too late."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from lsst.ctrl.rapid.conductor import Drop, Replace, Selected, StepRule
from lsst.ctrl.rapid.model import Shard

from .conftest import CAMERA, DEADLINE, GATHER, ISR, Hand

TIMEOUT = 5.0
PLOT = StepRule("plot", per_detector=False, after=frozenset({"gather"}))
COMPLETE = Shard("summit", "gather", CAMERA, 1)
PARTIAL = dataclasses.replace(COMPLETE, partial=True)
AGAIN = dataclasses.replace(COMPLETE, revision=1)


def isr(detector: int) -> Shard:
    return Shard("summit", "isr", CAMERA, 1, detector)


@pytest.fixture
def hand() -> Hand:
    hand = Hand([ISR, GATHER, PLOT], timeout=TIMEOUT)
    hand.workers("w0", "w1", "w2", "w3")
    return hand


def gathered(hand: Hand) -> dict[Shard, frozenset[int] | None]:
    return {dispatch.shard: dispatch.detectors for dispatch in hand.dispatches()}


def commit(hand: Hand, *shards: Shard) -> None:
    for shard in shards:
        hand.conductor.committed(shard, hand.now)


def test_nothing_is_gathered_in_part_when_all_end_in_time(hand: Hand) -> None:
    hand.raws(1, 0, 1, 2, 3)
    assert set(hand.run_all()) == {
        isr(0),
        isr(1),
        isr(2),
        isr(3),
        COMPLETE,
        dataclasses.replace(COMPLETE, step="plot"),
    }
    assert list(hand.tick(DEADLINE + 1)) == []
    assert hand.conductor.is_finished(CAMERA, 1)


def test_what_has_ended_is_gathered_some_time_after_the_first_one(hand: Hand) -> None:
    hand.raws(1, 0, 1, 2)
    hand.dispatches()
    hand.now = 10.0
    hand.end(isr(0))
    hand.end(isr(1), failed=True)
    assert hand.conductor.next_deadline == 10.0 + TIMEOUT
    assert list(hand.tick(10.0 + TIMEOUT - 0.1)) == []
    assert list(hand.tick(10.0 + TIMEOUT)) == [PARTIAL]
    assert gathered(hand) == {PARTIAL: {0, 1}}
    assert list(hand.end(PARTIAL)) == [dataclasses.replace(PARTIAL, step="plot")]
    assert not hand.conductor.is_finished(CAMERA, 1)


def test_the_complete_gather_follows_when_the_rest_has_ended(hand: Hand) -> None:
    hand.raws(1, 0, 1, 2)
    hand.dispatches()
    hand.end(isr(0))
    hand.tick(TIMEOUT)
    hand.dispatches()
    hand.end(PARTIAL)
    hand.run_all()
    hand.end(isr(1))
    hand.raw(1, 3)
    assert hand.shards() == [isr(3)]
    hand.end(isr(3))
    assert list(hand.end(isr(2))) == [COMPLETE]
    assert gathered(hand) == {COMPLETE: {0, 1, 2, 3}}


def test_the_complete_gather_runs_at_the_deadline_without_what_has_not_come(hand: Hand) -> None:
    hand.raws(1, 0, 1)
    hand.dispatches()
    hand.end(isr(0))
    hand.end(isr(1))
    hand.tick(TIMEOUT)
    hand.run_all()
    assert list(hand.tick(DEADLINE - 1)) == []
    assert list(hand.tick(DEADLINE)) == [COMPLETE]
    assert gathered(hand) == {COMPLETE: {0, 1}}
    assert hand.conductor.missing(CAMERA, 1) == {2, 3}


def test_a_partial_gather_that_has_not_begun_gives_way_to_the_complete_one(hand: Hand) -> None:
    hand.raws(1, 0, 1, 2, 3)
    hand.dispatches()
    for detector in (0, 1, 2):
        hand.end(isr(detector))
    hand.tick(TIMEOUT)
    assert list(hand.end(isr(3))) == [COMPLETE]
    assert hand.shards() == [COMPLETE]
    assert hand.told == [Drop(PARTIAL)]
    assert hand.conductor.ready == 0


def test_a_partial_gather_that_runs_is_let_end_before_the_complete_one(hand: Hand) -> None:
    hand.raws(1, 0, 1, 2, 3)
    hand.dispatches()
    for detector in (0, 1, 2):
        hand.end(isr(detector))
    hand.tick(TIMEOUT)
    assert hand.shards() == [PARTIAL]
    assert list(hand.end(isr(3))) == []
    plot = dataclasses.replace(PARTIAL, step="plot")
    assert list(hand.end(PARTIAL)) == [plot]
    assert hand.shards() == [plot]
    assert list(hand.end(plot)) == [COMPLETE]


def test_nothing_is_gathered_in_part_of_detectors_that_all_failed(hand: Hand) -> None:
    hand.raws(1, 0, 1)
    hand.dispatches()
    hand.end(isr(0), failed=True)
    assert list(hand.tick(TIMEOUT)) == []
    assert hand.conductor.next_deadline == DEADLINE


def test_a_detector_that_comes_later_is_made_and_all_is_gathered_again(hand: Hand) -> None:
    hand.raws(1, 0, 1, 2)
    hand.run_all()
    hand.tick(DEADLINE)
    gathers = hand.run_all()
    assert hand.conductor.is_finished(CAMERA, 1)
    hand.now = DEADLINE + 50
    assert list(hand.raw(1, 3)) == [isr(3)]
    assert not hand.conductor.is_finished(CAMERA, 1)
    assert hand.run_all() == [isr(3)]
    assert hand.told == [], "what is not registered yet cannot be removed"
    commit(hand, *gathers)
    assert hand.run_all() == []
    plot = dataclasses.replace(COMPLETE, step="plot")
    assert hand.told == [Replace(CAMERA, 1, (COMPLETE, plot))]
    assert list(hand.replace()) == [AGAIN]
    assert gathered(hand) == {AGAIN: {0, 1, 2, 3}}
    hand.end(AGAIN)
    assert hand.run_all() == [dataclasses.replace(plot, revision=1)]
    assert hand.conductor.is_finished(CAMERA, 1)


def test_a_detector_that_comes_while_all_is_gathered_again_causes_one_more(hand: Hand) -> None:
    hand.raws(1, 0, 1)
    hand.run_all()
    hand.tick(DEADLINE)
    commit(hand, *hand.run_all())
    hand.raw(1, 2)
    hand.run_all()
    hand.raw(1, 3)
    assert hand.run_all() == [isr(3)]
    hand.replace()
    ran = hand.run_all()
    assert ran[0] == AGAIN
    commit(hand, *ran)
    hand.run_all()
    hand.replace()
    twice = dataclasses.replace(COMPLETE, revision=2)
    assert gathered(hand) == {twice: {0, 1, 2, 3}}


def test_the_commit_of_a_partial_gather_does_not_count_for_the_complete_one(hand: Hand) -> None:
    hand.raws(1, 0, 1)
    hand.run_all()
    hand.tick(TIMEOUT)
    partial = hand.run_all()
    hand.tick(DEADLINE)
    complete = hand.run_all()
    commit(hand, isr(0), isr(1), *partial)
    assert hand.conductor.forget(CAMERA, 1) is None
    commit(hand, *complete)
    assert hand.conductor.forget(CAMERA, 1) == [1]


def test_what_is_planned_from_the_registry_is_not_gathered_in_part(make_hand: Callable[..., Any]) -> None:
    joins = StepRule("gather", per_detector=False, after=frozenset({"isr"}), needs_commit=True)
    hand = make_hand([ISR, joins], timeout=TIMEOUT)
    hand.workers("w0")
    hand.raws(1, 0, 1)
    hand.run_all()
    assert hand.conductor.next_deadline == DEADLINE
    assert list(hand.tick(TIMEOUT)) == []


def test_a_step_with_a_pattern_of_its_own_runs_for_its_detectors_only(make_hand: Callable[..., Any]) -> None:
    class Some:
        def whole(self, *_: object) -> Selected:
            return Selected(frozenset(range(4)), {"calibrate": frozenset({1, 2})})

        def usual(self, *_: object) -> Selected:
            return self.whole()

        reduced = usual

    calibrate = StepRule("calibrate", per_detector=True, after=frozenset({"isr"}))
    fit = StepRule("fit", per_detector=True, after=frozenset({"calibrate"}))
    visit = StepRule("visit", per_detector=False, after=frozenset({"fit"}))
    hand = make_hand([ISR, calibrate, fit, visit], choice=Some())
    hand.workers("w0", "w1")
    hand.raws(1, 0, 1, 2, 3)
    ran = hand.run_all()
    assert sorted((shard.step, shard.detector) for shard in ran if shard.detector is not None) == [
        *(("calibrate", detector) for detector in (1, 2)),
        *(("fit", detector) for detector in (1, 2)),
        *(("isr", detector) for detector in range(4)),
    ]
    assert ran[-1].step == "visit"
    assert hand.conductor.is_finished(CAMERA, 1)
