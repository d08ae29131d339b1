"""The observing day."""

from __future__ import annotations

__all__ = ("day_begins", "observing_day")

import datetime

_NOON = datetime.timedelta(hours=12)


def observing_day(time: float, *, before: int = 0) -> int:
    """Return the ``day_obs`` of a moment.

    It begins at noon, UTC-12 h, everywhere (SITCOMTN-032).

    Parameters
    ----------
    time
        UNIX seconds.
    before
        Days to go back from it.
    """
    moment = datetime.datetime.fromtimestamp(time, datetime.UTC) - _NOON - datetime.timedelta(days=before)
    return int(f"{moment:%Y%m%d}")


def day_begins(day_obs: int) -> float:
    """Return when an observing day begins, UNIX seconds.

    Raises
    ------
    ValueError
        If there is no such day.
    """
    day = datetime.datetime.strptime(f"{day_obs:08d}", "%Y%m%d").replace(tzinfo=datetime.UTC)
    return (day + _NOON).timestamp()
