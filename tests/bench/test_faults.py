"""What the faults of the simulated camera do to the gathers, in simulated time."""

from __future__ import annotations

import dataclasses

from lsst.ctrl.rapid.bench._night import Gather, Night, NightPlan
from lsst.ctrl.rapid.conductor import WholeCamera
from lsst.ctrl.rapid.model import Policy

ALL = frozenset(range(9))
PLAN = NightPlan(
    exposures=3, detectors=9, workers=12, capacity=3.0, dies_every=1e9, failed=0.0, spread=0.0,
    gather_seconds=1.0, readout=2.0, gather_timeout=5.0, gather_deadline=120.0,
)  # fmt: skip
READY = 3.0 + PLAN.shard_seconds
"""All detectors that come in time have ended so many seconds after shutter close, at the latest."""


def night(*faults: str, **changes: object) -> Night:
    plan = dataclasses.replace(PLAN, faults=faults, **changes)  # type: ignore[arg-type]
    found = Night(plan, Policy(), WholeCamera({"LSSTCam": frozenset(plan.camera)}))
    found.run()
    assert found.balance.faults == []
    assert found.balance.difference == found.balance.waiting == found.balance.ungathered == 0
    return found


def told(found: Night, exposure: int) -> list[tuple[str, frozenset[int]]]:
    """Return what was gathered of an exposure, in order, and with what."""
    gathers = [gather for gather in found.gathers if gather.shard.exposure == exposure]
    return [(_kind(gather), gather.detectors) for gather in gathers]


def _kind(gather: Gather) -> str:
    if gather.shard.partial:
        return "partial"
    return f"again {gather.shard.revision}" if gather.shard.revision else "complete"


def when(found: Night, exposure: int) -> list[float]:
    """Return when it was gathered, in seconds after its shutter closed."""
    of = [gather for gather in found.gathers if gather.shard.exposure == exposure]
    return [gather.time - exposure * PLAN.cadence for gather in of]


def test_without_a_fault_everything_is_gathered_once() -> None:
    found = night()
    for exposure in range(3):
        assert told(found, exposure) == [("complete", ALL)]
        [at] = when(found, exposure)
        assert at < READY
    assert found.replaced == []


def test_what_is_late_is_waited_for_after_a_first_look() -> None:
    found = night("late:detectors=4,exposures=2,seconds=60")
    assert told(found, 0) == told(found, 2) == [("complete", ALL)]
    assert told(found, 1) == [("partial", ALL - {4}), ("complete", ALL)]
    first, second = when(found, 1)
    assert PLAN.gather_timeout < first < READY + PLAN.gather_timeout
    assert 60.0 < second < 60.0 + READY
    assert found.replaced == [], "a partial result is removed by the complete one's registration"


def test_what_is_missing_is_left_out_at_the_deadline() -> None:
    found = night("missing:detectors=4,5,exposures=1")
    assert told(found, 0) == [("partial", ALL - {4, 5}), ("complete", ALL - {4, 5})]
    first, second = when(found, 0)
    assert first < READY + PLAN.gather_timeout
    assert PLAN.gather_deadline + 2.0 <= second < PLAN.gather_deadline + 4.0
    assert found.conductor.missing("LSSTCam", 0) == {4, 5}


def test_what_comes_after_the_complete_gather_is_gathered_with_all_others_once_more() -> None:
    found = night("late:detectors=4,exposures=1,seconds=300")
    assert told(found, 0) == [("partial", ALL - {4}), ("complete", ALL - {4}), ("again 1", ALL)]
    _, second, third = when(found, 0)
    assert second < PLAN.gather_deadline + 4.0
    assert third > 300.0
    [replaced] = found.replaced
    assert (replaced.step, replaced.exposure, replaced.partial, replaced.revision) == ("step1b", 0, False, 0)


def test_two_that_come_after_the_complete_gather_at_different_times_are_gathered_one_after_the_other() -> (
    None
):
    found = night("late:detectors=4,exposures=1,seconds=300", "late:detectors=5,exposures=1,seconds=400")
    assert told(found, 0)[1:] == [
        ("complete", ALL - {4, 5}),
        ("again 1", ALL - {5}),
        ("again 2", ALL),
    ]
    assert [shard.revision for shard in found.replaced] == [0, 1]


def test_the_order_of_files_changes_nothing_for_what_is_gathered() -> None:
    found = night("out-of-order")
    assert [told(found, exposure) for exposure in range(3)] == [[("complete", ALL)]] * 3


def test_an_exposure_that_is_overtaken_is_gathered_after_the_newer_ones() -> None:
    found = night("out-of-order:depth=2", exposures=8, seed=3)
    order = [gather.shard.exposure for gather in found.gathers if not gather.shard.partial]
    assert sorted(order) == list(range(8))
    assert order != sorted(order), "some exposure was overtaken"
    assert all(told(found, exposure)[-1] == ("complete", ALL) for exposure in range(8))


def test_what_comes_twice_is_processed_and_gathered_once() -> None:
    found = night("duplicate:part=0.5,seconds=5")
    assert found.came_before > 3
    assert [told(found, exposure) for exposure in range(3)] == [[("complete", ALL)]] * 3
    assert found.balance.sent_count == 27


def test_of_a_burst_the_newest_exposure_is_gathered_first() -> None:
    found = night("burst:exposures=3", workers=3, capacity=1.0)
    assert [gather.shard.exposure for gather in found.gathers if not gather.shard.partial] == [2, 1, 0]
    first = found.gathers[0]
    assert first.shard.exposure == 2
    assert all(told(found, exposure)[-1] == ("complete", ALL) for exposure in range(3))
