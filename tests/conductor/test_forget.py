"""What is finished and registered is forgotten, and nothing of it is run twice."""

from __future__ import annotations

from typing import Any

import pytest

from lsst.ctrl.rapid.conductor import StepRule
from lsst.ctrl.rapid.model import Shard

from .conftest import CAMERA, GATHER, ISR, Hand


def isr(exposure: int, detector: int) -> Shard:
    return Shard("summit", "isr", CAMERA, exposure, detector)


def gather(exposure: int) -> Shard:
    return Shard("summit", "gather", CAMERA, exposure)


def commit(hand: Any, *shards: Shard) -> None:
    for shard in shards:
        hand.conductor.committed(shard, hand.now)


def test_an_exposure_is_forgotten_once_all_of_it_is_registered(hand: Any) -> None:
    hand.raws(1, 0, 1, 2, 3)
    assert hand.conductor.forget(CAMERA, 1) is None
    *first, last = hand.run_all()
    commit(hand, *first)
    assert hand.conductor.forget(CAMERA, 1) is None
    commit(hand, last)
    assert hand.conductor.forget(CAMERA, 1) == [1]
    assert not hand.conductor.is_known(gather(1))


def test_a_late_detector_of_a_forgotten_exposure_runs_alone(hand: Any) -> None:
    hand.raws(1, 0, 1, 2)
    hand.now = 200.0
    hand.conductor.tick(hand.now)
    commit(hand, *hand.run_all())
    assert hand.conductor.forget(CAMERA, 1) == [1]
    hand.conductor.already_ended(gather(1), failed=False, now=hand.now)
    assert hand.raw(1, 3) == [isr(1, 3)]
    assert hand.run_all() == [isr(1, 3)]
    assert hand.conductor.forget(CAMERA, 1) is None
    commit(hand, isr(1, 3))
    assert hand.conductor.forget(CAMERA, 1) == [1]


def test_what_was_given_up_is_forgotten_when_it_is_registered() -> None:
    scale = StepRule("scale", per_detector=True, after=frozenset({"isr"}))
    hand = Hand([ISR, scale, GATHER], detectors=1)
    hand.workers("w1")
    hand.raw(1, 0)
    commit(hand, *hand.run_all(failing=frozenset({isr(1, 0)})))
    assert hand.conductor.forget(CAMERA, 1) is None
    [given] = hand.gave
    commit(hand, given.shard)
    assert hand.conductor.forget(CAMERA, 1) == [1]


def test_the_exposures_of_a_group_are_forgotten_together() -> None:
    coadd = StepRule("coadd", per_detector=False, after=frozenset({"isr"}), per_group=True)
    hand = Hand([ISR, coadd], detectors=1)
    hand.workers("w1")
    for exposure in (1, 2):
        hand.conductor.raw("summit", CAMERA, exposure, 0, 0.0, float(exposure), "g", 2)
        if exposure == 1:
            commit(hand, *hand.run_all())
            assert hand.conductor.forget(CAMERA, 1) is None
    *detectors, of_group = hand.run_all()
    assert of_group.group == "g"
    commit(hand, *detectors)
    assert hand.conductor.forget(CAMERA, 1) is None
    commit(hand, of_group)
    assert hand.conductor.forget(CAMERA, 2) == [1, 2]
    assert not hand.conductor.is_known(of_group)
    assert hand.conductor.forget(CAMERA, 1) == [1]


@pytest.mark.parametrize("exposure", [1, 99])
def test_an_exposure_that_is_not_known_is_forgotten_already(hand: Any, exposure: int) -> None:
    assert hand.conductor.forget(CAMERA, exposure) == [exposure]


def test_what_is_settled_is_told_with_its_group(hand: Any) -> None:
    hand.raws(1, 0, 1, 2, 3)
    *first, last = hand.run_all()
    commit(hand, *first)
    assert hand.conductor.is_finished(CAMERA, 1)
    assert hand.conductor.settled(CAMERA, 1) == []
    commit(hand, last)
    assert hand.conductor.settled(CAMERA, 1) == [1]
    coadd = StepRule("coadd", per_detector=False, after=frozenset({"isr"}), per_group=True)
    grouped = Hand([ISR, coadd], detectors=1)
    grouped.workers("w1")
    for exposure in (1, 2):
        grouped.conductor.raw("summit", CAMERA, exposure, 0, 0.0, float(exposure), "g", 2)
    *first, last = grouped.run_all()
    commit(grouped, *first)
    assert grouped.conductor.settled(CAMERA, 1) == []
    commit(grouped, last)
    assert grouped.conductor.settled(CAMERA, 1) == [1, 2, "g"]
