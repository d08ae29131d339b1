"""What a run is told by its repository before anything arrives."""

from __future__ import annotations

__all__ = ("Before", "Callbacks", "read_before")

import dataclasses
import logging
from collections.abc import Callable, Sequence

from ..arrival import FoundRaws
from ..ingest import RegisteredRaw
from ..model import Arrival
from ._compiled import CompiledRun
from ._days import DayLeft, read_days
from ._ended_before import EndedBefore
from ._settings import RunSettings
from ._sources import Selection, Sources, select_raws

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Callbacks:
    """What sources of raws call, in threads of their own.

    Attributes
    ----------
    on_arrival
        With each arrival.
    on_unreadable
        With registered raws of which the registry does not tell what is needed, and the reason.
    has_room
        Before more is brought: whether it would be taken soon.
    """

    on_arrival: Callable[[Arrival | RegisteredRaw], None]
    on_unreadable: Callable[[FoundRaws, str], None]
    has_room: Callable[[], bool]


@dataclasses.dataclass(frozen=True)
class Before:
    """What the repository tells of earlier runs, and of what is to be done.

    Attributes
    ----------
    ended
        Finds what earlier runs ended.
    days
        What they left of observing days.
    selection
        The raws that the run is for; `None` if it is for those that arrive.
    sources
        What brings raws.
    """

    ended: EndedBefore
    days: Sequence[DayLeft]
    selection: Selection | None
    sources: Sources


def read_before(settings: RunSettings, compiled: CompiledRun, callbacks: Callbacks) -> Before:
    """Read what earlier runs left, and remove the scratch files of which nobody has any use.

    For the thread that reads the repository, once what the spool held is registered.

    Raises
    ------
    InputError
        If what is asked for is not possible.
    """
    ended = compiled.ended_before(settings.output)
    if ended.days:
        _LOG.info(
            "There are RUNs of %d day(s) below %s: what was done or failed there is left as it is.",
            ended.days,
            settings.output,
        )
    compiled.remove_leftovers(settings.output)
    pipelines = compiled.pipelines.values()
    days = read_days(compiled.butler, pipelines, settings.output, compiled.instruments, ended.newest_days)
    selection = select_raws(settings, compiled, ended) if settings.data_query else None
    sources = Sources(
        settings,
        compiled,
        ended,
        on_arrival=callbacks.on_arrival,
        on_registered=callbacks.on_arrival,
        on_unreadable=callbacks.on_unreadable,
        has_room=callbacks.has_room,
    )
    return Before(ended, days, selection, sources)
