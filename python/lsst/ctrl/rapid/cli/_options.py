"""Kinds of option that several commands have."""

from __future__ import annotations

__all__ = ("DayObs", "NumberList", "WatchSourceType", "make_place_for", "visits_option", "workers_option")

import os
from pathlib import Path
from typing import Literal, override

import click

from ..model import InputError, day_begins, parse_numbers, watch_source


def make_place_for(path: Path, option: str) -> None:
    """Make the folder of a file that is going to be written; that it cannot be is thus told at once.

    Raises
    ------
    InputError
        If it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(path.parent, os.W_OK) and not path.is_dir()
    except (OSError, ValueError):
        writable = False
    if not writable:
        raise InputError(f"{option}: {str(path)!r} cannot be written there.")


class NumberList(click.ParamType[tuple[int, ...]]):
    """Numbers and ranges, as in butler expressions: ``90..98,120``."""

    name = "numbers"

    @override
    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return parse_numbers(value)
        except ValueError as err:
            self.fail(str(err), param, ctx)


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


workers_option = click.option(
    "-j", "--workers", type=click.IntRange(1), help="Worker processes.  [default: number of cores]"
)

visits_option = click.option(
    "--define-visits/--no-define-visits",
    default=None,
    help="Whether visits of exposures of the sky are defined when their raws arrive, or left to others, like "
    "'butler define-visits'.  [default: as the site says, else they are]",
)
