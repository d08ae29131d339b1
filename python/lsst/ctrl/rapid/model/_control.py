"""Where a running executor takes orders: for site files."""

from __future__ import annotations

__all__ = ("ControlSpec", "RedisSpec", "is_loopback")

import ipaddress
from typing import Any, Self
from urllib.parse import urlsplit

import pydantic

from ._base import InputModel, PathName


class ControlSpec(InputModel):
    """Where a running executor can be asked and steered; in YAML also ``off``: nowhere."""

    enabled: bool = True
    socket: PathName | None = None
    """UNIX socket; ``control.sock`` in the work folder if `None`."""
    port: int | None = pydantic.Field(default=None, ge=0, le=65535)
    """Also a TCP port; 0 is any that is free, which the log tells."""
    host: str = "127.0.0.1"
    """Address on which the port is opened."""
    token_file: PathName | None = None
    """File with the token that every request through the port must carry."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        # YAML reads the word ``off`` as false.
        return {"enabled": False} if value is False or value == "off" else value

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.port is None and {"host", "token_file"} & self.model_fields_set:
            raise ValueError("'host' and 'token_file' go with 'port'")
        if not is_loopback(self.host) and self.token_file is None:
            raise ValueError(
                f"host {self.host} can be reached from other machines, which needs a 'token_file'"
            )
        return self


class RedisSpec(InputModel):
    """A Redis server through which RubinTV's control page steers and shows the executor."""

    url: str = pydantic.Field(repr=False)
    """Like ``redis://host:6379/0``; ``rediss`` for TLS, ``unix`` for a socket."""
    password_file: PathName | None = None
    """File with the password, where the address has none."""
    instrument: str | None = None
    """Whose detectors the cluster page shows; the first LSSTCam of the run if `None`."""

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if urlsplit(self.url).scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("'url' must begin with redis://, rediss:// or unix://")
        return self

    @property
    def place(self) -> str:
        """The server without user and password, for people."""
        parts = urlsplit(self.url)
        return parts.path if parts.scheme == "unix" else parts.netloc.rpartition("@")[2]


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
