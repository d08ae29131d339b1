"""Raws that somebody else registers: each is found once, none is skipped."""

from __future__ import annotations

import math
import queue
import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.arrival import ButlerWatch, FoundRaws, Lookout
from lsst.ctrl.rapid.model import day_begins, observing_day
from support.registered import INSTRUMENT, OtherIngest, make_registry

COLLECTIONS = [f"{INSTRUMENT}/defaults"]
NOW = time.time()
TODAY, YESTERDAY, LONG_AGO = observing_day(NOW), observing_day(NOW, before=1), 20250304


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_registry(tmp_path_factory.mktemp("empty"))


@pytest.fixture
def root(empty: str, tmp_path: Path) -> str:
    return str(shutil.copytree(empty, tmp_path / "repo"))


@pytest.fixture
def other(root: str) -> Iterator[OtherIngest]:
    other = OtherIngest(root)
    yield other
    other.butler.close()


@pytest.fixture
def reader(root: str) -> Iterator[Butler]:
    with Butler.from_config(root, writeable=False) as butler:
        yield butler


def exposure(day_obs: int, number: int) -> int:
    return day_obs * 100_000 + number


def look(
    lookout: Lookout, reader: Butler, now: float = NOW, budget: float = math.inf
) -> list[tuple[int, int]]:
    """Look, and take everything that is found as told."""
    raws = []
    for found in lookout.look(reader, now, budget):
        lookout.told(found)
        raws += [(found.exposure, detector) for detector in sorted(found.detectors)]
    return raws


def make_lookout(since: int = YESTERDAY, **options) -> Lookout:
    return Lookout(INSTRUMENT, COLLECTIONS, since, **options)


def test_what_is_there_is_found_newest_first_and_once(other: OtherIngest, reader: Butler) -> None:
    for number in (3, 1, 2):
        other.raws(exposure(TODAY, number), [7, 5], day_obs=TODAY)
    other.raws(exposure(YESTERDAY, 9), [5], day_obs=YESTERDAY)
    lookout = make_lookout()
    assert not lookout.caught_up
    told = look(lookout, reader)
    assert told == [
        *((exposure(TODAY, number), detector) for number in (3, 2, 1) for detector in (5, 7)),
        (exposure(YESTERDAY, 9), 5),
    ]
    assert lookout.caught_up
    assert look(lookout, reader) == []


def test_what_was_not_told_is_found_again(other: OtherIngest, reader: Butler) -> None:
    other.raws(exposure(TODAY, 1), [5], day_obs=TODAY)
    lookout = make_lookout()
    assert [found.detectors for found in lookout.look(reader, NOW, math.inf)] == [{5}]
    assert look(lookout, reader) == [(exposure(TODAY, 1), 5)]


def test_the_past_is_left_unless_it_is_asked_for(other: OtherIngest, reader: Butler) -> None:
    """Ingest dates are of this machine's clock; here the past is before the first day that is wanted."""
    other.raws(exposure(LONG_AGO, 1), [5], day_obs=LONG_AGO)
    tomorrow = observing_day(time.time(), before=-2)
    assert look(make_lookout(since=tomorrow), reader, now=day_begins(tomorrow)) == []
    assert look(make_lookout(since=LONG_AGO), reader) == [(exposure(LONG_AGO, 1), 5)]


def test_a_raw_of_an_old_exposure_that_is_ingested_now_is_found(other: OtherIngest, reader: Butler) -> None:
    for number in range(40):
        other.exposure(exposure(LONG_AGO, number), LONG_AGO)
    now = time.time()
    lookout = make_lookout(since=observing_day(now, before=1))
    assert look(lookout, reader, now) == []
    other.raws(exposure(LONG_AGO, 3), [5])
    assert look(lookout, reader, now + 1) == [(exposure(LONG_AGO, 3), 5)]
    assert look(lookout, reader, now + 2) == []


def test_exposures_and_raws_out_of_order_are_found_at_the_next_look(
    other: OtherIngest, reader: Butler
) -> None:
    """Without the rings, by which everything is found in the end."""
    lookout = make_lookout()
    look(lookout, reader)
    rng = random.Random(1)
    numbers = list(range(1, 16))
    rng.shuffle(numbers)
    for second, number in enumerate(numbers):
        other.raws(exposure(TODAY, number), [5], day_obs=TODAY)
        assert look(lookout, reader, NOW + second, budget=0) == [(exposure(TODAY, number), 5)]
    for second, number in enumerate(reversed(numbers)):
        other.raws(exposure(TODAY, number), [6])
        assert look(lookout, reader, NOW + 20 + second, budget=0) == [(exposure(TODAY, number), 6)]


def test_an_exposure_that_is_not_among_the_newest_is_heard_of(other: OtherIngest, reader: Butler) -> None:
    """Numbers of one kind of exposure may all be greater than those of another."""
    for number in range(20):
        other.exposure(exposure(TODAY, 50_000 + number), TODAY)
    lookout = make_lookout()
    look(lookout, reader)
    other.raws(exposure(TODAY, 1), [5], day_obs=TODAY)
    assert look(lookout, reader, NOW + 1, budget=0) == []
    assert look(lookout, reader, NOW + 11, budget=0) == [(exposure(TODAY, 1), 5)]


def test_a_transaction_that_becomes_visible_late_is_found(other: OtherIngest, reader: Butler) -> None:
    lookout = make_lookout()
    first, second = exposure(TODAY, 1), exposure(TODAY, 2)
    other.exposure(first, TODAY)
    with other.butler.transaction():
        other.raws(first, [5])
        other.exposure(second, TODAY)
        other.raws(second, [5])
        assert look(lookout, reader) == []
    hours = 3600.0
    assert sorted(look(lookout, reader, NOW + 3 * hours)) == [(first, 5), (second, 5)]


def test_an_exposure_is_not_asked_for_once_it_is_complete(other: OtherIngest, reader: Butler) -> None:
    lookout = make_lookout(expected=[5, 6])
    look(lookout, reader)
    other.raws(exposure(TODAY, 1), [5, 6], day_obs=TODAY)
    assert len(look(lookout, reader, NOW + 1, budget=0)) == 2
    other.raws(exposure(TODAY, 1), [7])
    assert look(lookout, reader, NOW + 2, budget=0) == []
    assert look(lookout, reader, NOW + 3) == [(exposure(TODAY, 1), 7)]


def test_the_same_raw_in_two_collections_is_one(other: OtherIngest, reader: Butler) -> None:
    other.raws(exposure(TODAY, 1), [5], day_obs=TODAY)
    other.raws(exposure(TODAY, 1), [5, 6], run="other/raws")
    lookout = Lookout(INSTRUMENT, ["other/raws", *COLLECTIONS], YESTERDAY)
    assert look(lookout, reader) == [(exposure(TODAY, 1), 5), (exposure(TODAY, 1), 6)]


def test_what_ended_before_is_left_but_what_comes_to_it_is_not(other: OtherIngest, reader: Butler) -> None:
    ended = FoundRaws(INSTRUMENT, exposure(TODAY, 1), frozenset([5, 6]))
    other.raws(ended.exposure, ended.detectors, day_obs=TODAY)
    other.raws(exposure(TODAY, 2), [5], day_obs=TODAY)
    lookout = make_lookout(without_ended=lambda _, raws: [one for one in raws if one != ended])
    assert look(lookout, reader) == [(exposure(TODAY, 2), 5)]
    other.raws(ended.exposure, [7])
    assert look(lookout, reader, NOW + 1) == [(ended.exposure, 7)]


class Telling:
    """A watch on its own thread, and what it told."""

    def __init__(self, root: str, lookout: Lookout, fails: int | None = None) -> None:
        self.told: queue.Queue[FoundRaws] = queue.Queue()
        self.refused: queue.Queue[str] = queue.Queue()
        self._fails = fails
        self.watch = ButlerWatch(
            lambda: Butler.from_config(root, writeable=False),
            [lookout],
            self._found,
            lambda found, reason: self.refused.put(f"{found.exposure}: {reason}"),
            interval=0.02,
        )

    def _found(self, _: Butler, found: FoundRaws) -> None:
        if found.exposure == self._fails:
            raise LookupError("a record is missing")
        self.told.put(found)


def test_one_exposure_that_cannot_be_read_holds_nothing_up(root: str, other: OtherIngest) -> None:
    for number in (1, 2):
        other.raws(exposure(TODAY, number), [5], day_obs=TODAY)
    telling = Telling(root, make_lookout(), fails=exposure(TODAY, 2))
    telling.watch.start()
    assert telling.refused.get(timeout=30) == f"{exposure(TODAY, 2)}: LookupError: a record is missing"
    assert telling.told.get(timeout=30).exposure == exposure(TODAY, 1)
    telling.watch.stop()
    assert telling.refused.empty()
    assert telling.told.empty()


def test_nothing_is_told_after_the_stop(root: str, other: OtherIngest) -> None:
    telling = Telling(root, make_lookout())
    telling.watch.start()
    other.raws(exposure(TODAY, 1), [5], day_obs=TODAY)
    telling.told.get(timeout=30)
    telling.watch.stop()
    other.raws(exposure(TODAY, 2), [5], day_obs=TODAY)
    assert "butler watch" not in {thread.name for thread in threading.enumerate()}
    assert telling.told.empty()
