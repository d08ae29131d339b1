"""Orders by HTTP: carried out, refused, and seen by whoever asks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lsst.ctrl.rapid.control import (
    CatchUpRequest,
    Changes,
    ControlClient,
    ControlDesk,
    ControlError,
    ControlServer,
    DrainRequest,
    PauseRequest,
    ReloadRequest,
    Request,
    ResumeRequest,
    SetRequest,
    StatusReport,
    _server,
)
from lsst.ctrl.rapid.model import ControlSpec, InputError, Mode, PatternSpec, parse
from support.fake_executor import FakeExecutor, Serve

TOKEN = "correct-horse-battery-staple"


async def ask(client: ControlClient, request: Request) -> str:
    return (await asyncio.to_thread(client.do, request)).done


async def status(client: ControlClient) -> StatusReport:
    return await asyncio.to_thread(client.status)


async def raw(server: Any, text: str) -> tuple[int, dict[str, Any]]:
    """Send what no client of ours would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(text.replace("\n", "\r\n").encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0] or 0)
    body = await reader.readexactly(length)
    writer.close()
    return int(head.split()[1]), json.loads(body or b"{}")


def post(path: str, body: str, *headers: str) -> str:
    given = headers or ("Host: localhost", "Content-Type: application/json")
    return "\n".join([f"POST {path} HTTP/1.1", *given, f"Content-Length: {len(body)}", "", body])


async def test_orders_are_carried_out_and_remembered(
    serve: Serve, executor: FakeExecutor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serve():
        client = ControlClient(tmp_path / "control.sock")
        wanted = Changes(mode=Mode.PREEMPTIVE, pattern=PatternSpec(include=("minimal",)))
        await ask(client, SetRequest(by="merlin", changes=wanted))
        await ask(client, PauseRequest(by="merlin"))
        assert (await status(client)).paused
        await ask(client, ResumeRequest(by="nimue"))
        assert "calibrations" in await ask(client, ReloadRequest(by="nimue"))
        assert "7 raws" in await ask(client, CatchUpRequest(by="nimue", since=20261122))
        await ask(client, DrainRequest(by="nimue"))
        found = await status(client)
    assert executor.orders == [
        "merlin: mode=preemptive pattern=minimal", "merlin: pause", "nimue: resume", "nimue: reload",
        "nimue: catch up 20261122 ", "nimue: drain",
    ]  # fmt: skip
    assert found.settings.policy.mode is Mode.PREEMPTIVE
    assert [change.what for change in found.changes] == [
        "drain", "catch up since 20261122", "reload", "resume", "pause",
        "set mode=preemptive pattern=minimal",
    ]  # fmt: skip
    # Who: as they say, and as the system says.
    assert found.changes[-1].who == f"merlin (uid {os.getuid()}, process {os.getpid()})"
    assert f"merlin (uid {os.getuid()}, process {os.getpid()}): set mode=preemptive" in caplog.text


async def test_a_pattern_sent_without_it_leaves_how_it_varies(
    serve: Serve, executor: FakeExecutor, tmp_path: Path
) -> None:
    async with serve():
        client = ControlClient(tmp_path / "control.sock")
        await ask(client, SetRequest(by="me", changes=parse(Changes, {"vary": "alternating"}, "test")))
        await ask(client, SetRequest(by="me", changes=parse(Changes, {"pattern": "minimal"}, "test")))
    assert str(executor.settings.policy.pattern) == "minimal (alternating)"


async def test_what_cannot_be_done_is_told_in_one_line(
    serve: Serve, executor: FakeExecutor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serve():
        client = ControlClient(tmp_path / "control.sock")
        unknown = Changes(pattern=PatternSpec(include=("no\nsuch",)))
        with pytest.raises(InputError, match="there is no pattern"):
            await ask(client, SetRequest(by="me", changes=unknown))
        with pytest.raises(InputError, match="reload --code"):
            await ask(client, ReloadRequest(by="me", code=True))
        with pytest.raises(ControlError, match=r"has a fault \(ZeroDivisionError\)"):
            await ask(client, CatchUpRequest(by="me", where="fault"))
        await ask(client, DrainRequest(by="me"))
        with pytest.raises(ControlError, match="The run is ending"):
            await ask(client, PauseRequest(by="me"))
        changes = (await status(client)).changes
    assert executor.orders == ["me: drain"]
    assert [change.refused for change in changes[:2]] == ["The run is ending.", ""]
    # Nobody can write a line of their own into the log.
    assert "set pattern=no such is refused" in caplog.text


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        (post("/set", "{"), 400, "not JSON"),
        (post("/set", '{"by": "me", "changes": {"patern": "all"}}'), 400, "did you mean 'pattern'?"),
        (post("/pause", '{"by": "me", "since": 1}'), 400, "unknown key 'since'"),
        (post("/pause", "[]"), 400, "pause: "),
        (post("/pause", '{"by": "me"}', "Host: localhost"), 400, "must be application/json"),
        (
            post("/pause", '{"by": "me"}', "Host: localhost", "Content-Type: application/json", "Origin: x"),
            403, "no browser",
        ),
        (
            post("/pause", '{"by": "me"}', "Host: evil.org", "Content-Type: application/json"),
            403, "no other name",
        ),
        (post("/fire", "{}"), 404, "/status and /set, /pause"),
        ("GET /pause HTTP/1.1\nHost: localhost\n\n", 405, "Not Allowed"),
    ],
)  # fmt: skip
async def test_what_is_not_an_order_is_refused(
    serve: Serve, executor: FakeExecutor, text: str, code: int, told: str
) -> None:
    async with serve(port=0) as server:
        found, body = await raw(server, text)
    assert (found, executor.orders) == (code, [])
    assert told in body["error"]


async def test_a_body_that_is_too_long_is_not_read(serve: Serve, executor: FakeExecutor) -> None:
    async with serve(port=0) as server:
        _, writer = connection = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n")
        assert (await connection[0].read()).startswith(b"HTTP/1.1 4")
        writer.close()


async def test_a_port_with_a_token_serves_nobody_without(
    serve: Serve, executor: FakeExecutor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    async with serve(port=0, token_file=str(tmp_path / "token")) as server:
        url = f"http://127.0.0.1:{server.port}"
        for client in (ControlClient(url), ControlClient(url, "wrong"), ControlClient(url, "å")):
            with pytest.raises(ControlError, match="token"):
                await status(client)
            with pytest.raises(ControlError, match="token"):
                await ask(client, PauseRequest(by="me"))
        assert executor.orders == []
        await ask(ControlClient(f"{url}/", TOKEN), PauseRequest(by="me"))
        assert (await status(ControlClient(url, TOKEN))).changes[0].who == "me (from 127.0.0.1)"
        # The socket is for the executor's own user alone.
        assert stat.S_IMODE((tmp_path / "control.sock").stat().st_mode) == 0o600
        await ask(ControlClient(tmp_path / "control.sock"), ResumeRequest(by="me"))
    assert executor.orders == ["me: pause", "me: resume"]
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("content", ["short", "", "ä" * 20])
async def test_a_token_that_can_be_guessed_is_refused(serve: Serve, tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    with pytest.raises(InputError, match="at least 16 letters"):
        async with serve(port=0, token_file=str(tmp_path / "token")):
            pass


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"host": "0.0.0.0", "port": 1}, "needs a 'token_file'"),
        ({"host": "summit.example", "port": 1}, "needs a 'token_file'"),
        ({"host": "127.0.0.1"}, "go with 'port'"),
        ({"token_file": "x"}, "go with 'port'"),
        ({"prot": 1}, "did you mean 'port'?"),
    ],
)
def test_a_site_file_cannot_open_it_to_everybody(spec: object, told: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(ControlSpec, spec, "site")
    assert told in str(caught.value)


def test_it_can_be_off(tmp_path: Path, executor: FakeExecutor) -> None:
    assert parse(ControlSpec, False, "site") == parse(ControlSpec, "off", "site")
    ControlServer(parse(ControlSpec, False, "site"), tmp_path, ControlDesk(executor)).start()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: ControlClient(folder / "control.sock"), "there is no such socket"),
        (lambda folder: ControlClient(folder / "no" / "folder" / ("x" * 120)), "there is no such socket"),
        (lambda _: ControlClient("http://127.0.0.1:1"), "nobody listens"),
    ],
)
def test_without_an_executor_it_is_told_where_it_was_looked_for(
    make: Callable[[Path], ControlClient], told: str, tmp_path: Path
) -> None:
    with pytest.raises(ControlError, match="No executor was found at ") as caught:
        make(tmp_path).status()
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["localhost:8123", "http://", "http://[::1", "http://x:99999", "http://x:y", "", "ftp://x", "http://:1"],
)
def test_what_is_not_an_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="not an address"):
        ControlClient(address)


def test_what_can_be_no_path_is_not_found() -> None:
    with pytest.raises(ControlError, match="No executor was found"):
        ControlClient(Path("a\0b")).status()


@pytest.mark.parametrize("sent", ["GET /status HT", post("/pause", '{"by": "me"}')[:-4]])
async def test_who_sends_slowly_is_cut_off(
    serve: Serve, executor: FakeExecutor, sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_server, "_IDLE_SECONDS", 0.1)
    monkeypatch.setattr(_server, "_BODY_SECONDS", 0.1)
    async with serve(port=0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent.replace("\n", "\r\n").encode())
        async with asyncio.timeout(30):
            assert await reader.read() == b""
        writer.close()
    assert executor.orders == []


async def test_who_opens_many_connections_keeps_nobody_else_out(serve: Serve) -> None:
    async with serve(port=0) as server:
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(60)]
        asking = [asyncio.ensure_future(reader.read()) for reader, _ in idle]
        async with asyncio.timeout(30):
            # Those beyond the limit are cut off, and one that ends makes room.
            done, waiting = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            while len(done) < 10:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                done = {one for one in asking if one.done()}
                waiting = set(asking) - done
            for _, writer in idle[:20]:
                writer.close()
            code, _ = 0, None
            while code != 200:
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                    code, _ = await raw(server, "GET /status HTTP/1.1\nHost: localhost\n\n")
        for _, writer in idle:
            writer.close()
        await asyncio.wait(asking)


async def test_another_user_of_this_machine_is_not_served(
    serve: Serve, executor: FakeExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve():
        monkeypatch.setattr(_server, "_OURS", frozenset({os.geteuid() + 1}))
        with pytest.raises(ControlError, match="takes orders from its own user and from root"):
            await ask(ControlClient(tmp_path / "control.sock"), PauseRequest(by="me"))
    assert executor.orders == []


def test_a_link_in_place_of_our_lock_is_not_followed(tmp_path: Path, executor: FakeExecutor) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "control.sock.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(InputError, match="no socket can be made"):
        ControlServer(
            parse(ControlSpec, {"socket": str(tmp_path / "control.sock")}, "site"),
            tmp_path,
            ControlDesk(executor),
        ).start()
    assert (tmp_path / "precious").read_text() == "mine"
