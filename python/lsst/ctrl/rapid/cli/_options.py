"""Kinds of option that several commands have."""

from __future__ import annotations

__all__ = ("NumberList", "log_level")

from typing import override

import click

_MOST = 10_000


class NumberList(click.ParamType[tuple[int, ...]]):
    """Numbers and ranges, as in butler expressions: ``90..98,120``."""

    name = "numbers"

    @override
    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        numbers: dict[int, None] = {}
        for part in value.split(","):
            first, dots, last = part.strip().partition("..")
            try:
                begin, end = int(first), int(last) if dots else int(first)
            except ValueError:
                self.fail(f"{part.strip()!r} is neither a number nor a range like 90..98.", param, ctx)
            if not 0 <= begin <= end <= begin + _MOST:
                self.fail(f"{part.strip()!r} is not a range of detectors.", param, ctx)
            numbers.update(dict.fromkeys(range(begin, end + 1)))
        return tuple(numbers)


log_level = click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default="info",
    show_default=True,
    help="Least important lines that are shown.",
)
