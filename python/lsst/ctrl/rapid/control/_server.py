"""Takes orders by HTTP: on a UNIX socket in the work folder, and on a TCP port where the site wants one."""

from __future__ import annotations

__all__ = ("ControlServer",)

import contextlib
import hmac
import logging
import os
import socket
import struct
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, override

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.web import Application, HTTPError, RequestHandler

from ..model import ControlSpec, InputError, Model, is_loopback, parse, read_json, read_secret
from ._controllable import NotNowError
from ._desk import ControlDesk
from ._messages import VERBS, Refusal
from ._sockets import SOCKET_NAME, UnixListener, open_port

_LOG = logging.getLogger(__name__)

_MOST_BYTES = 64 * 1024
_BODY_SECONDS = 10.0
_IDLE_SECONDS = 30.0
"""Also for a request's header, from its first letter to its last."""
_MOST_CONNECTIONS = 50
"""At a time, of each way in: who opens more is cut off, so that those who are there are still served."""
_OURS = frozenset({0, os.geteuid()})
"""Users whose orders are taken through the UNIX socket: root's and our own."""
_SHORTEST_TOKEN = 16


class ControlServer:
    """Takes orders by HTTP, in the event loop in which it is started.

    Parameters
    ----------
    spec
        Where.
    work_dir
        The executor's work folder.
    desk
        Carries the orders out.

    Notes
    -----
    ``GET /status`` answers with a `StatusReport`, ``POST /{verb}`` takes one of `VERBS` and answers with an
    `Answer`, both as JSON; what is not done is answered by a `Refusal` and a status of 400 (it never can be),
    503 (not now), 401 (without the token) or 500 (a fault of the executor).  Who can open the UNIX socket is
    the executor's own user, so that no token is asked for there.
    """

    def __init__(self, spec: ControlSpec, work_dir: Path, desk: ControlDesk) -> None:
        self._spec = spec
        self._path = spec.socket or work_dir / SOCKET_NAME
        self._desk = desk
        self._unix: UnixListener | None = None
        self._servers: list[HTTPServer] = []
        self.port: int | None = None
        """The port, once it is open."""

    def start(self) -> None:
        """Open what the site wants.

        Raises
        ------
        InputError
            If another executor has the socket, or what the site file names cannot be opened.
        """
        if not self._spec.enabled:
            return
        token = None if self._spec.token_file is None else _read_token(self._spec.token_file)
        try:
            self._unix = UnixListener(self._path)
        except OSError as err:
            told = f"{self._path}: no socket can be made here: {err.strerror or err}"
            if self._spec.socket is not None:
                raise InputError(f"{told}.") from None
            _LOG.warning("%s; 'rapid-exec control' cannot reach this executor through it.", told)
        else:
            self._serve(self._unix.socket, None)
        if self._spec.port is not None:
            try:
                opened = open_port(self._spec.host, self._spec.port)
            except InputError:
                if self._unix is not None:
                    self._unix.close()
                    self._unix = None
                raise
            self.port = opened.getsockname()[1]
            self._serve(opened, token)
            _LOG.info("Orders are taken at http://%s:%d.", self._spec.host, self.port)

    async def stop(self) -> None:
        """Close everything; what is being answered is not finished."""
        for server in self._servers:
            server.stop()
            await server.close_all_connections()
        self._servers.clear()
        if self._unix is not None:
            self._unix.close()
            self._unix = None

    def _serve(self, listening: socket.socket, token: str | None) -> None:
        arguments = {"desk": self._desk, "token": token}
        application = Application(
            [("/status", _StatusHandler, arguments), (f"/({'|'.join(VERBS)})", _OrderHandler, arguments)],
            default_handler_class=_NothingHandler,
            default_handler_args=arguments,
            log_function=lambda _: None,
        )
        server = _Server(
            application,
            max_body_size=_MOST_BYTES,
            max_header_size=_MOST_BYTES,
            body_timeout=_BODY_SECONDS,
            idle_connection_timeout=_IDLE_SECONDS,
        )
        server.add_socket(listening)
        self._servers.append(server)


class _Server(HTTPServer):
    """A server that has only so many connections at a time."""

    _connected = 0

    @override
    def handle_stream(self, stream: IOStream, address: Any) -> None:
        if self._connected >= _MOST_CONNECTIONS:
            stream.close()
            return
        self._connected += 1
        super().handle_stream(stream, address)

    @override
    def on_close(self, server_conn: object) -> None:
        self._connected -= 1
        super().on_close(server_conn)


class _Handler(RequestHandler):
    """What all addresses share: the token, and answers as JSON."""

    def initialize(self, desk: ControlDesk, token: str | None) -> None:
        self.desk = desk
        self._token = token

    @override
    def prepare(self) -> None:
        headers = self.request.headers
        user = _peer(self)
        if user is not None and user.uid not in _OURS:
            # Where files have no modes that count, the socket is open to others.
            raise HTTPError(403, "This executor takes orders from its own user and from root.")
        if self._token is not None:
            given = headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                raise HTTPError(401, "The token is missing or wrong: --token-file.")
        elif "Origin" in headers or not _is_local(self.request.host_name):
            # A page in somebody's browser on this machine must not be able to steer.
            raise HTTPError(403, "Without a token no browser and no other name of this machine is served.")

    @override
    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        match error:
            case InputError():
                self.set_status(HTTPStatus.BAD_REQUEST)
                told = str(error)
            case NotNowError():
                self.set_status(HTTPStatus.SERVICE_UNAVAILABLE)
                told = str(error)
            case HTTPError():
                told = error.log_message or HTTPStatus(status_code).phrase
            case _:
                told = f"The executor has a fault ({type(error).__name__}); its log says more."
        self.answer(Refusal(error=told))

    @override
    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        if not isinstance(value, InputError | NotNowError | HTTPError):
            _LOG.error("%s could not be answered.", self.request.path, exc_info=value)

    def answer(self, model: Model) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(model.model_dump_json())


class _StatusHandler(_Handler):
    def get(self) -> None:
        self.answer(self.desk.status())


class _OrderHandler(_Handler):
    async def post(self, verb: str) -> None:
        kind = self.request.headers.get("Content-Type", "")
        if kind.partition(";")[0].strip() != "application/json":
            raise InputError("The body must be application/json.")
        request = parse(VERBS[verb], read_json(self.request.body, "The body"), verb)
        self.answer(await self.desk.do(request, _sender(self)))


class _NothingHandler(_Handler):
    @override
    def prepare(self) -> None:
        super().prepare()
        raise HTTPError(404, f"There are /status and /{', /'.join(VERBS)}.")


class _Peer(NamedTuple):
    """A process at the other end of a UNIX socket."""

    pid: int
    uid: int


def _unix_socket(handler: RequestHandler) -> socket.socket | None:
    """Return the UNIX socket through which a request came; `None` if it came another way."""
    connection: Any = handler.request.connection
    found: socket.socket | None = connection.stream.socket
    return None if found is None or found.family != socket.AF_UNIX else found


def _peer(handler: RequestHandler) -> _Peer | None:
    """Return what the system tells of who sent a request; `None` where it tells nothing."""
    there, option = _unix_socket(handler), getattr(socket, "SO_PEERCRED", None)
    if there is None or option is None:
        return None
    pid, uid, _ = struct.unpack("3i", there.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return _Peer(pid, uid)


def _sender(handler: RequestHandler) -> str:
    """Return who sent a request, for the log."""
    if (peer := _peer(handler)) is not None:
        return f"uid {peer.uid}, process {peer.pid}"
    if _unix_socket(handler) is not None:
        return "through the socket"
    return f"from {handler.request.remote_ip}"


def _is_local(host: str) -> bool:
    return is_loopback(host.strip("[]"))


def _read_token(path: Path) -> str:
    """Return the token in a file.

    Raises
    ------
    InputError
        If there is none, or one that can be guessed.
    """
    token = read_secret(path, "control.token_file")
    if len(token) < _SHORTEST_TOKEN or not token.isascii():
        raise InputError(
            f"control.token_file: {path}: the token must have at least {_SHORTEST_TOKEN} letters."
        )
    with contextlib.suppress(OSError):
        if path.stat().st_mode & 0o007:
            _LOG.warning("%s can be read by every user of this machine.", os.fspath(path))
    return token
