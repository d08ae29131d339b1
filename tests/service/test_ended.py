"""What earlier runs ended is found by the exposure, and nothing is asked for what is new."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from lsst.daf.butler import Butler, DimensionUniverse

from lsst.ctrl.rapid.commit import outcome_dataset_type
from lsst.ctrl.rapid.plan import InputKind, Step
from lsst.ctrl.rapid.service._ended import Ended, still_read
from lsst.ctrl.rapid.service._ended_before import EndedBefore
from support.registered import INSTRUMENT, OtherIngest, make_registry

DAY = 20261122
YESTERDAY, TOMORROW = 20261121, 20261123
RUN = f"out/{DAY}/p-h"
OLD_RUN = f"out/{DAY}/p-old"


def exposure(number: int, day: int = DAY) -> int:
    return day * 100_000 + number


def raw(number: int, detector: int = 1, day: int = DAY, group: str = "") -> Any:
    found = exposure(number, day)
    return types.SimpleNamespace(
        instrument=INSTRUMENT, exposure=found, detector=detector, day_obs=day, group=group or str(found)
    )


def key(step: str, of: int | str, detector: int | None = None) -> tuple[str, str, int | str, int | None]:
    return step, INSTRUMENT, of, detector


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(make_registry(tmp_path_factory.mktemp("ended")))


class Bench:
    """A repository with outcomes, and steps of detectors, exposures and groups."""

    def __init__(self, root: Path) -> None:
        self.other = OtherIngest(str(root))
        self.butler = self.other.butler
        universe = self.butler.dimensions
        self.isr = step(universe, "isr", "exposure", "detector")
        self.gather = step(universe, "gather", "exposure", reads={"image": InputKind.EARLIER_STEP})
        self.coadd = step(universe, "coadd", "group")
        for one in (self.isr, self.gather, self.coadd):
            self.butler.registry.registerDatasetType(outcome_dataset_type(one))

    def pipeline(self, *steps: Step) -> Any:
        producers = {"image": types.SimpleNamespace(label="isr_task")}
        graph = types.SimpleNamespace(producer_of=producers.get)
        return types.SimpleNamespace(name="p", hash="h", steps=steps, arrival_steps=steps, graph=graph)

    def put(self, step: Step, outcome: str, run: str = RUN, **data_id: str | int) -> None:
        name = outcome_dataset_type(step).name
        self.butler.collections.register(run)
        self.butler.put({"outcome": outcome}, name, instrument=INSTRUMENT, run=run, **data_id)

    def before(self, *steps: Step) -> EndedBefore:
        pipeline = self.pipeline(*(steps or (self.isr, self.gather)))
        return EndedBefore(Butler.from_config(self.butler._config), [INSTRUMENT], [pipeline], "out")

    def ask(self, before: EndedBefore, wanted: Any) -> Ended:
        """Return what ended, which is not known without a question."""
        assert before.at_hand(wanted) is None
        before.remember(INSTRUMENT, before.find(self.butler, wanted))
        found = before.at_hand(wanted)
        assert found is not None
        return found


def step(
    universe: DimensionUniverse, label: str, *dimensions: str, reads: dict[str, InputKind] | None = None
) -> Step:
    found = universe.conform(dimensions)
    return Step(label, found, (f"{label}_task",), (), found, reads or {}, frozenset())


@pytest.fixture(scope="module")
def bench(repository: Path) -> Iterator[Bench]:
    bench = Bench(repository)
    for number in (1, 2, 3):
        bench.other.exposure(exposure(number), DAY)
    bench.other.exposure(exposure(1, YESTERDAY), YESTERDAY)
    bench.put(bench.isr, "done", exposure=exposure(1), detector=1)
    bench.put(bench.isr, "failed", exposure=exposure(1), detector=2)
    bench.put(bench.isr, "shed", exposure=exposure(1), detector=3)
    bench.put(bench.gather, "done", exposure=exposure(1))
    bench.put(bench.isr, "done", exposure=exposure(2), detector=1)
    bench.put(bench.coadd, "done", group=str(exposure(2)))
    yield bench
    bench.butler.close()


def test_done_and_failed_have_ended_and_shed_is_told_apart(bench: Bench) -> None:
    before = bench.before()
    found = bench.ask(before, raw(1))
    assert found.ended == {
        key("isr", exposure(1), 1): RUN,
        key("isr", exposure(1), 2): RUN,
        key("gather", exposure(1)): RUN,
    }
    assert found.shed.keys() == before.shed.keys() == {key("isr", exposure(1), 3)}
    pipeline = bench.pipeline(bench.isr, bench.gather)
    assert found.is_whole([pipeline], (INSTRUMENT, exposure(1)), [1, 2], [3])
    assert not found.is_whole([pipeline], (INSTRUMENT, exposure(1)), [1, 2, 4], [3])
    assert not found.is_whole([pipeline], (INSTRUMENT, exposure(1)), [1, 2], [4])


def test_exposures_that_follow_are_asked_for_together(bench: Bench) -> None:
    before = bench.before()
    bench.ask(before, raw(1))
    second = before.at_hand(raw(2))
    assert second is not None
    assert second.ended == {key("isr", exposure(2), 1): RUN}
    third = before.at_hand(raw(3))
    assert third is not None
    assert not third.ended


@pytest.mark.parametrize("new", [raw(99), raw(1, day=TOMORROW), raw(1, day=YESTERDAY)])
def test_nothing_is_asked_for_what_is_new(bench: Bench, new: Any) -> None:
    """An exposure that the registry had not, and days without a RUN."""
    found = bench.before().at_hand(new)
    assert found is not None
    assert not found.ended


def test_what_was_registered_since_the_start_is_not_asked_for_until_it_is_forgotten(bench: Bench) -> None:
    before = bench.before()
    late = raw(1, day=TOMORROW)
    bench.other.exposure(late.exposure, TOMORROW)
    bench.put(bench.isr, "done", run=f"out/{TOMORROW}/p-h", exposure=late.exposure, detector=1)
    assert before.at_hand(late) is not None
    before.forgotten(late, f"out/{TOMORROW}/p-h")
    assert key("isr", late.exposure, 1) in bench.ask(before, late).ended


def test_of_several_outcomes_one_that_ran_counts_else_that_of_the_current_run(bench: Bench) -> None:
    number = exposure(3)
    for run in (OLD_RUN, RUN):
        bench.put(bench.isr, "shed", run=run, exposure=number, detector=1)
    bench.put(bench.isr, "done", run=OLD_RUN, exposure=number, detector=2)
    bench.put(bench.isr, "shed", run=RUN, exposure=number, detector=2)
    found = bench.ask(bench.before(), raw(3))
    assert found.ended == {key("isr", number, 2): OLD_RUN}
    assert {of: ref.run for of, ref in found.shed.items()} == {key("isr", number, 1): RUN}


def test_a_group_is_found_by_any_of_its_exposures_also_one_that_is_new(bench: Bench) -> None:
    group = str(exposure(2))
    for member in (raw(2), raw(50, group=group), raw(1, day=TOMORROW, group=group)):
        before = bench.before(bench.isr, bench.coadd)
        assert key("coadd", group) in bench.ask(before, member).ended
    other = bench.before(bench.isr, bench.coadd).at_hand(raw(50, group="another"))
    assert other is not None
    assert not other.ended


def test_by_exposure_only_what_can_have_ended_is_looked_up(bench: Bench) -> None:
    before = bench.before()
    wanted: Sequence[int] = [exposure(1), exposure(1, YESTERDAY), exposure(99)]
    members = before.members(bench.butler, INSTRUMENT, wanted)
    assert members.keys() == {exposure(1)}
    assert key("gather", exposure(1)) in before.read(bench.butler, INSTRUMENT, members)[exposure(1)].ended


def test_products_are_wanted_only_by_steps_that_have_not_ended(bench: Bench) -> None:
    pipeline = bench.pipeline(bench.isr, bench.gather)
    detector = {key("isr", exposure(1), 1): RUN}
    assert still_read(pipeline, bench.isr, Ended(detector, {}), raw(1)) == ["image"]
    assert still_read(pipeline, bench.gather, Ended(detector, {}), raw(1)) == []
    whole = {**detector, key("gather", exposure(1)): RUN}
    assert still_read(pipeline, bench.isr, Ended(whole, {}), raw(1)) == []
