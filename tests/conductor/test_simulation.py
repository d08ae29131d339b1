"""A night of hundreds of exposures in random order, with dying workers: what must hold at every moment."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from lsst.ctrl.rapid.conductor import Conductor, Dispatch, Give, StepRule
from lsst.ctrl.rapid.model import Shard

DETECTORS = 6
ATTEMPTS = 2
DEADLINE = 30.0
STEPS = (
    StepRule("isr", per_detector=True, after=frozenset()),
    StepRule("calibrate", per_detector=True, after=frozenset({"isr"})),
    StepRule("mosaic", per_detector=False, after=frozenset({"isr"})),
    StepRule("visit", per_detector=False, after=frozenset({"calibrate", "mosaic"})),
)
RULES = {rule.label: rule for rule in STEPS}


class Night:
    """Everything that happens in random order, and an independent account of what the conductor did."""

    def __init__(self, seed: int, exposures: int) -> None:
        self.random = np.random.default_rng(seed)
        self.now = 0.0
        expected = {"LSSTCam": frozenset(range(DETECTORS))}
        self.conductor = Conductor({"summit": STEPS}, expected, DEADLINE, ATTEMPTS)
        self.newness = {number: float(self.random.uniform(0, 1e6)) for number in range(exposures)}
        sent = [(e, d) for e in self.newness for d in range(DETECTORS) if self.random.random() > 0.05]
        order = np.argsort([e + self.random.normal(0, 3) for e, _ in sent])
        self.to_come = [sent[i] for i in order]
        self.first: dict[int, float] = {}
        self.arrived: dict[int, set[int]] = {}
        self.closed = False
        self.ready: set[Shard] = set()
        self.running: dict[Shard, str] = {}
        self.free: set[str] = set()
        self.tries: Counter[Shard] = Counter()
        self.given_up: set[Shard] = set()
        self.ended: dict[Shard, bool] = {}
        self.made_ready: Counter[Shard] = Counter()
        self.born = 0
        self.dispatched = 0

    # Events

    def come(self) -> None:
        exposure, detector = self.to_come.pop(0)
        self.first.setdefault(exposure, self.now)
        self.arrived.setdefault(exposure, set()).add(detector)
        args = ("summit", "LSSTCam", exposure, detector, self.now, self.newness[exposure])
        self.tell(self.conductor.raw(*args))
        if self.random.random() < 0.1:
            self.tell(self.conductor.raw(*args))

    def worker(self) -> None:
        name = f"w{self.born}"
        self.born += 1
        self.free.add(name)
        self.conductor.worker_ready(name)

    def finish(self) -> None:
        shard = self.pick()
        worker = self.running.pop(shard)
        self.free.add(worker)
        failed = bool(self.random.random() < 0.1)
        self.ended[shard] = failed
        self.tell(self.conductor.ended(shard, failed=failed, now=self.now))

    def kill(self) -> None:
        if self.running and self.random.random() < 0.8:
            shard = self.pick()
            worker = self.running.pop(shard)
            if self.random.random() < 0.5:
                self.conductor.worker_lost(worker)
            if self.tries[shard] < ATTEMPTS:
                self.ready.add(shard)
            else:
                self.given_up.add(shard)
                self.ended[shard] = True
            self.tell(self.conductor.lost(shard, "killed", self.now))
            self.conductor.worker_lost(worker)
        elif self.free:
            worker = sorted(self.free)[0]
            self.free.discard(worker)
            self.conductor.worker_lost(worker)

    def tick(self) -> None:
        self.now += float(self.random.exponential(2.0))
        self.tell(self.conductor.tick(self.now))

    def close(self) -> None:
        self.closed = True
        self.tell(self.conductor.close_gates(self.now))

    def pick(self) -> Shard:
        running = sorted(self.running)
        return running[int(self.random.integers(len(running)))]

    # What must hold

    def tell(self, shards: object) -> None:
        for shard in shards:  # type: ignore[attr-defined]  # what the conductor returned
            self.made_ready[shard] += 1
            assert self.made_ready[shard] == 1, f"{shard} was made ready twice"
            self.check_gate(shard)
            self.ready.add(shard)

    def check_gate(self, shard: Shard) -> None:
        arrived = self.arrived[shard.exposure]
        if shard.detector is None:
            late = self.now >= self.first[shard.exposure] + DEADLINE
            assert len(arrived) == DETECTORS or late or self.closed
        for earlier in RULES[shard.step].after:
            rule = RULES[earlier]
            detectors = (
                [None]
                if not rule.per_detector
                else [shard.detector]
                if shard.detector is not None
                else arrived
            )
            for detector in detectors:
                before = Shard("summit", earlier, "LSSTCam", shard.exposure, detector)
                assert before in self.ended, f"{shard} came before {before} had ended"
                if not rule.per_detector or shard.detector is not None:
                    assert not self.ended[before], f"{shard} reads from {before}, which failed"

    def decide(self) -> None:
        for decision in self.conductor.decide():
            match decision:
                case Give(shard, _, attempt):
                    if shard in self.given_up:
                        self.given_up.remove(shard)
                        assert attempt == ATTEMPTS
                    else:
                        assert attempt == 0
                        assert shard not in self.ended
                        assert shard not in self.ready
                        self.ended[shard] = True
                case Dispatch(shard, worker, attempt):
                    self.dispatched += 1
                    newest = max(self.newness[other.exposure] for other in self.ready)
                    assert self.newness[shard.exposure] == newest, "the newest exposure goes first"
                    assert shard not in self.running, "nothing runs twice at once"
                    assert shard not in self.ended, "nothing that ended runs again"
                    self.ready.remove(shard)
                    self.free.remove(worker)
                    self.running[shard] = worker
                    self.tries[shard] += 1
                    assert attempt == self.tries[shard] <= ATTEMPTS
        assert not self.given_up, "what is given up is told at once"
        assert not (self.free and self.ready), "no worker idles while something waits"
        assert self.conductor.running == self.running
        assert self.conductor.ready == len(self.ready)
        assert self.conductor.free_workers == len(self.free)
        assert self.conductor.idle == (not self.running and not self.ready)

    def step(self) -> None:
        chance = self.random.random()
        if chance < 0.02 or self.born < 4 or (not self.free and not self.running):
            self.worker()
        elif chance < 0.03:
            self.kill()
        elif chance < 0.06:
            self.tick()
        elif self.to_come and (chance < 0.35 or not self.running):
            self.come()
        elif self.running:
            self.finish()
        self.decide()

    def run(self) -> None:
        while self.to_come or self.running or self.ready:
            self.step()
        self.close()
        self.decide()
        while self.running or self.ready:
            self.step()


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost_and_nothing_runs_twice(seed: int) -> None:
    night = Night(seed, exposures=200)
    night.run()
    everything = {
        Shard("summit", rule.label, "LSSTCam", exposure, detector)
        for exposure, arrived in night.arrived.items()
        for rule in STEPS
        for detector in (arrived if rule.per_detector else [None])
    }
    assert night.ended.keys() == everything, "every shard ended, gathers once for each exposure"
    assert all(night.conductor.is_finished("LSSTCam", exposure) for exposure in night.arrived)
    assert night.conductor.open_gates == 0
    assert night.conductor.idle
    assert night.dispatched > 2000
    assert max(night.tries.values()) == ATTEMPTS, "the night was rough enough to try again"


def test_the_same_events_give_the_same_decisions() -> None:
    nights = [Night(11, exposures=40) for _ in range(2)]
    for night in nights:
        night.run()
    assert nights[0].ended == nights[1].ended
    assert list(nights[0].made_ready) == list(nights[1].made_ready)
