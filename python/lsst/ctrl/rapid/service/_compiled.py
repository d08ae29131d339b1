"""Everything that a run reads from its files and its repository before the first raw comes."""

from __future__ import annotations

__all__ = ("CompiledRun", "compile_run")

import dataclasses
import logging
from collections.abc import Mapping, Sequence

from lsst.daf.butler import (
    Butler,
    CollectionType,
    DatasetType,
    MissingDatasetTypeError,
)
from lsst.daf.butler.column_spec import COLLECTION_NAME_MAX_LENGTH
from lsst.daf.butler.registry import MissingCollectionError

from .._opening import open_to_read
from ..conductor import InstrumentPatterns, PatternDetector
from ..datastore import ScratchFolder
from ..engine import FirstReads
from ..ingest import Raw, default_inputs, open_raw, readable_instruments, registered_instruments
from ..instruments import RawReaders
from ..model import InputError, Policy, RapidFile
from ..plan import (
    CompiledPipeline,
    Planner,
    RecordStore,
    Selector,
    compile_pipeline,
    partial_chain,
    read_choices,
    run_name,
)
from ._detectors import pattern_detectors
from ._ended_before import EndedBefore
from ._first_reads import first_reads
from ._frames import check_calibration_frames, check_run_frames
from ._inputs import CalibrationTable
from ._leftovers import remove_leftovers
from ._named import check_named
from ._policy import patterns_of_run, run_limits
from ._scratch import scratch_types
from ._settings import RunSettings

_LOG = logging.getLogger(__name__)

_SOME_DAY = 20261122
"""As long as every observing day."""


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
    detectors
        All detectors of each instrument.
    limits
        Detectors to which the run is limited, for instruments for which it is.
    policy
        What is processed of each exposure at the beginning, and what comes first.
    patterns
        The patterns of each instrument under that policy.
    scratch
        Names of the dataset types that are never registered.
    readers
        What reads the raws of each instrument.
    first_reads
        What workers read while they are warmed.
    """

    butler: Butler
    raw: DatasetType
    records: RecordStore
    instruments: Sequence[str]
    inputs: Sequence[str]
    rapid: RapidFile
    choices: Sequence[tuple[Selector, CompiledPipeline]]
    calibrations: CalibrationTable
    detectors: Mapping[str, Sequence[PatternDetector]]
    limits: Mapping[str, frozenset[int]]
    policy: Policy
    patterns: Mapping[str, InstrumentPatterns]
    scratch: frozenset[str]
    readers: RawReaders
    first_reads: FirstReads

    def day_offsets(self, now: float) -> Mapping[str, float]:
        """Return by instrument how long after midnight (UTC) its observing day begins, seconds."""
        return {name: self.readers.of_instrument(name).day_offset(now) for name in self.instruments}

    @property
    def place(self) -> str:
        """Where the repository is, however it was named: the URI of its configuration."""
        return str(self.butler._config.configFile or self.butler._config.configDir)  # type: ignore[attr-defined]  # noqa: SLF001

    @property
    def expected(self) -> Mapping[str, frozenset[int]]:
        """Expected detectors of a whole exposure of each instrument."""
        return {name: patterns.whole for name, patterns in self.patterns.items()}

    def patterns_under(self, policy: Policy) -> Mapping[str, InstrumentPatterns]:
        """Return the patterns of each instrument under another policy than that of the beginning.

        Raises
        ------
        InputError
            If it cannot be followed.
        """
        return patterns_of_run(policy, self.rapid, self.pipelines, self.detectors, self.limits)

    @property
    def pipelines(self) -> Mapping[str, CompiledPipeline]:
        """The pipelines by name."""
        return {pipeline.name: pipeline for _, pipeline in self.choices}

    def choose(self, raw: Raw) -> CompiledPipeline | None:
        """Return the pipeline for a raw's exposure."""
        records = raw.exposure_records
        return next((pipeline for selects, pipeline in self.choices if selects(records)), None)

    def ended_before(self, output: str) -> EndedBefore:
        """Return what finds the shards that have an outcome in the repository."""
        pipelines = list(self.pipelines.values())
        return EndedBefore(self.butler, self.instruments, pipelines, output, self.scratch)

    def scratch_folder(self, output: str) -> ScratchFolder:
        """Return where the scratch files below an output chain are."""
        return ScratchFolder(self.butler._datastore, output)  # noqa: SLF001 -- it has no public name

    def remove_leftovers(self, output: str) -> None:
        """Remove the scratch files that an earlier run left and nobody is going to read."""
        remove_leftovers(
            self.butler, self.scratch_folder(output), output, self.pipelines.values(), self.scratch
        )


def compile_run(settings: RunSettings) -> CompiledRun:
    """Read a run's files and what it needs of its repository.

    Raises
    ------
    InputError
        If something is not as it must be.
    """
    butler = open_to_read(settings.repository)
    try:
        raw = open_raw(butler)
    except MissingDatasetTypeError:
        raise InputError(
            f"{settings.repository}: the repository takes no raws yet; "
            f"run 'rapid-exec init-repo {settings.repository} --instrument NAME'."
        ) from None
    instruments = _instruments(butler, raw, settings)
    inputs = settings.inputs or default_inputs(butler, instruments)
    try:
        butler.collections.query(inputs)
    except MissingCollectionError as err:
        raise InputError(f"{settings.repository}: -i/--input: {err}") from None
    chosen = read_choices(settings.source)
    rapid, source = chosen.facts, f"{settings.source.name}.rapid.yaml"
    choices = [
        (Selector(choice.where, butler.dimensions, source), compile_pipeline(pipeline, butler))
        for choice, pipeline in chosen.pairs
    ]
    whole = not (settings.labels or settings.overrides)
    scratch = scratch_types(rapid, [pipeline for _, pipeline in choices], source, whole=whole)
    check_named(rapid, [pipeline for _, pipeline in choices], source, whole=whole)
    _check_output(butler, settings.output, [pipeline for _, pipeline in choices])
    _check_transfer(settings, [pipeline for _, pipeline in choices])
    _check_init_inputs(butler, inputs, [pipeline for _, pipeline in choices])
    records = RecordStore.from_butler(butler, instruments)
    calibrations = CalibrationTable([pipeline for _, pipeline in choices], inputs)
    calibrations.refresh(butler)
    check_run_frames(butler, settings.output, {pipeline.hash for _, pipeline in choices})
    check_calibration_frames(butler, settings.repository, calibrations.refs())
    if not chosen.has_facts:
        _LOG.info(
            "There is no %s: the pipeline takes every exposure, and nothing is published.", chosen.facts_file
        )
    detectors = pattern_detectors(records, instruments, settings.detector_patterns)
    limits = run_limits(settings, detectors)
    policy = settings.policy or rapid.policy
    if policy.guaranteed.where:
        Selector(
            policy.guaranteed.where, butler.dimensions, "guaranteed.where"
        )  # refused here if it is wrong
    pipelines = {pipeline.name: pipeline for _, pipeline in choices}
    return CompiledRun(
        butler=butler,
        raw=raw,
        records=records,
        instruments=instruments,
        inputs=tuple(inputs),
        rapid=rapid,
        choices=choices,
        calibrations=calibrations,
        detectors=detectors,
        limits=limits,
        policy=policy,
        patterns=patterns_of_run(policy, rapid, pipelines, detectors, limits),
        scratch=scratch,
        readers=RawReaders.from_butler(butler),
        first_reads=first_reads(butler, instruments, inputs, calibrations, records),
    )


def _check_output(butler: Butler, output: str, pipelines: Sequence[CompiledPipeline]) -> None:
    """Refuse an output that is a collection of another kind, or leaves no letters for its RUNs' names."""
    for pipeline in pipelines:
        longest = len(run_name(partial_chain(output), _SOME_DAY, pipeline.name, pipeline.hash))
        if longest > COLLECTION_NAME_MAX_LENGTH:
            raise InputError(
                f"-o/--output: {output} is {longest - COLLECTION_NAME_MAX_LENGTH} letters too long: the "
                f"names of the RUNs of {pipeline.name} below it would have more than "
                f"{COLLECTION_NAME_MAX_LENGTH}."
            )
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


def _instruments(butler: Butler, raw: DatasetType, settings: RunSettings) -> list[str]:
    if not registered_instruments(butler):
        raise InputError(f"{settings.repository}: no instrument is registered; run 'rapid-exec init-repo'.")
    try:
        in_repository = settings.watch_butler or bool(settings.data_query)
        return readable_instruments(butler, raw, settings.instruments, in_repository=in_repository)
    except InputError as err:
        raise InputError(f"{settings.repository}: {err}") from None
