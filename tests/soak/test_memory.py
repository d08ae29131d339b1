"""What counts as growing memory."""

from __future__ import annotations

import random

import pytest

from lsst.ctrl.rapid.soak import fit_slope

LIMIT = 5.0


def samples(
    seconds: int, slope: float, *, noise: float = 0.0, until: float = 1e9
) -> list[tuple[float, float]]:
    """Return the memory of a process that grows by ``slope`` MiB a minute for so long, once it is warm."""
    chance = random.Random(1)
    level = 0.0
    found = []
    for second in range(seconds):
        if second % 10 == 0:
            level = chance.uniform(-noise, noise)  # a shard takes memory, and gives it back when it ends
        warm = min(second, 30) * 10.0
        found.append((float(second), 300 + warm + slope * min(second, until) / 60 + level))
    return found


@pytest.mark.parametrize("noise", [0.0, 40.0])
def test_what_grows_is_found(noise: float) -> None:
    slope = fit_slope("worker", 1, samples(900, 30.0, noise=noise), LIMIT)
    assert slope is not None
    assert slope.too_steep
    assert slope.slope == pytest.approx(30.0, abs=5.0)


@pytest.mark.parametrize(
    "process",
    [
        samples(900, 0.0, noise=40.0),
        samples(900, 2.0, noise=5.0),
        samples(120, 0.0, noise=80.0),
        samples(120, 60.0),
        samples(900, 60.0, until=300),
    ],
    ids=["up and down", "slower than the limit", "a short life", "too short to tell", "levels off"],
)
def test_what_does_not_grow_is_not(process: list[tuple[float, float]]) -> None:
    slope = fit_slope("head", 1, process, LIMIT)
    assert slope is not None
    assert not slope.too_steep


def test_nothing_is_said_of_a_process_that_was_killed_early() -> None:
    assert fit_slope("head", 1, samples(45, 500.0), LIMIT) is None
    assert fit_slope("head", 1, [], LIMIT) is None
