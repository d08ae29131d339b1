"""The commands that steer: what is typed, what is asked, what is shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from lsst.ctrl.rapid.control import ControlDesk, ControlServer
from lsst.ctrl.rapid.model import ControlSpec
from support.fake_executor import FakeExecutor
from support.processes import rapid_here


@pytest.fixture
def executor() -> FakeExecutor:
    return FakeExecutor()


@pytest.fixture
async def type_(executor: FakeExecutor, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Have a command typed where an executor runs."""
    server = ControlServer(ControlSpec(), tmp_path, ControlDesk(executor))
    server.start()

    async def typed(*arguments: str, code: int = 0) -> str:
        return await asyncio.to_thread(rapid_here, *arguments, "--work-dir", tmp_path, code=code)

    yield typed
    await server.stop()


@pytest.mark.parametrize(
    ("written", "what"),
    [
        (["mode=preemptive", "pattern=raft_checkerboard"], "mode=preemptive pattern=raft_checkerboard"),
        (["pattern=R22, minimal"], "pattern=R22, minimal"),
        (["pattern={include: all, exclude: R01}"], "pattern=all without R01"),
        (["vary=alternating"], "vary=alternating"),
        (["guaranteed=7,9"], "guaranteed=7,9"),
        (["guaranteed="], "guaranteed=none"),
        (["guaranteed_where=day_obs = 20261122"], "guaranteed_where=day_obs = 20261122"),
        (["gather_timeout=2.5", "gather_deadline=60"], "gather_timeout=2.5 gather_deadline=60"),
        (
            ["down_selection=minimal", "down_selection_above=30"],
            "down_selection=minimal down_selection_above=30",
        ),
        (["down_selection=off"], "down_selection=off"),
    ],
)
async def test_set(type_: Callable, executor: FakeExecutor, written: list[str], what: str) -> None:
    assert "It holds from now on." in await type_("control", "set", *written)
    assert [order.partition(": ")[2] for order in executor.orders] == [what]


async def test_the_other_orders(type_: Callable, executor: FakeExecutor) -> None:
    assert "Paused" in await type_("control", "pause")
    assert "Resumed" in await type_("control", "resume")
    assert "calibrations" in await type_("control", "reload")
    assert "7 raws" in await type_("catchup", "--since", "20261122", "--where", "detector = 94")
    assert "Draining" in await type_("control", "drain")
    assert [order.partition(": ")[2] for order in executor.orders] == [
        "pause", "resume", "reload", "catch up 20261122 detector = 94", "drain"
    ]  # fmt: skip
    assert "The run is ending" in await type_("control", "pause", code=1)


async def test_the_status_is_for_people_and_programs(
    type_: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    await type_("control", "set", "pattern=minimal", "vary=alternating", "guaranteed=7")
    await type_("control", "set", "pattern=none-such", code=2)
    shown = await type_("control", "status")
    for told in (
        "running", "mode consuming; pattern minimal (alternating); guaranteed 7", "0 busy of 2",
        "12 shard(s) of 3 exposure(s) wait, the oldest 2026112200002, for 2 min",
        "500 done, 81 shed", "81: not in the pattern", "9 ms",
        "LSSTCam 2026112200007 science r_57   180/189  170      1 waits         4.2",
        "set pattern=minimal vary=alternating guaranteed=7", "refused: there is no pattern 'none-such'",
    ):  # fmt: skip
        assert told in shown
    found = json.loads(await type_("control", "status", "--json"))
    assert found["settings"]["policy"]["pattern"]["include"] == ["minimal"]
    assert found["backlog"]["shards"] == 12
    assert [bool(change["refused"]) for change in found["changes"]] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["control", "set"], "Missing argument"),
        (["control", "set", "patern=all"], "unknown key 'patern'; did you mean 'pattern'?"),
        (["control", "set", "pattern"], "'pattern' is not of the form KEY=VALUE"),
        (["control", "set", "mode=waiting", "mode=consuming"], "'mode' is there twice"),
        (["control", "set", "mode=eager"], "'preemptive'"),
        (["control", "set", "pattern={"], "not valid YAML"),
        (["control", "set", "guaranteed=x"], "guaranteed.0"),
        (["control", "set", "pattern=none-such"], "there is no pattern 'none-such'"),
        (["control", "set", "down_selection_above=3"], "there is no down-selection"),
        (["control", "reload", "--code"], "reload --code"),
        (["catchup"], "either 'since' or 'where'"),
        (["catchup", "--since", "2026"], "not a day"),
    ],
)
async def test_what_cannot_be_is_refused(
    type_: Callable, executor: FakeExecutor, arguments: list[str], told: str
) -> None:
    output = " ".join((await type_(*arguments, code=2)).split())
    assert told in output
    assert "Traceback" not in output
    assert executor.orders == []


def test_without_an_executor_it_is_told_where_it_was_looked_for(tmp_path: Path) -> None:
    output = rapid_here("control", "pause", "--work-dir", tmp_path, code=1)
    assert f"No executor was found at {tmp_path / 'control.sock'}" in output
    output = rapid_here("control", "status", "--url", f"unix:{tmp_path}/other.sock", code=1)
    assert f"{tmp_path}/other.sock" in output
    assert "not an address" in rapid_here("control", "pause", "--url", "here", code=2)


async def test_status_is_short_for_control_status(type_: Callable) -> None:
    assert (await type_("status")).splitlines()[0] == (await type_("control", "status")).splitlines()[0]
    assert json.loads(await type_("status", "--json"))["refusals"] == []
