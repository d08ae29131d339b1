"""Numbers and ranges of numbers, as butler expressions have them."""

from __future__ import annotations

__all__ = ("format_numbers", "parse_numbers")

import itertools
import re
from collections.abc import Iterable

_PART = re.compile(r"\s*(-?\d{1,18})\s*(?:\.\.\s*(\d{1,18})\s*)?", re.ASCII)
_MOST = 10_000
_LONGEST = 10_000


def parse_numbers(text: str) -> tuple[int, ...]:
    """Return the numbers that a text like ``90..98,120`` names, each once, in its order.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"{text[:20]!r}… is longer than any list of numbers.")
    numbers: dict[int, None] = {}
    for part in text.split(","):
        found = _PART.fullmatch(part)
        if found is None:
            raise ValueError(f"{part.strip()[:40]!r} is neither a number nor a range like 90..98.")
        begin, end = int(found[1]), int(found[2] or found[1])
        if not 0 <= begin <= end <= begin + _MOST:
            raise ValueError(f"{part.strip()!r} is not a range from a number to a higher one.")
        if len(numbers) + end - begin >= _MOST:
            raise ValueError(f"{text[:20]!r}… has more than {_MOST} numbers.")
        numbers.update(dict.fromkeys(range(begin, end + 1)))
    return tuple(numbers)


def format_numbers(numbers: Iterable[int]) -> str:
    """Return what `parse_numbers` takes, in ascending order: three numbers and more in a row as a range."""
    parts: list[str] = []
    for _, row in itertools.groupby(enumerate(sorted(numbers)), lambda at: at[1] - at[0]):
        run = [number for _, number in row]
        parts += [f"{run[0]}..{run[-1]}"] if len(run) > 2 else map(str, run)
    return ", ".join(parts)
