"""Kinds of option that several commands have."""

from __future__ import annotations

__all__ = ("DayObs", "NumberList", "WatchSourceType", "log_level")

from pathlib import Path
from typing import Literal, override

import click

from ..model import day_begins, watch_source

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


class DayObs(click.ParamType[int]):
    """An observing day: ``20261122``."""

    name = "day_obs"

    @override
    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            day_begins(int(value))
        except ValueError:
            self.fail(f"{value!r} is not a day like 20261122.", param, ctx)
        return int(value)


class WatchSourceType(click.ParamType["Literal['butler'] | Path"]):
    """A folder, or the word ``butler``: the repository itself."""

    name = "folder or butler"

    @override
    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Literal["butler"] | Path:
        return value if isinstance(value, Path) else watch_source(value)


log_level = click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default="info",
    show_default=True,
    help="Least important lines that are shown.",
)
