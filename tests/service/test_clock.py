"""A clock that somebody sets."""

from __future__ import annotations

import pytest

from lsst.ctrl.rapid.service._clock import ClockWatch


def test_a_clock_that_is_set_is_noticed_once() -> None:
    times = {"clock": 1e9, "steady": 50.0}
    watch = ClockWatch(lambda: times["clock"], lambda: times["steady"])

    def passes(clock: float, steady: float) -> float:
        times["clock"] += clock
        times["steady"] += steady
        return watch.step()

    assert passes(100.0, 100.0) == 0.0
    assert passes(10.2, 10.0) == 0.0, "it is corrected little by little"
    assert passes(-3590.0, 10.0) == pytest.approx(-3599.8)
    assert passes(10.0, 10.0) == 0.0
    assert passes(7210.0, 10.0) == pytest.approx(7200.0)
