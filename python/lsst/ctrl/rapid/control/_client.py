"""Asks a running executor."""

from __future__ import annotations

__all__ = ("ControlClient", "ControlError")

import http.client
import json
import os
import socket
from pathlib import Path
from typing import override
from urllib.parse import urlsplit

import pydantic

from ..model import InputError, Model
from ._messages import VERBS, Answer, Refusal, Request
from ._sockets import unix_address
from ._status import StatusReport

_CONNECT_SECONDS = 5.0
_MOST_BYTES = 8 << 20
"""Longest answer that is read: a status has some ten thousand."""
_ANSWER_SECONDS = 120.0
"""Reading calibrations anew, and looking for raws, may take long in a large repository."""


class ControlError(RuntimeError):
    """No executor is there, or it could not do what was asked; the message says which."""


class ControlClient:
    """Asks a running executor.

    Parameters
    ----------
    address
        A UNIX socket, or the address of a port, like ``http://host:8123``.
    token
        What a port may ask for.

    Raises
    ------
    InputError
        If it is no such address.
    """

    def __init__(self, address: Path | str, token: str | None = None) -> None:
        self._address = address
        self._token = token
        if isinstance(address, str) and not _is_address(address):
            raise InputError(f"{address!r} is not an address like http://host:8123.")

    def status(self) -> StatusReport:
        """Return how far the run is.

        Raises
        ------
        ControlError
            If there is no answer, or it cannot be understood.
        """
        return self._ask("GET", "status", None, StatusReport)

    def do(self, request: Request) -> Answer:
        """Give an order.

        Raises
        ------
        InputError
            If it can never be carried out.
        ControlError
            If it cannot be carried out now, or there is no answer.
        """
        verb = next(name for name, model in VERBS.items() if isinstance(request, model))
        return self._ask("POST", verb, request, Answer)

    def _ask[M: Model](self, method: str, path: str, request: Model | None, answer: type[M]) -> M:
        connection, prefix = self._connection()
        headers = {"Content-Type": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        body = None if request is None else request.model_dump_json(exclude_unset=True)
        try:
            connection.connect()
            if connection.sock is not None:
                connection.sock.settimeout(_ANSWER_SECONDS)
            connection.request(method, f"{prefix}/{path}", body, headers)
            response = connection.getresponse()
            content = response.read(_MOST_BYTES + 1)
        except (OSError, ValueError, http.client.HTTPException) as err:
            raise ControlError(self._told(err)) from None
        finally:
            connection.close()
        return self._read(response.status, content, answer)

    def _connection(self) -> tuple[http.client.HTTPConnection, str]:
        if isinstance(self._address, Path):
            return _UnixConnection(self._address), ""
        parts = urlsplit(self._address)
        assert parts.hostname is not None, "It was checked."
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=_CONNECT_SECONDS)
        return connection, parts.path.rstrip("/")

    def _told(self, err: Exception) -> str:
        match err:
            case TimeoutError():
                why = "it does not answer"
            case FileNotFoundError():
                why = "there is no such socket"
            case ConnectionRefusedError():
                why = "nobody listens there any more"
            case PermissionError():
                why = "this socket is of another user"
            case _:
                why = getattr(err, "strerror", None) or f"{type(err).__name__}: {err}"
        return f"No executor was found at {self._address}: {why}. --work-dir or --url say where else to look."

    def _read[M: Model](self, status: int, content: bytes, answer: type[M]) -> M:
        try:
            if status == http.client.OK:
                return answer.model_validate_json(content)
            refusal = Refusal.model_validate_json(content)
        except (pydantic.ValidationError, json.JSONDecodeError):
            raise ControlError(
                f"{self._address} does not answer as an executor of this version does (HTTP {status})."
            ) from None
        if status == http.client.BAD_REQUEST:
            raise InputError(refusal.error)
        raise ControlError(refusal.error)


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port or an IPv6 address that is none
        return False


class _UnixConnection(http.client.HTTPConnection):
    """HTTP through a UNIX socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_CONNECT_SECONDS)
        self._path = path.absolute()

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Root may ask everybody's; who else asks must not take somebody's for that of the executor.
            if os.geteuid() not in {0, self._path.stat().st_uid}:
                raise PermissionError
            self.sock.settimeout(self.timeout)
            with unix_address(self._path) as address:
                self.sock.connect(address)
        except BaseException:
            self.sock.close()
            raise
