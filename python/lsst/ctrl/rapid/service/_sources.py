"""Where raws come from: watched folders, the watched repository, or a selection of what is registered."""

from __future__ import annotations

__all__ = ("Selection", "Sources", "select_raws")

import asyncio
import dataclasses
import functools
import itertools
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy.exc

from lsst.daf.butler import Butler

from .._opening import open_to_read
from ..arrival import ButlerWatch, DirectoryWatch, FoundRaws, Lookout
from ..ingest import (
    RegisteredRaw,
    group_sizes,
    read_registered,
    select_registered,
)
from ..model import Arrival, InputError, observing_day
from ..plan import is_away
from ._compiled import CompiledRun
from ._ended import Ended
from ._ended_before import EndedBefore
from ._settings import RunSettings

_LOG = logging.getLogger(__name__)

_AWAY_SECONDS = 5.0
_EXPOSURES_AT_ONCE = 16


class Sources:
    """The watches of a run.

    Parameters
    ----------
    settings, compiled, ended
        What the run is told, and what it knows.
    on_arrival
        Called in a thread of a watch for every file.
    on_registered
        Called in a thread of a watch for every raw that is registered.
    on_unreadable
        Called in a thread of a watch for raws of which the registry does not tell what is needed.
    has_room
        Tells whether raws of the past may be told now.
    """

    def __init__(
        self,
        settings: RunSettings,
        compiled: CompiledRun,
        ended: EndedBefore,
        on_arrival: Callable[[Arrival], None],
        on_registered: Callable[[RegisteredRaw], None],
        on_unreadable: Callable[[FoundRaws, str], None],
        has_room: Callable[[], bool],
    ) -> None:
        self._compiled = compiled
        self._ended = ended
        self._on_registered = on_registered
        self._folders = DirectoryWatch(settings.watch, on_arrival, polling=settings.polling)
        self._folders.check()
        self._butler: ButlerWatch | None = None
        if settings.watch_butler:
            now = time.time()
            offsets = compiled.day_offsets(now)
            since = {
                name: settings.since or observing_day(now, before=1, offset=offset)
                for name, offset in offsets.items()
            }
            _LOG.info(
                "Raws in the repository since day_obs %s that have no outcome are taken.",
                ", ".join(map(str, sorted(set(since.values())))),
            )
            lookouts = [
                Lookout(
                    name,
                    compiled.inputs,
                    since[name],
                    compiled.expected[name],
                    self._without_ended,
                    day_offset=offsets[name],
                )
                for name in compiled.instruments
            ]
            repository = settings.repository
            self._butler = ButlerWatch(
                lambda: open_to_read(repository),
                lookouts,
                self._found,
                on_unreadable,
                has_room=has_room,
            )

    @property
    def caught_up(self) -> bool:
        """Whether what was there at the start has been told."""
        return self._butler is None or self._butler.caught_up

    @property
    def troubles(self) -> list[str]:
        """Why something that comes cannot be seen, a line each."""
        return self._folders.troubles

    def start(self) -> None:
        """Begin to watch, then tell what is there already."""
        self._folders.start()
        if self._butler is not None:
            self._butler.start()

    def rescan(self) -> None:
        """Tell the files that were not told yet before this returns."""
        self._folders.rescan()

    def stop(self) -> None:
        """Stop; nothing is told after this returns."""
        self._folders.stop()
        if self._butler is not None:
            self._butler.stop()

    def _found(self, butler: Butler, found: FoundRaws) -> None:
        now = time.time()
        place = found.instrument, found.exposure
        for raw in read_registered(butler, *place, found.detectors, self._compiled.inputs, now):
            self._on_registered(raw)

    def _without_ended(self, butler: Butler, found: Sequence[FoundRaws]) -> Sequence[FoundRaws]:
        """Leave out raws that need not be told: all was made of their exposure before, or they were shed."""
        ended = read_ended(self._ended, butler, [(one.instrument, one.exposure) for one in found])
        pipelines = self._compiled.pipelines.values()
        left = []
        for one in found:
            place, expected = (one.instrument, one.exposure), self._compiled.expected[one.instrument]
            before = ended.get(place)
            if before is None or not before.is_whole(
                pipelines, place, one.detectors & expected, one.detectors - expected
            ):
                left.append(one)
        return left


@dataclasses.dataclass(frozen=True)
class Selection:
    """Registered raws that a run was asked for.

    Attributes
    ----------
    detectors
        Detectors by instrument and exposure, newest first.
    groups
        How many of the exposures belong to a group, by instrument and name, where steps are run for groups.
    """

    detectors: Mapping[tuple[str, int], frozenset[int]]
    groups: Mapping[tuple[str, str], int] = dataclasses.field(default_factory=dict)

    async def read(
        self, place: tuple[str, int], compiled: CompiledRun, registry: ThreadPoolExecutor
    ) -> Sequence[RegisteredRaw]:
        """Return the selected raws of an exposure, known; waits while the registry is away.

        Parameters
        ----------
        place
            Instrument and exposure.
        compiled
            The run.
        registry
            The thread that uses the run's butler.
        """
        read = functools.partial(
            read_registered, compiled.butler, *place, self.detectors[place], compiled.inputs, time.time()
        )
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(registry, read)
            except sqlalchemy.exc.DBAPIError as err:
                if not is_away(err):
                    raise
                _LOG.warning("The registry is out of reach (%s); it is tried again.", str(err.orig).strip())
                await asyncio.sleep(_AWAY_SECONDS)


def select_raws(settings: RunSettings, compiled: CompiledRun, ended: EndedBefore) -> Selection:
    """Return the registered raws that a run was asked for; for the thread that has the run's butler.

    Raises
    ------
    InputError
        If the expression is not valid, or selects nothing.
    """
    found = select_registered(compiled.butler, compiled.instruments, compiled.inputs, settings.data_query)
    wanted = {place: detectors & compiled.expected[place[0]] for place, detectors in found.items()}
    wanted = {place: detectors for place, detectors in wanted.items() if detectors}
    if not wanted:
        raise InputError(f"--detectors: none of these is among those that {settings.data_query!r} selects.")
    pipelines = list(compiled.pipelines.values())
    before, whole = 0, set()
    for places in itertools.batched(wanted, _EXPOSURES_AT_ONCE):
        for place, found_ended in read_ended(ended, compiled.butler, places).items():
            before += sum(
                any(found_ended.has_detector(pipeline, *place, detector) for pipeline in pipelines)
                for detector in wanted[place]
            )
            if found_ended.is_whole(pipelines, place, wanted[place]):
                whole.add(place)
    _LOG.info(
        "%d raw(s) of %d exposure(s) are selected; %d of them ended in earlier runs into %s and are left.",
        sum(map(len, wanted.values())), len(wanted), before, settings.output,
    )  # fmt: skip
    left = {place: detectors for place, detectors in wanted.items() if place not in whole}
    has_groups = any(step.per_group for pipeline in pipelines for step in pipeline.steps)
    return Selection(left, group_sizes(compiled.butler, left) if has_groups else {})


def read_ended(
    ended: EndedBefore, butler: Butler, places: Iterable[tuple[str, int]]
) -> Mapping[tuple[str, int], Ended]:
    """Return what ended before of exposures, those of which nothing can have left out.

    Parameters
    ----------
    ended
        Finds it.
    butler
        The repository; for the calling thread.
    places
        Instruments and exposures.
    """
    by_instrument: defaultdict[str, list[int]] = defaultdict(list)
    for instrument, exposure in places:
        by_instrument[instrument].append(exposure)
    return {
        (instrument, exposure): found
        for instrument, exposures in by_instrument.items()
        for exposure, found in ended.read(
            butler, instrument, ended.members(butler, instrument, exposures)
        ).items()
    }
