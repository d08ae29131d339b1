"""Numbers and ranges as a person writes them."""

from __future__ import annotations

import pytest

from lsst.ctrl.rapid.model import format_numbers, parse_numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("94", (94,)),
        ("90..92", (90, 91, 92)),
        (" 120, 90 .. 91 ,120", (120, 90, 91)),
        ("0", (0,)),
    ],
)
def test_numbers(text, numbers):
    assert parse_numbers(text) == numbers


@pytest.mark.parametrize("text", ["", "94,", "R22", "1.5", "90..", "..90"])
def test_something_else_is_refused(text):
    with pytest.raises(ValueError, match="neither a number nor a range like"):
        parse_numbers(text)


@pytest.mark.parametrize("text", ["-1", "92..90", "0..1000000000"])
def test_ranges_go_up_from_zero_and_end(text):
    with pytest.raises(ValueError, match="not a range from a number to a higher one"):
        parse_numbers(text)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([], ""),
        ([7], "7"),
        ([2, 1], "1, 2"),
        ([3, 1, 2], "1..3"),
        ([*range(94), 95, 96, 188], "0..93, 95, 96, 188"),
    ],
)
def test_what_is_written_can_be_read(numbers: list[int], text: str) -> None:
    assert format_numbers(numbers) == text
    assert not text or parse_numbers(text) == tuple(sorted(numbers))
