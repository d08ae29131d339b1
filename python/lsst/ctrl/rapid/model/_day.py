"""The observing day."""

from __future__ import annotations

__all__ = ("NOON", "day_begins", "observing_day")

import datetime

NOON = 12 * 3600.0
"""When a day begins at Rubin Observatory, UTC-12 h (SITCOMTN-032): seconds after midnight."""


def observing_day(time: float, *, before: int = 0, offset: float = NOON) -> int:
    """Return the ``day_obs`` of a moment.

    Parameters
    ----------
    time
        UNIX seconds.
    before
        Days to go back from it.
    offset
        How long after midnight (UTC) a day begins, seconds.
    """
    earlier = datetime.timedelta(seconds=offset, days=before)
    return int(f"{datetime.datetime.fromtimestamp(time, datetime.UTC) - earlier:%Y%m%d}")


def day_begins(day_obs: int, *, offset: float = NOON) -> float:
    """Return when an observing day begins, UNIX seconds.

    Parameters
    ----------
    day_obs
        The day.
    offset
        How long after midnight (UTC) it begins, seconds.

    Raises
    ------
    ValueError
        If there is no such day.
    """
    day = datetime.datetime.strptime(f"{day_obs:08d}", "%Y%m%d").replace(tzinfo=datetime.UTC)
    return day.timestamp() + offset
