"""Faults of a place where something is to be written, which are nobody's data's."""

from __future__ import annotations

__all__ = ("find_os_error", "is_full")

import errno
from collections.abc import Container

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def find_os_error(err: BaseException, numbers: Container[int]) -> OSError | None:
    """Return the error of the operating system that led to an error, if it has one of these numbers.

    Libraries raise others in their place, and at times do not say why.
    """
    seen: set[int] = set()
    current: BaseException | None = err
    while current is not None and id(current) not in seen:
        if isinstance(current, OSError) and current.errno in numbers:
            return current
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return None


def is_full(err: BaseException) -> bool:
    """Tell whether an error says that there is no room where something was to be written, or no writing."""
    return find_os_error(err, _FULL) is not None
