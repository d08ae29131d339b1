"""A conductor with two workers and four detectors, and a hand to drive it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import pytest

from lsst.ctrl.rapid.conductor import (
    Choice,
    Conductor,
    Decision,
    Dispatch,
    Gathering,
    Give,
    Replace,
    StepRule,
    WholeCamera,
)
from lsst.ctrl.rapid.model import Policy, Shard

CAMERA = "LSSTCam"
DEADLINE = 100.0

ISR = StepRule("isr", per_detector=True, after=frozenset())
GATHER = StepRule("gather", per_detector=False, after=frozenset({"isr"}))


class Hand:
    """Drives a conductor at a time that the test sets, and remembers what it was told."""

    def __init__(
        self,
        steps: Sequence[StepRule],
        detectors: int = 4,
        attempts: int = 2,
        *,
        timeout: float = math.inf,
        policy: Policy | None = None,
        choice: Choice | None = None,
        partners: Mapping[int, int] | None = None,
    ) -> None:
        self.conductor = Conductor(
            {"summit": steps},
            choice or WholeCamera({CAMERA: frozenset(range(detectors))}),
            Gathering(timeout, DEADLINE),
            attempts,
            policy=policy,
            partners={CAMERA: partners or {}},
        )
        self.now = 0.0
        self.gave: list[Give] = []
        self.told: list[Decision] = []

    def workers(self, *names: str) -> None:
        for name in names:
            self.conductor.worker_ready(name)

    def raw(self, exposure: int, detector: int, newness: float | None = None) -> Sequence[Shard]:
        newness = float(exposure) if newness is None else newness
        return self.conductor.raw("summit", CAMERA, exposure, detector, self.now, newness)

    def raws(self, exposure: int, *detectors: int) -> None:
        for detector in detectors:
            self.raw(exposure, detector)

    def dispatches(self) -> list[Dispatch]:
        decisions = self.conductor.decide()
        self.told += [decision for decision in decisions if not isinstance(decision, Dispatch)]
        self.gave += [decision for decision in decisions if isinstance(decision, Give)]
        return [decision for decision in decisions if isinstance(decision, Dispatch)]

    def shards(self) -> list[Shard]:
        return [dispatch.shard for dispatch in self.dispatches()]

    def end(self, shard: Shard, *, failed: bool = False) -> Sequence[Shard]:
        return self.conductor.ended(shard, failed=failed, now=self.now)

    def tick(self, now: float) -> Sequence[Shard]:
        self.now = now
        return self.conductor.tick(now)

    def replace(self) -> Sequence[Shard]:
        """Say that what is to be replaced is gone."""
        [told] = [one for one in self.told if isinstance(one, Replace)]
        self.told.remove(told)
        return self.conductor.replaced(told.instrument, told.exposure, self.now)

    def run_all(self, failing: frozenset[Shard] = frozenset()) -> list[Shard]:
        """Run everything that can be run, one round after another; returns it in that order."""
        ran: list[Shard] = []
        while shards := self.shards():
            ran += shards
            for shard in shards:
                self.end(shard, failed=shard in failing)
        return ran


@pytest.fixture
def make_hand() -> Callable[..., Hand]:
    return Hand


@pytest.fixture
def hand() -> Hand:
    hand = Hand([ISR, GATHER])
    hand.workers("w0", "w1")
    return hand
