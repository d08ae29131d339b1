"""Everything that a run reads from its files and its repository before the first raw comes."""

from __future__ import annotations

__all__ = ("CompiledRun", "EndedBefore", "compile_run")

import dataclasses
import logging
from collections.abc import Mapping, Sequence

from lsst.daf.butler import (
    Butler,
    CollectionType,
    DataCoordinate,
    DatasetRef,
    DatasetType,
    MissingDatasetTypeError,
)
from lsst.daf.butler.registry import MissingCollectionError

from ..commit import outcome_dataset_type
from ..ingest import Raw, default_inputs, open_raw, registered_instruments
from ..model import InputError, Outcome, RapidFile, Shard, ShardKey, load_rapid_file
from ..plan import (
    CompiledPipeline,
    InputKind,
    PipelineSource,
    Planner,
    RecordStore,
    Selector,
    Step,
    compile_pipeline,
)
from ._inputs import CalibrationTable, Products
from ._settings import RunSettings

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class EndedBefore:
    """What earlier runs ended.

    Attributes
    ----------
    ended
        The RUN of each shard that was done or failed: it is not run again.
    shed
        The outcome of each shard that was shed: it may be run now, and its outcome is replaced then.
    """

    ended: Mapping[ShardKey, str]
    shed: dict[ShardKey, DatasetRef]

    def has_detector(self, pipeline: CompiledPipeline, instrument: str, exposure: int, detector: int) -> bool:
        """Tell whether a detector of an exposure went through a pipeline's steps for detectors.

        Where there are none, whether its exposure was gathered.
        """
        keys = [(step.label, instrument, exposure, detector) for step in _of_exposures(pipeline)]
        if not keys:
            return self.has_gathers(pipeline, instrument, exposure)
        return all(key in self.ended for key in keys)

    def was_shed(self, pipeline: CompiledPipeline, instrument: str, exposure: int, detector: int) -> bool:
        """Tell whether a detector of an exposure was shed at a step of a pipeline."""
        keys = [(step.label, instrument, exposure, detector) for step in _of_exposures(pipeline)]
        return any(key in self.shed for key in keys)

    def has_gathers(self, pipeline: CompiledPipeline, instrument: str, exposure: int) -> bool:
        """Tell whether all gathers of an exposure ended."""
        if any(step.per_group for step in pipeline.steps):
            # Which group an exposure is of is not known here; its raws are looked at once more.
            return False
        gathers = [step.label for step in pipeline.steps if not step.per_detector]
        return all((label, instrument, exposure, None) in self.ended for label in gathers)


@dataclasses.dataclass(frozen=True)
class CompiledRun:
    """What is known before the first raw comes.

    Attributes
    ----------
    butler
        Read-only; used by one thread at a time.
    raw
        Dataset type of raws.
    records
        Dimension records that do not change with every exposure.
    instruments
        Names of the instruments whose raws are taken.
    inputs
        Input collections in the order in which they are searched.
    rapid
        Facts of the pipeline.
    choices
        Pipelines with the expression that selects exposures for each; the first that does takes it.
    calibrations
        Calibrations in memory.
    expected
        Expected detectors of each instrument.
    """

    butler: Butler
    raw: DatasetType
    records: RecordStore
    instruments: Sequence[str]
    inputs: Sequence[str]
    rapid: RapidFile
    choices: Sequence[tuple[Selector, CompiledPipeline]]
    calibrations: CalibrationTable
    expected: Mapping[str, frozenset[int]]

    @property
    def pipelines(self) -> Mapping[str, CompiledPipeline]:
        """The pipelines by name."""
        return {pipeline.name: pipeline for _, pipeline in self.choices}

    def choose(self, raw: Raw) -> CompiledPipeline | None:
        """Return the pipeline for a raw's exposure."""
        records = raw.exposure_records
        return next((pipeline for selects, pipeline in self.choices if selects(records)), None)

    def ended_before(self, output: str) -> EndedBefore:
        """Return the shards that have an outcome in the repository."""
        runs = self.butler.collections.query(f"{output}/*", collection_types=CollectionType.RUN)
        ended: dict[ShardKey, str] = {}
        shed: dict[ShardKey, DatasetRef] = {}
        for step, tasks in self._steps().values():
            outcomes = self._outcomes(step, runs)
            ran = {key for task in tasks for key in self._ran(step, task, runs)} if outcomes else set()
            for key, ref in outcomes.items():
                # What left a log has run; of the others the outcome itself must be asked.
                if key not in ran and self.butler.get(ref)["outcome"] == Outcome.SHED:
                    shed[key] = ref
                else:
                    ended[key] = ref.run
        return EndedBefore(ended, shed)

    def _steps(self) -> Mapping[str, tuple[Step, set[str]]]:
        """Return one step of each kind of outcome, and the tasks of all of this kind, over all pipelines."""
        steps: dict[str, tuple[Step, set[str]]] = {}
        for pipeline in self.pipelines.values():
            for step in pipeline.steps:
                name = outcome_dataset_type(step).name
                steps.setdefault(name, (step, set()))[1].update(step.tasks)
        return steps

    def _outcomes(self, step: Step, runs: Sequence[str]) -> dict[ShardKey, DatasetRef]:
        try:
            refs = self.butler.query_datasets(
                outcome_dataset_type(step).name, runs, find_first=False, limit=None, explain=False
            )
        except MissingDatasetTypeError:
            return {}
        return {_key(step, ref.dataId): ref for ref in refs}

    def _ran(self, step: Step, task: str, runs: Sequence[str]) -> set[ShardKey]:
        """Return the shards in which a task left a log, whatever its own dimensions are."""
        dimensions = outcome_dataset_type(step).dimensions
        try:
            with self.butler.query() as query:
                found = query.join_dataset_search(f"{task}_log", runs).data_ids(dimensions)
                return {_key(step, data_id) for data_id in found}
        except MissingDatasetTypeError:
            return set()

    def restore(self, shard: Shard, run: str, products: Products) -> None:
        """Find what a shard of an earlier run made, for the later steps that are still to come."""
        pipeline = self.pipelines[shard.pipeline]
        made_here = set(pipeline.step(shard.step).tasks)
        wanted = {name for step in pipeline.steps for name in step.reads(InputKind.EARLIER_STEP)}
        for name in sorted(wanted):
            producer = pipeline.graph.producer_of(name)
            if producer is None or producer.label not in made_here:
                continue
            refs = self.butler.query_datasets(
                name, run, data_id=dict(shard.data_id), find_first=False, limit=None, explain=False
            )
            products.add_refs(shard, refs, self.butler)


def _of_exposures(pipeline: CompiledPipeline) -> list[Step]:
    """Return the steps per detector of an exposure."""
    return [step for step in pipeline.steps if step.per_detector and not step.per_group]


def _key(step: Step, data_id: DataCoordinate) -> ShardKey:
    detector = int(data_id["detector"]) if step.per_detector else None
    of = str(data_id["group"]) if step.per_group else int(data_id["exposure"])
    return step.label, str(data_id["instrument"]), of, detector


def compile_run(settings: RunSettings) -> CompiledRun:
    """Read a run's files and what it needs of its repository.

    Raises
    ------
    InputError
        If something is not as it must be.
    """
    try:
        butler = Butler.from_config(settings.repository, writeable=False)
    except (FileNotFoundError, RuntimeError) as err:
        raise InputError(f"{settings.repository}: the repository cannot be opened: {err}") from None
    try:
        raw = open_raw(butler)
    except MissingDatasetTypeError:
        raise InputError(
            f"{settings.repository}: the repository takes no raws yet; "
            f"run 'rapid-exec init-repo {settings.repository} --instrument NAME'."
        ) from None
    instruments = _instruments(butler, settings)
    inputs = settings.inputs or default_inputs(butler, instruments)
    try:
        butler.collections.query(inputs)
    except MissingCollectionError as err:
        raise InputError(f"{settings.repository}: -i/--input: {err}") from None
    rapid = load_rapid_file(settings.pipeline)
    choices = []
    for choice in rapid.pipelines:
        pipeline = PipelineSource(settings.pipeline.parent / choice.pipeline, settings.labels)
        source = f"{settings.pipeline.stem}.rapid.yaml"
        choices.append(
            (Selector(choice.where, butler.dimensions, source), compile_pipeline(pipeline, butler))
        )
    _check_output(butler, settings.output)
    _check_transfer(settings, [pipeline for _, pipeline in choices])
    _check_init_inputs(butler, inputs, [pipeline for _, pipeline in choices])
    records = RecordStore.from_butler(butler, instruments)
    calibrations = CalibrationTable([pipeline for _, pipeline in choices], inputs)
    calibrations.refresh(butler)
    beside = settings.pipeline.with_name(f"{settings.pipeline.stem}.rapid.yaml")
    if not beside.exists():
        _LOG.info("There is no %s: the pipeline takes every exposure, and nothing is published.", beside)
    return CompiledRun(
        butler=butler,
        raw=raw,
        records=records,
        instruments=instruments,
        inputs=tuple(inputs),
        rapid=rapid,
        choices=choices,
        calibrations=calibrations,
        expected=_expected(records, instruments, settings),
    )


def _check_output(butler: Butler, output: str) -> None:
    """Refuse an output that is a collection of another kind."""
    try:
        kind = butler.collections.get_info(output).type
    except MissingCollectionError:
        return
    if kind is not CollectionType.CHAINED:
        raise InputError(
            f"-o/--output: {output} is a {kind.name} collection already; name a chain, or a new one."
        )


def _check_transfer(settings: RunSettings, pipelines: Sequence[CompiledPipeline]) -> None:
    """Refuse to move raws that must be in the registry while their shards still read them."""
    if settings.transfer != "move":
        return
    for pipeline in pipelines:
        for step in pipeline.steps:
            if step.planner is Planner.BUILDER:
                raise InputError(
                    f"{pipeline.source}: step {step.label!r} is planned from what is registered "
                    f"({'; '.join(step.reasons)}), and --transfer move registers raws only when all has "
                    "ended; use another transfer."
                )


def _check_init_inputs(butler: Butler, inputs: Sequence[str], pipelines: Sequence[CompiledPipeline]) -> None:
    """Refuse pipelines whose tasks are constructed with what is not there."""
    for pipeline in pipelines:
        for name in sorted(pipeline.overall_init_inputs):
            try:
                found = butler.find_dataset(name, collections=list(inputs))
            except MissingDatasetTypeError:
                found = None
            if found is None:
                raise InputError(
                    f"{pipeline.source}: tasks are constructed with {name!r}, which is not in "
                    f"{', '.join(inputs)}."
                )


def _instruments(butler: Butler, settings: RunSettings) -> list[str]:
    registered = registered_instruments(butler)
    if not registered:
        raise InputError(f"{settings.repository}: no instrument is registered; run 'rapid-exec init-repo'.")
    for name in settings.instruments:
        if name not in registered:
            raise InputError(
                f"{settings.repository}: instrument {name!r} is not registered "
                f"(there are {', '.join(registered)}); "
                f"run 'rapid-exec init-repo {settings.repository} --instrument {name}'."
            )
    return list(settings.instruments) or registered


def _expected(
    records: RecordStore, instruments: Sequence[str], settings: RunSettings
) -> dict[str, frozenset[int]]:
    """Return the detectors that are processed: those named that an instrument has, else all for science.

    When raws are selected by an expression, it alone decides unless detectors are named, too.
    """
    detectors = settings.detectors
    there: dict[str, dict[int, str | None]] = {name: {} for name in instruments}
    for record in records.static():
        if record.definition.name == "detector":
            there[str(record.dataId["instrument"])][int(record.dataId["detector"])] = record.purpose
    unknown = set(detectors).difference(*there.values())
    if unknown:
        raise InputError(
            f"--detectors: no detector {', '.join(map(str, sorted(unknown)))} in {', '.join(instruments)}."
        )
    if detectors:
        return {name: frozenset(detectors) & frozenset(found) for name, found in there.items()}
    return {
        name: frozenset(
            number for number, purpose in found.items() if settings.data_query or purpose in {None, "SCIENCE"}
        )
        for name, found in there.items()
    }
