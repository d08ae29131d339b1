"""Numbers and ranges of numbers, as butler expressions have them."""

from __future__ import annotations

__all__ = ("parse_numbers",)

_MOST = 10_000
_LONGEST = 10_000


def parse_numbers(text: str) -> tuple[int, ...]:
    """Return the numbers that a text like ``90..98,120`` names, each once, in its order.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if not text.isascii() or len(text) > _LONGEST:
        raise ValueError("is longer than any list of numbers, or has other letters in it.")
    numbers: dict[int, None] = {}
    for part in text.split(","):
        first, dots, last = part.strip().partition("..")
        try:
            begin, end = int(first), int(last) if dots else int(first)
        except ValueError:
            raise ValueError(f"{part.strip()!r} is neither a number nor a range like 90..98.") from None
        if not 0 <= begin <= end <= begin + _MOST:
            raise ValueError(f"{part.strip()!r} is not a range from a number to a higher one.")
        if len(numbers) + end - begin >= _MOST:
            raise ValueError(f"has more than {_MOST} numbers.")
        numbers.update(dict.fromkeys(range(begin, end + 1)))
    return tuple(numbers)
