"""What keeps the results of a run: the committer with its spool, and an output that is ours alone."""

from __future__ import annotations

__all__ = ("Keeping", "keep_output", "make_committer")

import asyncio
import logging
from collections.abc import Callable

from ..commit import Committed, Committer, OutputLock, OutputTakenError, Spool, SpoolForm
from ..conductor import Hold
from ..model import observing_day
from ..plan import is_away
from ._compiled import CompiledRun
from ._parts import Parts
from ._settings import RunSettings
from ._wiring import own_records, registrar_maker

_LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
"""How often it is made sure that the output is ours alone, where nothing is registered meanwhile."""

_AHEAD_SECONDS = 3600.0
"""So long before an observing day begins its RUNs are made: they may be wanted while the registry is away."""


def make_committer(
    settings: RunSettings,
    compiled: CompiledRun,
    lock: OutputLock,
    on_committed: Callable[[Committed], None],
    on_broken: Callable[[BaseException], None],
) -> Committer:
    """Return the committer of a run, with the spool of its work folder."""
    repository = compiled.place
    form = SpoolForm(repository, settings.output, compiled.raw, own_records(compiled))
    return Committer(
        registrar_maker(settings, compiled, lock.check),
        on_committed,
        interval=settings.commit_interval,
        batch=settings.commit_batch,
        spool=Spool(settings.work_dir / "spool", form, settings.spool_limit),
        on_broken=on_broken,
    )


class Keeping:
    """Has a run begin nothing whose results could not be kept.

    Parameters
    ----------
    parts
        The parts of the run.
    committer
        Keeps results.
    """

    def __init__(self, parts: Parts, committer: Committer) -> None:
        self._parts = parts
        self._committer = committer
        self._made: set[int] = set()
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Wait until an arrival may be taken in."""
        await self._room.wait()

    def look(self, now: float) -> bool:
        """Hold dispatches and arrivals while the spool is full; returns whether they begin again.

        Also has the RUNs of the current observing day made, and those of the next one before it begins.
        """
        for offset in self._parts.compiled.day_offsets(now).values():
            self._make_runs(observing_day(now, offset=offset))
            self._make_runs(observing_day(now + _AHEAD_SECONDS, offset=offset))
        full = bool(self._committer.state.full)
        if full == (not self._room.is_set()):
            return False
        if full:
            self._parts.conductor.hold(Hold.SPOOL_FULL)
            self._room.clear()
        else:
            self._parts.conductor.release(Hold.SPOOL_FULL)
            self._room.set()
        return not full

    def _make_runs(self, day_obs: int) -> None:
        if day_obs in self._made:
            return
        self._made.add(day_obs)
        for pipeline in self._parts.compiled.pipelines.values():
            self._parts.outbox.submit(self._parts.requests.run_for(pipeline, day_obs))


async def keep_output(lock: OutputLock, on_taken: Callable[[BaseException], None]) -> None:
    """Make sure, time and again, that an output is ours alone; ends when it is not."""
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            await asyncio.to_thread(lock.check)
        except OutputTakenError as err:
            on_taken(err)
            return
        except Exception as err:
            if not is_away(err):
                raise
            _LOG.debug("Whether the output is ours alone cannot be asked now: %s", err)
