"""Makes the message that sends a shard to its worker."""

from __future__ import annotations

__all__ = ("Requests",)

import asyncio
import functools
from collections.abc import Callable, Iterable, Sequence

from lsst.daf.butler import DimensionRecord
from lsst.utils.introspection import get_full_type_name

from ..commit import Committed, RunItem
from ..engine import RawMessage, ShardRequest
from ..ingest import Raw, RawReady, RegisteredRaw
from ..model import Shard
from ..plan import (
    CompiledPipeline,
    DatasetMessage,
    InputKind,
    Planner,
    RecordsMessage,
    day_chain,
    partial_chain,
    record_to_json,
    run_name,
)
from ._compiled import CompiledRun
from ._inputs import Products, merge_records

_EXPOSURES_KEPT = 500
"""Exposures that are remembered after their end, so that the same raw again is told."""


_RECORDS_KEPT = 2000
"""Records whose serialised form is remembered."""


class Requests:
    """What has come of each exposure, and the messages made of it.

    Parameters
    ----------
    compiled
        The run.
    output
        Name of the output chain.
    forget
        Has an exposure, by instrument and number, and those of its group forgotten, and returns which; `None`
        if something is still to be done: then it is not forgotten, however many there are.
    forgotten
        Told of each exposure that was forgotten, by a raw of it, and the RUN in which its outcomes are.
    """

    def __init__(
        self,
        compiled: CompiledRun,
        output: str,
        forget: Callable[[str, int], Sequence[int] | None],
        forgotten: Callable[[Raw, str], None],
    ) -> None:
        self._compiled = compiled
        self._output = output
        self._forget = forget
        self._forgotten = forgotten
        self._raws: dict[tuple[str, int], dict[int, Raw]] = {}
        self.products = Products(compiled.pipelines.values())
        self._run_inputs: dict[str, tuple[tuple[DatasetMessage, ...], RecordsMessage]] = {}
        self._run_ready: dict[str, asyncio.Event] = {}
        self._texts: dict[int, tuple[DimensionRecord, str]] = {}
        self._days: dict[tuple[str, int], DimensionRecord] = {}
        self._has_days = any(pipeline.day_steps for pipeline in compiled.pipelines.values())

    def add(self, raw: Raw) -> Raw | None:
        """Remember a raw; returns the one of the same data ID that was there before, which stays."""
        place = (raw.instrument, raw.exposure)
        if place not in self._raws:
            self._forget_one()
        raws = self._raws.setdefault(place, {})
        if (before := raws.get(raw.detector)) is not None:
            return before
        raws[raw.detector] = raw
        if self._has_days and (raw.instrument, raw.day_obs) not in self._days:
            self.add_day(next(r for r in raw.to_register if r.definition.name == "day_obs"))
        return None

    def add_day(self, record: DimensionRecord) -> None:
        """Remember the record of an observing day."""
        self._days[str(record.dataId["instrument"]), int(record.dataId["day_obs"])] = record

    def _forget_one(self) -> None:
        """Forget the oldest exposure with which nothing is to be done any more, when there are many."""
        if len(self._raws) < _EXPOSURES_KEPT:
            return
        for instrument, oldest in self._raws:
            if (forgotten := self._forget(instrument, oldest)) is not None:
                for exposure in forgotten:
                    self._drop(instrument, exposure)
                return

    def _drop(self, instrument: str, exposure: int) -> None:
        raw = next(iter(self._raws.pop((instrument, exposure)).values()))
        self.products.forget(instrument, exposure)
        self.products.forget(instrument, raw.group)
        pipeline = self._compiled.choose(raw) or next(iter(self._compiled.pipelines.values()))
        self._forgotten(raw, self.run_for(pipeline, raw.day_obs).run)

    def raws(self, shard: Shard) -> list[Raw]:
        """Return the raws of a shard that have come, of its newest exposure first."""
        exposures = [self._raws[shard.instrument, exposure] for exposure in reversed(shard.exposures)]
        if shard.detector is None:
            return [raw for raws in exposures for raw in raws.values()]
        return [raws[shard.detector] for raws in exposures if shard.detector in raws]

    def records(self, shard: Shard) -> tuple[DimensionRecord, ...]:
        """Return all dimension records of a shard's exposures.

        Of a day, its own record.

        The raws of an exposure share one tuple, of hundreds where it has a visit.  Where that is all, it is
        returned as it is: the committer looks at each tuple once.
        """
        if shard.day_obs is not None:
            return (self._days[shard.instrument, shard.day_obs],)
        distinct = {id(raw.to_register): raw.to_register for raw in self.raws(shard)}
        if len(distinct) == 1:
            return next(iter(distinct.values()))
        return _unique(record for records in distinct.values() for record in records)

    def run_of(self, shard: Shard) -> RunItem:
        """Return the RUN that a shard writes to: that of its newest exposure's day."""
        pipeline, day_obs = self._compiled.pipelines[shard.pipeline], self._day_of(shard)
        return self.partial_run_for(pipeline, day_obs) if shard.partial else self.run_for(pipeline, day_obs)

    def _day_of(self, shard: Shard) -> int:
        return self.raws(shard)[0].day_obs if shard.day_obs is None else shard.day_obs

    def run_for(self, pipeline: CompiledPipeline, day_obs: int) -> RunItem:
        """Return the RUN of a pipeline for an observing day."""
        return RunItem(run_name(self._output, day_obs, pipeline.name, pipeline.hash), pipeline.name, day_obs)

    def partial_run_for(self, pipeline: CompiledPipeline, day_obs: int) -> RunItem:
        """Return the RUN of a pipeline's partial gathers for an observing day."""
        name = run_name(partial_chain(self._output), day_obs, pipeline.name, pipeline.hash)
        return RunItem(name, pipeline.name, day_obs, partial=True)

    def superseded_by(self, shard: Shard) -> str | None:
        """Return the RUN that may have a partial gather which a shard makes superfluous."""
        if shard.detector is not None or shard.group is not None or shard.partial:
            return None
        pipeline = self._compiled.pipelines[shard.pipeline]
        return self.partial_run_for(pipeline, self._day_of(shard)).run

    def run_is_ready(self, committed: Committed) -> None:
        """A RUN has been made, or could not be; shards that construct tasks with datasets wait for it."""
        assert isinstance(committed.item, RunItem), "Only a RUN becomes ready."
        run = committed.item.run
        if not committed.error:
            self._run_inputs[run] = committed.init_inputs
        self._run_ready.setdefault(run, asyncio.Event()).set()

    async def wait_for_run(self, shard: Shard) -> RunItem | None:
        """Wait until the RUN of a shard has what its planning or its tasks need; most shards need nothing.

        Returns
        -------
        run
            The RUN, if nobody has asked for it to be made: the caller must, and then wait again.
        """
        pipeline = self._compiled.pipelines[shard.pipeline]
        if not pipeline.init_inputs and pipeline.step(shard.step).planner is Planner.MEMORY:
            return None
        run = self.run_of(shard)
        if run.run not in self._run_ready:
            self._run_ready[run.run] = asyncio.Event()
            return run
        await self._run_ready[run.run].wait()
        return None

    def make(self, shard: Shard, detectors: frozenset[int] | None = None) -> ShardRequest:
        """Return the message that sends a shard to its worker.

        Parameters
        ----------
        shard
            The shard.
        detectors
            Of a gather, the detectors that it takes; all that the run takes if it is not said.

        Raises
        ------
        CalibrationError
            If two calibrations hold for the exposure, or none does that a task needs.
        LookupError
            If a dimension record is missing.
        """
        if shard.day_obs is not None:
            return self._of_day(shard, shard.day_obs)
        step = self._compiled.pipelines[shard.pipeline].step(shard.step)
        wanted = self._compiled.expected[shard.instrument] if detectors is None else detectors
        raws = [raw for raw in self.raws(shard) if raw.detector in wanted]
        calibrations, calibration_records = self._compiled.calibrations.find(
            step, (raw.ref.dataId for raw in raws)
        )
        run = self.run_of(shard).run
        products, product_records = self.products.find(shard, step, run, wanted)
        init_inputs, init_records = self._run_inputs.get(run, ((), {}))
        triggers = raws if step.reads(InputKind.TRIGGER) else ()
        registered = [raw for raw in triggers if isinstance(raw, RegisteredRaw)]
        return ShardRequest(
            pipeline=shard.pipeline,
            step=shard.step,
            instrument=shard.instrument,
            exposure=shard.exposure,
            detector=shard.detector,
            group=shard.group,
            others=shard.others,
            detectors=() if shard.detector is not None else tuple({raw.detector: None for raw in raws}),
            run=run,
            dimension_records=tuple(map(self._to_json, _unique(r for raw in raws for r in raw.records))),
            raws=tuple(
                RawMessage(
                    dataset=DatasetMessage.of(raw.ref),
                    path=str(raw.arrival.path),
                    formatter=_name(raw.formatter),
                )
                for raw in triggers
                if isinstance(raw, RawReady)
            ),
            inputs=(
                *calibrations,
                *products,
                *init_inputs,
                *(DatasetMessage.of(raw.ref) for raw in registered),
            ),
            datastore_records=merge_records(
                [
                    calibration_records,
                    product_records,
                    init_records,
                    *(raw.datastore_records for raw in registered),
                ]
            ),
        )

    def _of_day(self, shard: Shard, day_obs: int) -> ShardRequest:
        """Return the message for a day: its quanta are made of what is in the registry."""
        run = self.run_of(shard).run
        init_inputs, init_records = self._run_inputs.get(run, ((), {}))
        return ShardRequest(
            pipeline=shard.pipeline,
            step=shard.step,
            instrument=shard.instrument,
            exposure=shard.exposure,
            detector=None,
            day_obs=day_obs,
            run=run,
            dimension_records=tuple(map(self._to_json, self.records(shard))),
            raws=(),
            inputs=init_inputs,
            datastore_records=init_records,
            collections=(day_chain(self._output, day_obs),),
        )

    def _to_json(self, record: DimensionRecord) -> str:
        """Serialise a record, once: the raws of an exposure share most of theirs."""
        # By identity, for records are equal whose data IDs are.
        known = self._texts.get(id(record))
        if known is None or known[0] is not record:
            if len(self._texts) >= _RECORDS_KEPT:
                self._texts.clear()
            known = self._texts[id(record)] = (record, record_to_json(record))
        return known[1]


def _unique(records: Iterable[DimensionRecord]) -> tuple[DimensionRecord, ...]:
    unique = {(record.definition.name, record.dataId.required_values): record for record in records}
    return tuple(unique.values())


_name: Callable[[object], str] = functools.cache(get_full_type_name)
"""Returns a type's name; upstream finds it by importing modules."""
