"""Faults of a place where something is to be written, which are nobody's data's."""

from __future__ import annotations

__all__ = ("causes", "is_full", "says_full")

import errno
from collections.abc import Iterator

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def causes(err: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that led to it: libraries raise others, and at times do not say why."""
    seen: set[int] = set()
    current: BaseException | None = err
    while current is not None and id(current) not in seen:
        yield current
        seen.add(id(current))
        current = current.__cause__ or current.__context__


def says_full(err: OSError) -> bool:
    """Tell whether the operating system says that there is no room, or no writing, where it was tried."""
    return err.errno in _FULL


def is_full(err: BaseException) -> bool:
    """Tell whether an error came of there being no room, or no writing, where it was tried."""
    return any(isinstance(cause, OSError) and says_full(cause) for cause in causes(err))
