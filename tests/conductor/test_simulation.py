"""A night of hundreds of exposures in random order, with dying workers: what must hold at every moment."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from lsst.ctrl.rapid.conductor import (
    Conductor,
    Dispatch,
    Drop,
    Gathering,
    Give,
    Replace,
    StepRule,
    WholeCamera,
    Yield,
)
from lsst.ctrl.rapid.model import Mode, Policy, Shard

DETECTORS = 6
ATTEMPTS = 2
DEADLINE = 30.0
TIMEOUT = 8.0
LATE = 0.05
EXPOSURES = 100
STEPS = (
    StepRule("isr", per_detector=True, after=frozenset()),
    StepRule("calibrate", per_detector=True, after=frozenset({"isr"})),
    StepRule("mosaic", per_detector=False, after=frozenset({"isr"})),
    StepRule("visit", per_detector=False, after=frozenset({"calibrate", "mosaic"})),
)
RULES = {rule.label: rule for rule in STEPS}


class Night:
    """Everything that happens in random order, and an independent account of what the conductor did."""

    def __init__(self, seed: int, exposures: int, mode: Mode) -> None:
        self.mode = mode
        self.random = np.random.default_rng(seed)
        self.now = 0.0
        choice = WholeCamera({"LSSTCam": frozenset(range(DETECTORS))})
        self.conductor = Conductor(
            {"summit": STEPS}, choice, Gathering(TIMEOUT, DEADLINE), ATTEMPTS, policy=Policy(mode=mode)
        )
        self.newness = {number: float(self.random.uniform(0, 1e6)) for number in range(exposures)}
        sent = [(e, d) for e in self.newness for d in range(DETECTORS) if self.random.random() > 0.05]
        late = self.random.random(len(sent)) < LATE
        order = np.argsort([e + self.random.normal(0, 3) + 60 * late[i] for i, (e, _) in enumerate(sent)])
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
        self.gathered: dict[Shard, frozenset[int]] = {}
        self.replacing: list[Replace] = []
        self.replaced: set[Shard] = set()
        self.asked: set[Shard] = set()
        self.uncommitted: list[Shard] = []
        self.committed: set[Shard] = set()
        self.yielded: Counter[Shard] = Counter()
        self.newest = 0.0
        self.born = 0
        self.dispatched = 0

    # Events

    def come(self) -> None:
        exposure, detector = self.to_come.pop(0)
        self.first.setdefault(exposure, self.now)
        self.arrived.setdefault(exposure, set()).add(detector)
        self.newest = max(self.newest, self.newness[exposure])
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
        self.asked.discard(shard)
        self.free.add(worker)
        failed = bool(self.random.random() < 0.1)
        self.ended[shard] = failed
        self.uncommitted.append(shard)
        self.tell(self.conductor.ended(shard, failed=failed, now=self.now))

    def kill(self) -> None:
        if self.running and self.random.random() < 0.8:
            shard = self.pick()
            worker = self.running.pop(shard)
            self.asked.discard(shard)
            if self.random.random() < 0.5:
                self.conductor.worker_lost(worker)
            if self.tries[shard] < ATTEMPTS:
                self.ready.add(shard)
            else:
                self.given_up.add(shard)
                self.ended[shard] = True
                self.uncommitted.append(shard)
            self.tell(self.conductor.lost(shard, "killed", self.now))
            self.conductor.worker_lost(worker)
        elif self.free:
            worker = sorted(self.free)[0]
            self.free.discard(worker)
            self.conductor.worker_lost(worker)

    def stop(self) -> None:
        """A shard that was asked to stops between two quanta."""
        shard = sorted(self.asked)[0]
        self.asked.remove(shard)
        self.free.add(self.running.pop(shard))
        self.tries[shard] -= 1
        self.yielded[shard] += 1
        self.ready.add(shard)
        self.conductor.yielded(shard)

    def commit(self) -> None:
        shard = self.uncommitted.pop(0)
        self.committed.add(shard)
        self.tell(self.conductor.committed(shard, self.now))

    def replace(self) -> None:
        told = self.replacing.pop(0)
        assert set(told.shards) <= self.committed, "what is removed has been registered"
        self.replaced.update(told.shards)
        self.tell(self.conductor.replaced(told.instrument, told.exposure, self.now))

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
            assert shard.partial or len(arrived) == DETECTORS or late or self.closed
            assert not (shard.partial and dataclasses.replace(shard, partial=False) in self.ended)
            if shard.revision:
                before = dataclasses.replace(shard, revision=shard.revision - 1)
                assert before in self.ended
                assert before in self.replaced, "what was made before is removed first"
            return
        for earlier in RULES[shard.step].after:
            self.check_ended(shard, dataclasses.replace(shard, step=earlier))

    def check_ended(self, shard: Shard, before: Shard) -> None:
        assert before in self.ended, f"{shard} came before {before} had ended"
        if before.detector is None or shard.detector is not None:
            assert not self.ended[before], f"{shard} reads from {before}, which failed"

    def check_gather(self, shard: Shard, detectors: frozenset[int] | None) -> None:
        assert detectors, "a gather has detectors"
        assert detectors <= self.arrived[shard.exposure]
        self.gathered[shard] = detectors
        for earlier in RULES[shard.step].after:
            if RULES[earlier].per_detector:
                for detector in detectors:
                    self.check_ended(shard, Shard("summit", earlier, "LSSTCam", shard.exposure, detector))
            else:
                self.check_ended(shard, dataclasses.replace(shard, step=earlier))

    def may_run(self, shard: Shard) -> bool:
        if self.mode is not Mode.WAITING or self.closed or shard.detector is None:
            return True
        return self.newness[shard.exposure] == self.newest

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
                        self.uncommitted.append(shard)
                case Yield(shard, worker):
                    assert self.mode is Mode.PREEMPTIVE
                    assert not self.free, "nobody is interrupted while a worker is free"
                    assert shard not in self.asked, "nobody is asked twice"
                    newest = max(self.newness[other.exposure] for other in self.ready)
                    assert self.running[shard] == worker
                    assert self.newness[shard.exposure] < newest, "only older ones are interrupted"
                    self.asked.add(shard)
                case Replace():
                    self.replacing.append(decision)
                case Drop(shard):
                    assert shard.partial, "only a partial gather is not run"
                    self.ready.remove(shard)
                case Dispatch(shard, worker, attempt, detectors):
                    self.dispatched += 1
                    newest = max(self.newness[other.exposure] for other in self.ready if self.may_run(other))
                    assert self.may_run(shard)
                    if shard.detector is None:
                        self.check_gather(shard, detectors)
                    assert self.newness[shard.exposure] == newest, "the newest exposure goes first"
                    assert shard not in self.running, "nothing runs twice at once"
                    assert shard not in self.ended, "nothing that ended runs again"
                    self.ready.remove(shard)
                    self.free.remove(worker)
                    self.running[shard] = worker
                    self.tries[shard] += 1
                    assert attempt == self.tries[shard] <= ATTEMPTS
        assert not self.given_up, "what is given up is told at once"
        can_run = [shard for shard in self.ready if self.may_run(shard)]
        assert not (self.free and can_run), "no worker idles while something waits"
        assert self.conductor.running == self.running
        assert self.conductor.ready == len(self.ready)
        assert self.conductor.free_workers == len(self.free)
        assert self.conductor.idle == (not self.running and not can_run)

    def step(self) -> None:
        chance = self.random.random()
        if chance < 0.02 or self.born < 4 or (not self.free and not self.running):
            self.worker()
        elif chance < 0.03:
            self.kill()
        elif chance < 0.06:
            self.tick()
        elif self.uncommitted and chance < 0.15:
            self.commit()
        elif self.replacing and chance < 0.2:
            self.replace()
        elif self.asked and chance < 0.3:
            self.stop()
        elif self.to_come and (chance < 0.45 or not self.running):
            self.come()
        elif self.running:
            self.finish()
        self.decide()

    def run(self) -> None:
        while self.to_come or self.running or any(map(self.may_run, self.ready)):
            self.step()
        self.close()
        self.decide()
        while self.running or self.ready or self.replacing or self.uncommitted:
            self.step()
            if self.uncommitted and not self.running:
                self.commit()
                self.decide()


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost_and_nothing_runs_twice(seed: int, mode: Mode) -> None:
    night = Night(seed, exposures=EXPOSURES, mode=mode)
    night.run()
    everything = {
        Shard("summit", rule.label, "LSSTCam", exposure, detector)
        for exposure, arrived in night.arrived.items()
        for rule in STEPS
        for detector in (arrived if rule.per_detector else [None])
    }
    once = {shard for shard in night.ended if not shard.partial and not shard.revision}
    assert once == everything, "every shard ended"
    for exposure, arrived in night.arrived.items():
        assert night.conductor.is_finished("LSSTCam", exposure)
        mosaics = [s for s in night.gathered if s.exposure == exposure and s.step == "mosaic"]
        gathers = [shard for shard in mosaics if not shard.partial]
        last = max(gathers, key=lambda shard: shard.revision)
        assert night.gathered[last] == arrived, "the last gather has all that came"
        assert sorted(shard.revision for shard in gathers) == list(range(len(gathers)))
    assert night.conductor.open_gates == 0
    assert night.conductor.idle
    assert night.dispatched > 12 * EXPOSURES
    assert max(night.tries.values()) == ATTEMPTS, "the night was rough enough to try again"
    assert any(shard.partial for shard in night.ended), "some gathers were partial"
    again = any(shard.revision for shard in night.ended)
    assert again or mode is Mode.WAITING, "some gathers were made again"
    assert bool(night.yielded) == (mode is Mode.PREEMPTIVE)


def test_the_same_events_give_the_same_decisions() -> None:
    nights = [Night(11, exposures=40, mode=Mode.PREEMPTIVE) for _ in range(2)]
    for night in nights:
        night.run()
    assert nights[0].ended == nights[1].ended
    assert list(nights[0].made_ready) == list(nights[1].made_ready)
