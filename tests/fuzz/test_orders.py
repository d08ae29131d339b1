"""Orders that nobody of ours would give: by HTTP to a real server, and as values of RubinTV's keys."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from lsst.ctrl.rapid.control import VERBS, ControlDesk, ControlServer, LiveSettings, SetRequest
from lsst.ctrl.rapid.control._rubintv import ORDERS, changes_of
from lsst.ctrl.rapid.model import ControlSpec, parse
from support.fake_executor import FakeExecutor
from support.refusals import taken_or_refused

from .test_files import VALUES, spoilt

ORDER: dict[str, Any] = {
    "by": "me", "since": 20260101, "where": "exposure = 1", "code": False,
    "changes": {
        "mode": "waiting", "pattern": ["R22"], "vary": "fixed", "guaranteed": [1],
        "guaranteed_where": "exposure = 1",
        "gather_timeout": 5, "gather_deadline": 60, "down_selection": "minimal", "down_selection_above": 60,
    },
}  # fmt: skip
KNOWN = {100, 200, 400, 401, 403, 404, 405, 411, 413, 431, 501, 503}


@given(st.sampled_from(sorted(VERBS)), spoilt(ORDER))
def test_an_order_is_one_or_is_refused(verb: str, data: Any) -> None:
    with taken_or_refused():
        request = parse(VERBS[verb], data, verb)
        if isinstance(request, SetRequest):
            LiveSettings().changed(request.changes)
            assert len(str(request.changes)) < 100_000


@given(
    st.sampled_from(ORDERS),
    st.one_of(st.text(max_size=120), st.sampled_from(["all", "../x", "\x00", "ﬁxed", " "])),
)
@example(ORDERS[0], "x" * 65)
def test_a_value_of_a_key_is_an_order_or_is_refused(key: str, value: str) -> None:
    with taken_or_refused():
        LiveSettings().changed(changes_of(key, value))


PATHS = st.one_of(
    st.sampled_from(["/status", "/pause", "/set", "//status", "/status/", "/../status", "/%73tatus",
    "/set?x=1", "/pause%00",
                     "/pause/../../etc/passwd", "http://evil/status", "*", "/" + "x" * 70_000, "/s\xe9t",
                     ""]),
    st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=20).map(lambda text: f"/{text}"),
)  # fmt: skip
HEADERS = st.lists(st.sampled_from([
    "Host: localhost", "Host: 127.0.0.1", "Host: evil.org", "Host:", "Host: [::1",
    "Content-Type: application/json",
    "Content-Type: text/plain", "Content-Length: 5", "Content-Length: -1",
    "Content-Length: 99999999999999999999",
    "Content-Length: x", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip", "Expect: 100-continue",
    "Content-Encoding: gzip", "Origin: null", "Authorization: Bearer", "Connection: close",
    "Upgrade: websocket",
    "X: " + "y" * 70_000, ": x", "nothing", "\x00: 1", "A: b\r c", "Content-Length: 1, 2",
    "Cookie: \xff=\xfe",
]), max_size=5)  # fmt: skip
BODIES = st.one_of(
    st.binary(max_size=30),
    st.one_of(VALUES, spoilt(ORDER)).map(lambda value: json.dumps(value).encode()),
    st.sampled_from([b"[" * 60_000, b"{" * 70_000, b'{"by": "me"}', b"5\r\n{\"by\"\r\n0\r\n\r\n",
    b"\xff\xfe"]),
)  # fmt: skip


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "get", "P\x00ST", ""]))
    head = [
        f"{method} {draw(PATHS)} {draw(st.sampled_from(['HTTP/1.1', 'HTTP/1.0', 'HTTP/2', 'x']))}",
        *draw(HEADERS),
    ]
    body = draw(BODIES)
    if draw(st.booleans()):
        head = [f"POST /{draw(st.sampled_from(sorted(VERBS)))} HTTP/1.1", "Host: localhost",
                "Content-Type: application/json", f"Content-Length: {len(body)}"]  # fmt: skip
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


HALF_A_CHARACTER = (
    b"POST /catchup HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 35\r\n\r\n"
    b'{"by": "me", "where": "\\ud800 = 12"}'
)


async def answers(server: ControlServer, request: bytes) -> None:
    """Send a request, and check that the answer is one that is told of."""
    assert server.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(request)
        writer.write_eof()
        content = await reader.read()
    except ConnectionError:
        return
    finally:
        writer.close()
    if content:
        assert int(content.split(maxsplit=2)[1]) in KNOWN, (request, content)


@given(st.lists(requests(), min_size=5, max_size=5))
@example([HALF_A_CHARACTER])
def test_whatever_is_sent_is_answered_or_cut_off_and_the_next_is_served(
    sandbox: Path, sent: list[bytes]
) -> None:
    async def talk() -> None:
        executor = FakeExecutor()
        server = ControlServer(
            parse(ControlSpec, {"port": 0, "socket": "c.sock"}, "test"), sandbox, ControlDesk(executor)
        )
        server.start()
        try:
            async with asyncio.timeout(15):
                for request in sent:
                    await answers(server, request)
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert (await reader.read()).startswith(b"HTTP/1.1 200")
                writer.close()
        finally:
            await server.stop()

    asyncio.run(talk())
