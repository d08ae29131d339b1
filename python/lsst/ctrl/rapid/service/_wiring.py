"""Makes the parts of a run out of its settings and of what was compiled."""

from __future__ import annotations

__all__ = ("make_ingestor", "make_parts", "own_records", "registrar_maker", "worker_setup")

from collections.abc import Callable

from .. import __version__
from ..arrival import Quarantine
from ..commit import Committer, Ledger, Registrar
from ..conductor import Conductor, Gathering, PatternChoice, StepRule, pairs
from ..engine import WorkerSetup
from ..ingest import Door, Ingestor, RegisteredPlaces, make_visit_definer
from ..monitor import RunFacts, RunRecord
from ..plan import Planner, RecordStore, Step, record_to_json
from ..publish import FolderPublisher
from ._board import Board
from ._compiled import CompiledRun
from ._ended_before import EndedBefore
from ._live_policy import LivePolicy
from ._outbox import Outbox
from ._parts import Parts
from ._planning import HeadPlanner
from ._refusals import Refusals
from ._requests import Requests
from ._scratch import Scratch
from ._settings import RunSettings
from ._storage import Storage


def make_parts(
    settings: RunSettings,
    compiled: CompiledRun,
    committer: Committer,
    ended: EndedBefore,
    planner: HeadPlanner,
    started: float,
) -> Parts:
    """Return the parts of a run; ``started`` is when it began, UNIX seconds."""
    rules = {
        name: tuple(_rule(step) for step in pipeline.steps) for name, pipeline in compiled.pipelines.items()
    }
    gathering = Gathering(
        timeout=settings.gather_timeout or compiled.rapid.gather_timeout,
        deadline=settings.gather_deadline or compiled.rapid.gather_deadline,
        day_update=compiled.rapid.day_update if settings.day_update is None else settings.day_update,
    )
    conductor = Conductor(
        rules,
        PatternChoice(compiled.patterns),
        gathering,
        settings.attempts,
        policy=compiled.policy,
        partners={name: pairs(detectors) for name, detectors in compiled.detectors.items()},
    )
    facts = RunFacts(
        version=__version__,
        repo=settings.repository,
        pipeline=str(settings.pipeline),
        instrument=tuple(compiled.instruments),
        inputs=tuple(compiled.inputs),
        output=settings.output,
        workers=settings.workers,
        started=started,
    )
    record = RunRecord(facts, settings.work_dir)
    ledger = Ledger(settings.work_dir / "ledger.jsonl")
    return Parts(
        settings=settings,
        compiled=compiled,
        requests=Requests(compiled, settings.output, conductor.forget, ended.forgotten),
        conductor=conductor,
        policy=LivePolicy(compiled, conductor),
        record=record,
        board=Board(
            {(p.name, step.label): step.after for p in compiled.pipelines.values() for step in p.steps},
            {
                name
                for name, pipeline in compiled.pipelines.items()
                if not all(step.per_detector for step in pipeline.arrival_steps)
            },
        ),
        ledger=ledger,
        refusals=Refusals(ledger, record, _make_quarantine(settings)),
        publisher=FolderPublisher(settings.work_dir / "published"),
        outbox=Outbox(committer),
        ended_before=ended,
        planner=planner,
        scratch=Scratch(
            compiled.scratch, compiled.pipelines.values(), compiled.scratch_folder(settings.output)
        ),
        storage=Storage(conductor),
    )


def make_ingestor(settings: RunSettings, compiled: CompiledRun) -> Ingestor:
    """Return what reads the files that come."""
    door = Door(settings.watch, settings.link_targets, in_place=settings.transfer == "direct")
    visits = make_visit_definer(settings.repository, compiled.inputs, define=settings.define_visits)
    return Ingestor(compiled.raw, own_records(compiled), door, visits, compiled.readers)


def _make_quarantine(settings: RunSettings) -> Quarantine | None:
    if settings.quarantine is None:
        return None
    return Quarantine(settings.quarantine, RegisteredPlaces(settings.repository).has)


def registrar_maker(
    settings: RunSettings, compiled: CompiledRun, check_output: Callable[[], None]
) -> Callable[[], Registrar]:
    """Return what makes the writer, for the committer's thread."""
    records = own_records(compiled)

    def make() -> Registrar:
        return Registrar(
            settings.repository,
            list(compiled.pipelines.values()),
            records,
            compiled.inputs,
            settings.output,
            compiled.rapid.publish,
            check_output,
        )

    return make


def worker_setup(settings: RunSettings, compiled: CompiledRun) -> WorkerSetup:
    """Return what each worker is given."""
    return WorkerSetup(
        repository=settings.repository,
        pipelines=tuple(compiled.pipelines.values()),
        static_records=tuple(record_to_json(record) for record in compiled.records.static()),
        shared=frozenset(compiled.rapid.shared),
        cache_bytes=1e6 * settings.calibration_cache_mb,
        scratch=compiled.scratch,
        log=settings.log,
        first_reads=compiled.first_reads,
    )


def own_records(compiled: CompiledRun) -> RecordStore:
    """Return a copy of the records that do not change, for another thread."""
    return RecordStore(compiled.records.universe, compiled.records.static())


def _rule(step: Step) -> StepRule:
    return StepRule(
        step.label,
        per_detector=step.per_detector,
        after=step.after,
        per_group=step.per_group,
        per_day=step.per_day,
        needs_commit=step.planner is Planner.BUILDER,
    )
