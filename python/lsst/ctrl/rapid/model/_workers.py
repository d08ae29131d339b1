"""The worker processes: how many, and how they and the head reach each other: for site files."""

from __future__ import annotations

__all__ = ("TlsSpec", "WorkersSpec")

from typing import Any, Self

import pydantic

from ._base import InputModel, PathName
from ._control import is_loopback

_MOST = 10_000


class TlsSpec(InputModel):
    """Certificates with which head and workers know each other; files in PEM format."""

    ca_file: PathName
    """Of the authority.  Whoever has a certificate of it is trusted: it must be one for this alone."""
    cert: PathName
    key: PathName


class WorkersSpec(InputModel):
    """The worker processes; in YAML also a number: how many."""

    count: int | None = pydantic.Field(default=None, ge=1, le=_MOST)
    """How many are started here; as many as there are cores if `None`."""
    host: str = "127.0.0.1"
    """Address on which the head listens for workers, and those that are started here for the head."""
    port: int = pydantic.Field(default=0, ge=0, le=65535)
    """On which the head listens; 0 is any that is free."""
    tls: TlsSpec | None = None
    """With it nobody without a certificate is let in, and nothing can be listened to."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _spell_out(cls, value: Any) -> Any:
        match value:
            case None:
                return {}
            case int() if not isinstance(value, bool):
                return {"count": value}
            case _:
                return value

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.tls is None and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host} can be reached from other machines, and whoever connects can run code as "
                "the executor's user, which needs 'tls' with ca_file, cert and key"
            )
        return self
