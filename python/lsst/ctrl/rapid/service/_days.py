"""What earlier runs left of the steps of observing days."""

from __future__ import annotations

__all__ = ("DayLeft", "Days", "read_days")

import dataclasses
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from lsst.daf.butler import Butler, DimensionRecord, MissingCollectionError, MissingDatasetTypeError

from ..commit import outcome_dataset_type
from ..conductor import DayBefore
from ..ingest import Raw
from ..plan import CompiledPipeline, Step, day_chain, run_parts
from ._flow import ShardFlow
from ._parts import Parts

type _Ask = Callable[[Callable[[], Mapping[str, DayBefore]]], Awaitable[Mapping[str, DayBefore]]]


@dataclasses.dataclass(frozen=True, slots=True)
class DayLeft:
    """What earlier runs left of an observing day.

    Attributes
    ----------
    record
        The day.
    before
        What is left of it, by the name of the pipeline; those of which there is nothing are left out.
    """

    record: DimensionRecord
    before: Mapping[str, DayBefore]


class Days:
    """Tells the conductor what earlier runs left of observing days, each once.

    Parameters
    ----------
    parts
        The parts of the run.
    flow
        Takes what is ready then.
    ask
        Asks the repository in its thread.
    """

    def __init__(self, parts: Parts, flow: ShardFlow, ask: _Ask) -> None:
        self._parts = parts
        self._flow = flow
        self._ask = ask
        self._told: set[tuple[str, int]] = set()
        self._has_steps = any(pipeline.day_steps for pipeline in parts.compiled.pipelines.values())

    def resume(self, left: Iterable[DayLeft]) -> None:
        """Have days that were found at the start gone on with: made whole, if they are over and are not."""
        for day in left:
            instrument, day_obs = str(day.record.dataId["instrument"]), int(day.record.dataId["day_obs"])
            self._parts.requests.add_day(day.record)
            self._tell(instrument, day_obs, day.before)

    async def know(self, raw: Raw) -> int | None:
        """Have the day of a raw known to the conductor; returns it, or `None` if nothing is run for days."""
        if not self._has_steps:
            return None
        if (raw.instrument, raw.day_obs) not in self._told:
            compiled, output = self._parts.compiled, self._parts.settings.output
            pipelines = list(compiled.pipelines.values())
            before = await self._ask(
                lambda: _before(compiled.butler, pipelines, output, raw.instrument, raw.day_obs)
            )
            if (raw.instrument, raw.day_obs) not in self._told:  # by another raw meanwhile
                self._tell(raw.instrument, raw.day_obs, before)
        return raw.day_obs

    def _tell(self, instrument: str, day_obs: int, before: Mapping[str, DayBefore]) -> None:
        self._told.add((instrument, day_obs))
        now = time.time()
        for pipeline, left in before.items():
            self._flow.proceed(
                self._parts.conductor.resume_day(pipeline, instrument, day_obs, left, now), now
            )


def read_days(
    butler: Butler,
    pipelines: Iterable[CompiledPipeline],
    output: str,
    instruments: Iterable[str],
    days: Iterable[int],
) -> list[DayLeft]:
    """Return what earlier runs left of observing days.

    Parameters
    ----------
    butler
        The repository.
    pipelines
        The pipelines of the run.
    output
        The chain below which the RUNs are.
    instruments, days
        What is asked for.
    """
    ours = [pipeline for pipeline in pipelines if pipeline.day_steps]
    if not ours:
        return []
    bind = {"wanted": list(days)}
    records = [
        (instrument, record)
        for instrument in instruments
        for record in butler.query_dimension_records(
            "day_obs", instrument=instrument, where="day_obs IN (:wanted)", bind=bind, explain=False
        )
        if bind["wanted"]
    ]
    found = [DayLeft(record, _before(butler, ours, output, name, record.id)) for name, record in records]
    return [left for left in found if left.before]


def _before(
    butler: Butler, pipelines: Iterable[CompiledPipeline], output: str, instrument: str, day_obs: int
) -> Mapping[str, DayBefore]:
    """Return what is left of a day, by pipeline."""
    try:
        runs = butler.collections.get_info(day_chain(output, day_obs)).children
    except MissingCollectionError:
        return {}
    found = {}
    for pipeline in pipelines:
        # The newest in which exposures were processed: one with other code may have followed another.
        for run in (run for run in runs if run_parts(run)[0] == pipeline.name):
            if _has_outcome(butler, pipeline.arrival_steps, run, instrument):
                found[pipeline.name] = _state_in(butler, pipeline, run, instrument)
                break
    return found


def _state_in(butler: Butler, pipeline: CompiledPipeline, run: str, instrument: str) -> DayBefore:
    ended = [step for step in pipeline.day_steps if _has_outcome(butler, [step], run, instrument)]
    if not ended:
        return DayBefore.OPEN
    return DayBefore.CLOSED if len(ended) == len(pipeline.day_steps) else DayBefore.HALF


def _has_outcome(butler: Butler, steps: Sequence[Step], run: str, instrument: str) -> bool:
    """Tell whether there is an outcome of one of several steps in a RUN."""
    for step in steps:
        name = outcome_dataset_type(step).name
        try:
            if butler.query_datasets(
                name, run, instrument=instrument, find_first=False, limit=1, explain=False
            ):
                return True
        except MissingDatasetTypeError:
            continue
    return False
