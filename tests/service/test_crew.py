"""Which workers there are, and when there is no hope of any."""

from __future__ import annotations

import pytest

from lsst.ctrl.rapid.service._crew import Crew


def test_a_run_without_a_worker_ends_only_if_there_never_was_one() -> None:
    crew = Crew(2)
    assert crew.failed("w0", "no memory") == ""
    assert not crew.settled.is_set()
    assert crew.failed("w0", "no memory") == ""
    assert "the last one said: no disk" in crew.failed("w1", "no disk")
    assert crew.settled.is_set()


def test_it_goes_on_without_workers_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    crew = Crew(2)
    crew.ready("w0")
    assert crew.failed("w1", "no disk") == ""
    assert crew.settled.is_set()
    assert (crew.warm, crew.is_gone) == (1, False)
    crew.lost("w0")
    assert (crew.warm, crew.is_gone) == (0, True)
    assert "No worker is left: what arrives waits" in caplog.text
    assert crew.failed("w0", "no disk") == ""
    crew.ready("w1")
    assert (crew.warm, crew.is_gone) == (1, False)
    assert "There is a worker again" in caplog.text
