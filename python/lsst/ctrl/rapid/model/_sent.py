"""What somebody is about to send: the other side of the balance."""

from __future__ import annotations

__all__ = ("AnnouncedFile",)

from ._base import Model


class AnnouncedFile(Model):
    """A file that is about to become visible under its final name: a line of a manifest.

    It is on disk before the file has its name.  So whoever finds a line without a file knows that its writer
    died in between, and a file without a line was not sent by that writer.
    """

    path: str
    """Its final name, absolute."""
    instrument: str | None = None
    """With ``exposure`` and ``detector`` its data ID; `None` for what is not a raw."""
    exposure: int | None = None
    detector: int | None = None
    size: int
    """Bytes."""
    sha256: str
    """Digest of its content, hexadecimal."""
    fault: str = ""
    """What it suffers from: ``late``, ``duplicate`` and the like; empty if nothing."""
    time: float
    """When the line was written, UNIX seconds."""
