"""Everything that can happen to a conductor, in any order: what must hold at every moment, and in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

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

CAMERA = "LSSTCam"
DETECTORS = 3
ATTEMPTS = 2
STEPS = (
    StepRule("isr", per_detector=True, after=frozenset()),
    StepRule("calibrate", per_detector=True, after=frozenset({"isr"})),
    StepRule("mosaic", per_detector=False, after=frozenset({"isr"})),
    StepRule("visit", per_detector=False, after=frozenset({"calibrate", "mosaic"})),
)
PLACES = st.tuples(st.integers(0, 4), st.integers(0, DETECTORS - 1))
PICK = st.integers(0, 1000)


class Events(RuleBasedStateMachine):
    """A conductor, what was told to it, and an account of its own of what became of it."""

    @initialize(mode=st.sampled_from([*Mode, Mode.PREEMPTIVE]), workers=st.integers(0, 2))
    def begin(self, mode: Mode, workers: int) -> None:
        self.mode = mode
        self.now = 0.0
        self.conductor = Conductor(
            {"summit": STEPS}, WholeCamera({CAMERA: frozenset(range(DETECTORS))}), Gathering(5.0, 20.0),
            ATTEMPTS,
            policy=Policy(mode=mode),
        )  # fmt: skip
        self.arrived: set[tuple[int, int]] = set()
        self.ready: set[Shard] = set()
        self.running: dict[Shard, str] = {}
        self.free: set[str] = set()
        self.ended: set[Shard] = set()
        self.gathered: dict[Shard, frozenset[int]] = {}
        self.asked: set[Shard] = set()
        self.uncommitted: list[Shard] = []
        self.replacing: list[Replace] = []
        self.tries: Counter[Shard] = Counter()
        self.given_up: set[Shard] = set()
        self.workers = 0
        self.paused = False
        self.closed = False
        for _ in range(workers):
            self.worker_comes()

    # What happens

    @rule(exposure=st.integers(0, 4))
    def exposure_comes(self, exposure: int) -> None:
        for detector in range(DETECTORS):
            self.raw_comes((exposure, detector))

    @rule(place=PLACES)
    def raw_comes(self, place: tuple[int, int]) -> None:
        exposure, detector = place
        self.arrived.add(place)
        self.tell(self.conductor.raw("summit", CAMERA, exposure, detector, self.now, float(exposure)))
        self.act()

    @precondition(lambda self: len(self.free) + len(self.running) < 4)
    @rule()
    def worker_comes(self) -> None:
        self.workers += 1
        self.free.add(f"w{self.workers}")
        self.conductor.worker_ready(f"w{self.workers}")
        self.act()

    @precondition(lambda self: self.free)
    @rule()
    def idle_worker_dies(self) -> None:
        self.conductor.worker_lost(self.free.pop())
        self.act()

    @precondition(lambda self: self.running)
    @rule(pick=PICK, failed=st.booleans())
    def shard_ends(self, pick: int, failed: bool) -> None:
        shard = self.picked(self.running, pick)
        self.free.add(self.running.pop(shard))
        self.end(shard)
        self.tell(self.conductor.ended(shard, failed=failed, now=self.now))
        self.act()

    @precondition(lambda self: self.running)
    @rule(pick=PICK, first=st.booleans())
    def working_worker_dies(self, pick: int, first: bool) -> None:
        shard = self.picked(self.running, pick)
        worker = self.running.pop(shard)
        self.asked.discard(shard)
        if first:
            self.conductor.worker_lost(worker)
        if self.tries[shard] < ATTEMPTS:
            self.ready.add(shard)
        else:
            self.given_up.add(shard)
            self.end(shard)
        self.tell(self.conductor.lost(shard, "killed", self.now))
        self.conductor.worker_lost(worker)
        self.act()

    @precondition(lambda self: self.asked)
    @rule(pick=PICK)
    def shard_yields(self, pick: int) -> None:
        shard = self.picked(self.asked, pick)
        self.asked.remove(shard)
        self.free.add(self.running.pop(shard))
        self.tries[shard] -= 1
        self.ready.add(shard)
        self.conductor.yielded(shard)
        self.act()

    @precondition(lambda self: self.uncommitted)
    @rule()
    def shard_is_committed(self) -> None:
        self.tell(self.conductor.committed(self.uncommitted.pop(0), self.now))
        self.act()

    @precondition(lambda self: self.replacing)
    @rule()
    def gathers_are_removed(self) -> None:
        told = self.replacing.pop(0)
        self.tell(self.conductor.replaced(told.instrument, told.exposure, self.now))
        self.act()

    @rule(seconds=st.sampled_from([0.1, 4.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.tell(self.conductor.tick(self.now))
        self.act()

    @rule()
    def somebody_pauses_or_resumes(self) -> None:
        self.paused = not self.paused
        (self.conductor.pause if self.paused else self.conductor.resume)()
        self.act()

    # What must hold

    def tell(self, shards: Iterable[Shard]) -> None:
        for shard in shards:
            assert shard not in self.ready | self.ended, f"{shard} was made ready twice"
            assert shard not in self.running
            self.ready.add(shard)

    def end(self, shard: Shard) -> None:
        assert shard not in self.ended, f"{shard} ended twice"
        self.asked.discard(shard)
        self.ended.add(shard)
        self.uncommitted.append(shard)

    def act(self) -> None:
        for decision in self.conductor.decide():
            match decision:
                case Dispatch(shard, worker, attempt, detectors):
                    assert not self.paused
                    waiting = [other for other in self.ready if self.may_run(other)]
                    assert shard in waiting, "what runs was ready, and neither runs nor has ended"
                    assert shard.exposure == max(other.exposure for other in waiting), "the newest goes first"
                    if detectors is not None:
                        self.gathered[shard] = detectors
                    self.ready.remove(shard)
                    self.free.remove(worker)
                    self.running[shard] = worker
                    self.tries[shard] += 1
                    assert attempt == self.tries[shard] <= ATTEMPTS
                case Give(shard):
                    if shard in self.given_up:
                        self.given_up.remove(shard)
                    else:
                        assert shard not in self.ready
                        self.end(shard)
                case Yield(shard, worker):
                    assert self.mode is Mode.PREEMPTIVE
                    assert self.running[shard] == worker
                    assert shard not in self.asked
                    assert shard.exposure < max(other.exposure for other in self.ready)
                    self.asked.add(shard)
                case Replace():
                    self.replacing.append(decision)
                case Drop(shard):
                    assert shard.partial
                    self.ready.remove(shard)

    def may_run(self, shard: Shard) -> bool:
        if self.mode is not Mode.WAITING or self.closed or shard.detector is None:
            return True
        return shard.exposure == max(exposure for exposure, _ in self.arrived)

    def picked(self, shards: Iterable[Shard], pick: int) -> Shard:
        known = sorted(shards)
        return known[pick % len(known)]

    @invariant()
    def nothing_is_lost_or_idle(self) -> None:
        assert self.conductor.running == self.running
        assert self.conductor.ready == len(self.ready)
        assert self.conductor.free_workers == len(self.free)
        assert self.paused or not self.given_up, "what is given up is told at once"
        if not self.paused:
            assert not (self.free and any(map(self.may_run, self.ready))), (
                "no worker idles while something waits"
            )

    def teardown(self) -> None:
        """Let all that is to be done be done, without any more faults: then all of it has ended."""
        if not hasattr(self, "conductor"):
            return
        self.closed, self.paused = True, False
        self.conductor.resume()
        self.tell(self.conductor.close_gates(self.now))
        self.act()
        if not self.free and not self.running:
            self.worker_comes()
        for _ in range(1000):
            if self.replacing:
                self.gathers_are_removed()
            elif self.uncommitted:
                self.shard_is_committed()
            elif self.running:
                self.shard_ends(0, failed=False)
            else:
                break
        assert not self.ready
        assert not self.given_up
        self.check_all_ended()

    def check_all_ended(self) -> None:
        arrived: dict[int, set[int]] = {}
        for exposure, detector in self.arrived:
            arrived.setdefault(exposure, set()).add(detector)
        wanted = {
            Shard("summit", step.label, CAMERA, exposure, detector)
            for exposure, detectors in arrived.items()
            for step in STEPS
            for detector in (detectors if step.per_detector else [None])
        }
        assert {shard for shard in self.ended if not shard.partial and not shard.revision} == wanted
        for exposure, detectors in arrived.items():
            assert self.conductor.is_finished(CAMERA, exposure)
            complete = [
                s for s in self.gathered if (s.exposure, s.step, s.partial) == (exposure, "mosaic", False)
            ]
            # A gather of which nothing is left to be gathered is given up without having run.
            if complete:
                last = max(complete, key=lambda shard: shard.revision)
                assert self.gathered[last] == detectors, "the last gather has all that came"
        assert self.conductor.open_gates == 0


def test_nothing_is_lost_and_nothing_runs_twice_whatever_happens() -> None:
    run_state_machine_as_test(
        Events, settings=settings(max_examples=settings.default.max_examples, stateful_step_count=50)
    )
