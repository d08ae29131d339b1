"""Orders to kill a process at a phase."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from lsst.ctrl.rapid._phases import VARIABLE, Phase, arm, reached
from lsst.ctrl.rapid.model import InputError

# What is forked here only counts, and ends.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@pytest.fixture(autouse=True)
def disarm() -> Iterator[None]:
    yield
    arm({})


def ends_as(*phases: Phase) -> int:
    """Reach phases in a forked process, and return how that ended."""
    pid = os.fork()
    if pid == 0:
        for phase in phases:
            reached(phase)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ("dispatched", r"it must end with the number of a time, like 'dispatched:2'\.$"),
        ("dispatched:0", "must end with the number"),
        ("dispatched:-1", "must end with the number"),
        ("running:", "must end with the number"),
        ("dispached:1", r"there is no phase 'dispached'; did you mean 'dispatched'\?$"),
        ("tail/running:1", r"there is no phase 'tail/running'; did you mean"),
        ("head/dispatched:1", r"it is the head that reaches 'dispatched'; leave out 'head/'\.$"),
    ],
)
def test_what_cannot_be_followed_is_refused(order: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        arm({VARIABLE: order})
    assert str(caught.value).startswith(f"{VARIABLE}={order}: ")


def test_nothing_is_killed_without_an_order() -> None:
    arm({VARIABLE: ""})
    assert ends_as(*Phase) == 0


def test_times_are_counted_over_all_processes_of_a_run(capfd: pytest.CaptureFixture[str]) -> None:
    arm({VARIABLE: "running:3"})
    assert ends_as(Phase.RUNNING, Phase.WRITTEN, Phase.RUNNING) == 0
    assert ends_as(Phase.WRITTEN, Phase.RUNNING) == -signal.SIGKILL
    assert "is killed at running:3." in capfd.readouterr().err
    # What takes its place is not killed, too.
    assert ends_as(Phase.RUNNING) == 0


def test_a_worker_kills_its_head() -> None:
    head = os.fork()
    if head == 0:
        arm({VARIABLE: "head/written:1"})
        ends_as(Phase.WRITTEN)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(head, 0)[1]) == -signal.SIGKILL
