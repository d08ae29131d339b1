"""The time in which no worker was free."""

from __future__ import annotations

import numpy as np
import pytest

from lsst.ctrl.rapid.monitor import FreeWorkerClock


def test_no_worker_is_free_before_the_first_is_warm() -> None:
    clock = FreeWorkerClock()
    assert clock.none_free(100.0, 130.0) == 30.0
    clock.update(1, 120.0)
    assert clock.none_free(100.0, 130.0) == 20.0
    assert clock.none_free(120.0, 130.0) == 0.0


def test_an_interval_counts_only_where_it_overlaps() -> None:
    clock = FreeWorkerClock()
    clock.update(2, 1.0)
    clock.update(0, 10.0)
    clock.update(1, 20.0)
    clock.update(0, 30.0)
    clock.update(2, 31.0)
    assert clock.none_free(5.0, 15.0) == 5.0
    assert clock.none_free(12.0, 13.0) == 1.0
    assert clock.none_free(15.0, 30.5) == 5.5
    assert clock.none_free(21.0, 29.0) == 0.0
    assert clock.none_free(0.0, 100.0) == 12.0


def test_an_interval_that_still_lasts_counts_to_the_end_asked_for() -> None:
    clock = FreeWorkerClock()
    clock.update(1, 1.0)
    clock.update(0, 5.0)
    assert clock.none_free(2.0, 9.0) == 4.0


def test_being_told_the_same_again_changes_nothing() -> None:
    clock = FreeWorkerClock()
    for now in (1.0, 2.0, 3.0):
        clock.update(1, now)
    for now in (4.0, 5.0, 6.0):
        clock.update(0, now)
    clock.update(3, 8.0)
    assert clock.none_free(0.0, 10.0) == 1.0 + 4.0


def test_no_worker_was_free_before_the_executor_began() -> None:
    clock = FreeWorkerClock()
    clock.update(1, 60.0)
    assert clock.none_free(-1000.0, 100.0) == 1060.0


@pytest.mark.parametrize("seed", range(5))
def test_it_equals_an_integral_by_counting(seed: int) -> None:
    random = np.random.default_rng(seed)
    seconds = 400
    clock = FreeWorkerClock()
    free = np.zeros(seconds, dtype=int)
    for now in np.sort(random.choice(np.arange(1, seconds), 120, replace=False)):
        count = int(random.choice([0, 0, 1, 4]))
        free[now:] = count
        clock.update(count, float(now))
    for begin, end in np.sort(random.integers(0, seconds, (300, 2)), axis=1):
        counted = int(np.count_nonzero(free[begin:end] == 0))
        assert clock.none_free(float(begin), float(end)) == counted
    for begin, middle, end in np.sort(random.uniform(0, seconds, (300, 3)), axis=1):
        parts = clock.none_free(begin, middle) + clock.none_free(middle, end)
        assert parts == pytest.approx(clock.none_free(begin, end))
        assert 0 <= parts <= end - begin + 1e-9


def test_a_clock_that_is_set_back_stands_still_until_it_has_caught_up() -> None:
    clock = FreeWorkerClock()
    clock.update(1, 1000.0)
    clock.update(0, 1010.0)
    clock.update(1, 500.0)
    clock.update(0, 510.0)
    clock.update(1, 1020.0)
    assert clock.none_free(1000.0, 1100.0) == 10.0
    assert clock.none_free(400.0, 600.0) == 200.0
