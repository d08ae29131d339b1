"""Plans in the head what cannot be planned from memory, and describes what a lost worker would have run."""

from __future__ import annotations

__all__ = ("HeadPlan", "HeadPlanner")

import asyncio
import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from lsst.daf.butler import DimensionRecord

from ..engine import ExplicitQuantum, QuantaRequest, ShardRequest
from ..plan import (
    CompiledPipeline,
    NoQuantaError,
    PlannedQuantum,
    Planner,
    RecordStore,
    ShardInputs,
    Step,
    build_from_memory,
    build_from_queries,
    describe_quanta,
    instantiate,
    records_from_json,
)
from ._compiled import CompiledRun


@dataclasses.dataclass(frozen=True)
class HeadPlan:
    """Quanta that were made in the head.

    Attributes
    ----------
    request
        What the worker is to run.
    described
        The same quanta for the record, as `lsst.ctrl.rapid.plan.describe_quanta` gives them.
    records
        Dimension records of what they write, those that no arrival gives (tract, patch) included.
    """

    request: QuantaRequest
    described: str
    records: tuple[DimensionRecord, ...]


class HeadPlanner:
    """Makes quanta with upstream's graph builders, in the thread that reads the repository.

    Parameters
    ----------
    compiled
        The run.
    registry
        That thread.
    """

    def __init__(self, compiled: CompiledRun, registry: ThreadPoolExecutor) -> None:
        self._compiled = compiled
        self._registry = registry
        self._records = RecordStore(compiled.records.universe, compiled.records.static())

    async def plan(self, request: ShardRequest) -> HeadPlan:
        """Make a shard's quanta.

        Raises
        ------
        Exception
            What upstream's builder raised, or why there are no quanta.
        """
        loop = asyncio.get_running_loop()
        planned = await loop.run_in_executor(self._registry, self._plan, request)
        used = {ref.id for p in planned for refs in p.quantum.inputs.values() for ref in refs}
        quanta = QuantaRequest(
            pipeline=request.pipeline,
            quanta=tuple(ExplicitQuantum(p.id, p.node.label, p.quantum) for p in planned),
            raws=tuple(raw for raw in request.raws if raw.dataset.id in used),
            datastore_records=request.datastore_records,
        )
        return HeadPlan(quanta, describe_quanta(planned), _records(planned))

    def describe(self, request: ShardRequest) -> str:
        """Return the quanta that a worker would have made and run, or nothing where they cannot be made."""
        compiled = self._compiled.pipelines[request.pipeline]
        step = compiled.step(request.step)
        # A store of its own: the other one is the registry thread's.
        records = RecordStore(self._compiled.records.universe, self._compiled.records.static())
        records.add(records_from_json(request.dimension_records, records.universe))
        try:
            refs = request.refs(compiled.dataset_types, records)
            inputs = ShardInputs(refs, detectors=request.detectors)
            return describe_quanta(
                instantiate(compiled.graph, step, request.shard, request.run, inputs, records)
            )
        except (LookupError, FileNotFoundError):
            return ""

    def _plan(self, request: ShardRequest) -> Sequence[PlannedQuantum]:
        compiled = self._compiled.pipelines[request.pipeline]
        step, shard = compiled.step(request.step), request.shard
        butler = self._compiled.butler
        new_records = records_from_json(request.dimension_records, self._records.universe)
        self._records.add(new_records)
        try:
            raw_runs = dict.fromkeys(raw.dataset.run for raw in request.raws)
            collections = [*request.collections, *self._compiled.inputs, *raw_runs]
            match step.planner:
                case Planner.TRIVIAL:
                    refs = request.refs(compiled.dataset_types, self._records)
                    inputs = ShardInputs(refs, detectors=request.detectors)
                    return build_from_memory(
                        compiled,
                        step,
                        shard,
                        request.run,
                        inputs,
                        self._records,
                        butler,
                        collections,
                    )
                case _:
                    return self._from_queries(compiled, step, request, collections)
        finally:
            self._records.discard(new_records)

    def _from_queries(
        self, compiled: CompiledPipeline, step: Step, request: ShardRequest, collections: Sequence[str]
    ) -> Sequence[PlannedQuantum]:
        butler, shard = self._compiled.butler, request.shard
        try:
            return build_from_queries(compiled, step, shard, request.run, self._records, butler, collections)
        except NoQuantaError:
            # Exposures of a day may all have failed, which each of them tells.
            if shard.day_obs is None:
                raise
            return []


def _records(planned: Sequence[PlannedQuantum]) -> tuple[DimensionRecord, ...]:
    """Return the dimension records of all that quanta write, each once."""
    data_ids = {ref.dataId for p in planned for refs in p.quantum.outputs.values() for ref in refs}
    found = {
        (element, record.dataId.required_values): record
        for data_id in data_ids
        for element in data_id.dimensions.elements
        if (record := data_id.records[element]) is not None
    }
    return tuple(found.values())
