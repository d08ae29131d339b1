"""Steps of an observing day: in part every so many exposures, whole when it is over, again for more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lsst.ctrl.rapid.conductor import DayBefore, Gathering, StepRule, Withdraw
from lsst.ctrl.rapid.model import Shard, day_begins

CAMERA = "LSSTCam"
DAY = 20261124
NOON = day_begins(DAY)
ROLLOVER = day_begins(20261125)
ISR = StepRule("isr", per_detector=True, after=frozenset())
GATHER = StepRule("gather", per_detector=False, after=frozenset({"isr"}))
NIGHT = StepRule("night", per_detector=False, after=frozenset({"gather"}), per_day=True, needs_commit=True)
REPORT = StepRule("report", per_detector=False, after=frozenset({"night"}), per_day=True, needs_commit=True)

type MakeHand = Callable[..., Any]


class Night:
    """Takes exposures of one detector through a conductor, with a registry that commits at once."""

    def __init__(self, hand: Any, *, update: int = 2) -> None:
        self.hand, self.conductor = hand, hand.conductor
        self.conductor.set_gathering(Gathering(day_update=update))
        self.log: list[str] = []
        hand.now = NOON + 60.0
        hand.workers("w0")

    def come(self, exposure: int, detector: int = 0, day_obs: int = DAY) -> None:
        now = self.hand.now
        self.conductor.raw(
            "summit", CAMERA, exposure, detector, now, float(exposure), f"g{exposure}", 1, day_obs
        )
        self.conductor.raw_committed(CAMERA, exposure, detector, now)

    def take(self, *exposures: int) -> None:
        """Take exposures, one after another, each with all that it makes ready."""
        for exposure in exposures:
            self.come(exposure)
            self.work()

    def work(self) -> None:
        """Run and register all that can be, and remove what is to be."""
        while decisions := self.hand.dispatches() or self._removals():
            for decision in decisions:
                if isinstance(decision, Withdraw):
                    self._removed(decision)
                else:
                    self.end(decision.shard)

    def end(self, shard: Shard) -> None:
        if shard.day_obs is not None:
            self.log.append(f"{shard.step} {'in part' if shard.partial else 'whole'}")
        self.hand.end(shard)
        self.conductor.committed(shard, self.hand.now)

    def _removals(self) -> Sequence[Withdraw]:
        found = [one for one in self.hand.told if isinstance(one, Withdraw)]
        self.hand.told.clear()
        return found

    def _removed(self, decision: Withdraw) -> None:
        first = decision.shards[0]
        assert {shard.day_obs for shard in decision.shards} == {DAY}
        self.log.append(f"removed {'in part' if first.partial else 'whole'}")
        self.conductor.withdrawn(first, self.hand.now)

    def until(self, now: float) -> None:
        self.hand.tick(now)
        self.work()

    def new(self) -> list[str]:
        """Return what has happened to the day since it was last asked for."""
        log, self.log = self.log, []
        return log


@pytest.fixture
def night(make_hand: MakeHand) -> Night:
    return Night(make_hand([ISR, GATHER, NIGHT], detectors=1))


def test_a_day_is_made_in_part_every_so_many_exposures_each_in_place_of_the_one_before(night: Night) -> None:
    night.take(1)
    assert night.new() == []
    night.take(2)
    assert night.new() == ["removed in part", "night in part"]
    night.take(3, 4)
    assert night.new() == ["removed in part", "night in part"]


def test_a_day_is_made_whole_when_it_is_over_and_then_is_done(night: Night) -> None:
    night.take(1, 2, 3)
    night.new()
    assert night.conductor.next_deadline == ROLLOVER
    night.until(ROLLOVER - 1.0)
    assert night.new() == []
    night.until(ROLLOVER)
    assert night.new() == ["night whole"]
    assert night.conductor.next_deadline is None
    night.until(ROLLOVER + 1e5)
    assert night.new() == []


def test_without_updates_a_day_is_made_once_when_no_more_raws_come(make_hand: MakeHand) -> None:
    night = Night(make_hand([ISR, GATHER, NIGHT], detectors=1), update=0)
    night.take(*range(1, 50))
    assert night.new() == []
    night.conductor.close_gates(night.hand.now)
    night.work()
    assert night.new() == ["night whole"]
    assert night.conductor.idle


def test_a_day_is_not_made_before_what_an_exposure_made_is_registered(night: Night) -> None:
    night.take(1)
    night.come(2)
    [isr] = night.hand.shards()
    night.end(isr)
    [gather] = night.hand.shards()
    night.hand.end(gather)
    assert night.hand.shards() == []
    night.conductor.committed(gather, night.hand.now)
    night.work()
    assert night.new() == ["removed in part", "night in part"]


def test_a_day_that_is_over_waits_for_what_has_come_and_shows_meanwhile_what_there_is(night: Night) -> None:
    night.take(1, 2, 3)
    night.new()
    night.come(4)
    [isr] = night.hand.shards()
    night.hand.tick(ROLLOVER)
    night.conductor.worker_ready("w1")
    night.work()
    assert night.new() == ["removed in part", "night in part"]
    night.end(isr)
    night.work()
    assert night.new() == ["night whole"]


def test_exposures_of_a_day_that_was_over_long_ago_are_not_shown_one_by_one(make_hand: MakeHand) -> None:
    night = Night(make_hand([ISR, GATHER, NIGHT], detectors=1), update=10)
    night.hand.now = ROLLOVER + 1e6
    for exposure in (1, 2, 3):
        night.come(exposure)
    night.work()
    assert night.new() == ["night whole"]


def test_a_run_that_ends_makes_the_day_whole_and_not_in_part_before(night: Night) -> None:
    night.take(1, 2, 3)
    night.new()
    night.come(4)
    [isr] = night.hand.shards()
    night.conductor.close_gates(night.hand.now)
    night.end(isr)
    night.work()
    assert night.new() == ["night whole"]


def test_what_was_made_whole_is_withdrawn_as_soon_as_more_comes_and_made_again(night: Night) -> None:
    night.take(1)
    night.until(ROLLOVER)
    assert night.new() == ["night whole"]
    night.come(2)
    assert [type(one) for one in night.conductor.decide() if isinstance(one, Withdraw)] == [Withdraw]
    night.conductor.withdrawn(Shard("summit", "night", CAMERA, 0, day_obs=DAY), night.hand.now)
    assert night.new() == []


def test_a_late_exposure_has_the_day_made_again(night: Night) -> None:
    night.take(1)
    night.until(ROLLOVER)
    night.new()
    night.take(2)
    assert night.new() == ["removed whole", "night whole"]


def test_an_exposure_that_comes_while_the_day_is_made_whole_has_it_made_again(night: Night) -> None:
    night.take(1)
    night.hand.tick(ROLLOVER)
    [whole] = night.hand.shards()
    assert whole.day_obs == DAY
    night.come(2)
    night.end(whole)
    night.work()
    assert night.new() == ["night whole", "removed whole", "night whole"]


def test_a_late_detector_counts_as_news_of_its_exposure(make_hand: MakeHand) -> None:
    night = Night(make_hand([ISR, GATHER, NIGHT], detectors=2), update=0)
    night.come(1, 0)
    night.work()
    night.conductor.close_gates(night.hand.now)
    night.work()
    assert night.new() == ["night whole"]
    night.come(1, 1)
    night.work()
    # Its exposure's own gather is replaced first; here nobody removes it, so that the day waits for it.
    assert night.new() == ["removed whole"]


def test_steps_of_a_day_follow_each_other_through_the_registry(make_hand: MakeHand) -> None:
    night = Night(make_hand([ISR, GATHER, NIGHT, REPORT], detectors=1), update=0)
    night.take(1)
    night.hand.tick(ROLLOVER)
    [first] = night.hand.shards()
    night.hand.end(first)
    assert night.hand.shards() == []
    night.conductor.committed(first, night.hand.now)
    assert [shard.step for shard in night.hand.shards()] == ["report"]


def test_days_are_apart(night: Night) -> None:
    night.take(1)
    night.come(2, day_obs=DAY + 1)
    night.work()
    assert night.new() == []
    night.until(ROLLOVER)
    assert night.new() == ["night whole"]


def test_an_exposure_that_failed_ends_all_the_same(night: Night) -> None:
    night.come(1)
    [isr] = night.hand.shards()
    night.hand.end(isr, failed=True)
    night.conductor.committed(isr, night.hand.now)
    night.work()
    night.until(ROLLOVER)
    assert night.new() == ["night whole"]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (DayBefore.CLOSED, []),
        (DayBefore.OPEN, ["night whole"]),
        (DayBefore.HALF, ["removed whole", "night whole"]),
    ],
)
def test_a_restart_after_the_day_makes_whole_what_is_not(
    night: Night, before: DayBefore, expected: list[str]
) -> None:
    night.hand.now = ROLLOVER + 3600.0
    night.conductor.resume_day("summit", CAMERA, DAY, before, night.hand.now)
    night.work()
    assert night.new() == expected


def test_a_restart_within_the_day_goes_on_with_it(night: Night) -> None:
    night.conductor.resume_day("summit", CAMERA, DAY, DayBefore.OPEN, night.hand.now)
    night.work()
    assert night.new() == []
    night.take(11, 12)
    assert night.new() == ["removed in part", "night in part"]
    night.until(ROLLOVER)
    assert night.new() == ["night whole"]


def test_a_run_that_ends_within_the_day_leaves_a_day_open_of_which_it_did_nothing(night: Night) -> None:
    night.conductor.resume_day("summit", CAMERA, DAY, DayBefore.OPEN, night.hand.now)
    night.conductor.close_gates(night.hand.now)
    night.work()
    assert night.new() == []
    assert night.conductor.idle


def test_exposures_that_ended_in_earlier_runs_change_nothing_of_a_day_that_is_whole(night: Night) -> None:
    night.conductor.resume_day("summit", CAMERA, DAY, DayBefore.CLOSED, night.hand.now)
    for step, detector in (("isr", 0), ("gather", None)):
        shard = Shard("summit", step, CAMERA, 1, detector)
        night.conductor.already_ended(shard, failed=False, now=night.hand.now)
    night.come(1)
    night.work()
    assert night.new() == []


def test_a_day_that_fails_is_not_tried_again_until_more_comes(night: Night) -> None:
    night.take(1)
    night.hand.tick(ROLLOVER)
    [whole] = night.hand.shards()
    night.hand.end(whole, failed=True)
    night.conductor.committed(whole, night.hand.now)
    night.work()
    assert night.new() == []
    assert night.conductor.idle


def test_a_day_whose_worker_died_is_tried_again(night: Night) -> None:
    night.take(1)
    night.hand.tick(ROLLOVER)
    [whole] = night.hand.shards()
    night.conductor.worker_lost("w0")
    night.conductor.lost(whole, "it died", night.hand.now)
    night.conductor.worker_ready("w1")
    assert night.hand.shards() == [whole]


def test_an_exposure_may_be_forgotten_while_its_day_goes_on(night: Night) -> None:
    night.take(1)
    assert night.conductor.forget(CAMERA, 1) == [1]
    night.until(ROLLOVER)
    assert night.new() == ["night whole"]
