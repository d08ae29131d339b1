"""Names of files as text: they are bytes, and may be anything."""

from __future__ import annotations

__all__ = ("path_text", "printable")

import os
from pathlib import Path


def path_text(path: Path) -> str:
    r"""Return a path as text that can be written to any file; bytes that are not UTF-8 become ``\xff``."""
    return os.fsencode(path).decode(errors="backslashreplace")


def printable(text: str) -> str:
    """Return text that is one line of a log: what has no shape there is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
