"""The simulated night, and the account that is kept of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsst.ctrl.rapid.bench import SUITES, SuiteSettings
from lsst.ctrl.rapid.bench._balance import Balance
from lsst.ctrl.rapid.conductor import Dispatch, Give
from lsst.ctrl.rapid.model import Shard


def test_a_short_night_balances(tmp_path: Path) -> None:
    told: list[str] = []
    found = SUITES["night"].run(SuiteSettings(work_dir=tmp_path, quick=True), told.append)
    assert len(told) == len(found.rows) == 3
    missed = [goal for goal in found.goals if not goal.met]
    assert not missed
    consuming, preemptive, reduced = found.rows
    for row in found.rows:
        count = {name: series.median for name, series in row.columns.items()}
        assert count["sent"] == count["done"] + count["failed"] + count["shed"]
        assert count["deaths"] > 0
        assert count["gathered in part"] > 0
    assert preemptive.columns["yields"].median > 0
    assert consuming.columns["yields"].median == consuming.columns["shed"].median == 0
    assert reduced.columns["shed"].median > 0
    assert reduced.columns["backlog, greatest"].median < consuming.columns["backlog, greatest"].median


def raw(exposure: int, detector: int) -> Shard:
    return Shard("night", "step1a", "LSSTCam", exposure, detector)


@pytest.fixture
def balance() -> Balance:
    balance = Balance()
    for detector in (0, 1):
        balance.sent(1, detector)
    return balance


def test_what_is_lost_is_missed(balance: Balance) -> None:
    balance.decided(Dispatch(raw(1, 0), "w0", 1))
    assert (balance.running, balance.waiting, balance.difference) == (1, 1, 0)
    balance._running.clear()
    assert balance.difference == 1


def test_what_runs_twice_is_noticed(balance: Balance) -> None:
    balance.decided(Dispatch(raw(1, 0), "w0", 1))
    balance.ended(raw(1, 0), failed=False)
    balance.decided(Give(raw(1, 1), "lost", 2))
    assert not balance.faults
    balance.decided(Dispatch(raw(1, 0), "w1", 1))
    assert "has ended before" in balance.faults[0]


def test_an_older_raw_before_a_newer_one_is_noticed(balance: Balance) -> None:
    balance.sent(2, 0)
    balance.decided(Dispatch(raw(1, 0), "w0", 1))
    assert "while exposure 2 waits" in balance.faults[0]


def test_a_gather_of_what_has_not_ended_is_noticed(balance: Balance) -> None:
    gather = Shard("night", "step1b", "LSSTCam", 1)
    balance.decided(Dispatch(raw(1, 0), "w0", 1))
    balance.ended(raw(1, 0), failed=False)
    balance.decided(Dispatch(gather, "w0", 1, frozenset({0, 1})))
    assert "[1]" in balance.faults[0]
    assert balance.ungathered == 1
