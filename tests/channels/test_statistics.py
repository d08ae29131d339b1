"""Robust statistics against their definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lsst.ctrl.rapid.channels._statistics import IQR_TO_SIGMA, robust_statistics

RANDOM = np.random.default_rng(11)


def by_definition(values: np.ndarray) -> tuple[float, float]:
    finite = np.asarray(values, dtype=np.float64).ravel()
    finite = finite[np.isfinite(finite)]
    low, median, high = np.percentile(finite, (25, 50, 75))
    sigma = IQR_TO_SIGMA * (high - low) or finite.std()
    deviation = finite - median
    return median, deviation[np.abs(deviation) <= 4 * sigma].std()


@pytest.mark.parametrize(
    "values",
    [
        RANDOM.normal(3.0, 2.0, (101, 40)),
        RANDOM.normal(3e4, 0.2, 5000).astype(np.float32),
        np.concatenate([RANDOM.normal(0, 1, 1000), [50.0, 5.0, -4.5, np.nan, np.inf, -np.inf]]),
        np.concatenate([np.rint(RANDOM.normal(0, 6, 1000)), [500, -300]]).astype(np.int32),
        np.repeat([7, 8], [900, 5]).astype(np.uint16),
        np.array([1, 2, 4, 8]),
        np.array([5.0]),
        np.broadcast_to(RANDOM.integers(-9, 9, 30), (20, 30))[::-1, ::-2],
    ],
    ids=["normal", "float32", "outliers", "integers", "few differ", "four", "one", "strided"],
)
def test_the_core_of_a_sample(values: np.ndarray) -> None:
    before = values.copy()
    assert robust_statistics(values) == pytest.approx(by_definition(values), rel=1e-12)
    np.testing.assert_array_equal(values, before)


def test_nothing_finite() -> None:
    assert all(math.isnan(value) for value in robust_statistics(np.array([np.nan, np.inf])))
    assert all(math.isnan(value) for value in robust_statistics(np.empty((0, 3), dtype=np.int32)))
