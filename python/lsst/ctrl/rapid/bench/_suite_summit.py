"""Raws of full size through ``pipelines/summit.yaml``: what the framework adds to the floor."""

# The fields of pex_config have no annotations.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

__all__ = ("run",)

import contextlib
import dataclasses
import datetime
import importlib
import importlib.resources
import statistics
from collections.abc import Sequence
from pathlib import Path

from lsst.daf.butler import Butler
from lsst.pipe.base import Instrument, Struct

from ..channels import QuickIsrConfig, QuickIsrTask
from ..instruments import read_raw
from ..model import Times
from ._floor import Clock, Floor, FloorMeter
from ._full_raws import certify_calibrations, make_calibrations, take_raws
from ._model import Findings, Goal, Row, Series, SuiteSettings, Tell
from ._peers import ExecutorPeer
from ._raws import INSTRUMENT, TinyRaw
from ._site import Repository, Site, open_site
from ._trial import DATABASES

_DETECTORS = (94, 0)
"""One of each vendor."""
_REPETITIONS = 7
_QUICK_SCALE = 1 / 16
_REDUCTION = "quick ISR: read and reduce"
_ISR_PACKAGES = ("lsst.obs.lsst", "lsst.ip.isr")
"""What the variant with the ISR of the LSST Science Pipelines needs."""


@dataclasses.dataclass(frozen=True)
class _Shard:
    """What the framework took for one shard, ms.

    Attributes
    ----------
    dispatch
        From the file's closing to the start in the worker.
    around
        In the worker, before, between and after the quanta.
    within
        In the quanta, before and after the task's ``runQuantum``.
    commit
        From the end in the worker until all is registered.
    tasks
        In ``runQuantum``, for comparison: reading, arithmetic, writing.
    arithmetic
        Of that, what is neither reading nor writing.
    """

    dispatch: float
    around: float
    within: float
    commit: float
    tasks: float
    arithmetic: float

    @property
    def framework(self) -> float:
        return self.dispatch + self.around + self.within + self.commit


_PARTS = {
    "dispatch": "file closed to start",
    "around": "worker, outside quanta",
    "within": "quanta, outside tasks",
    "commit": "finished to registered",
    "framework": "framework",
    "tasks": "tasks",
    "arithmetic": "tasks, arithmetic alone",
}


def run(settings: SuiteSettings, tell: Tell) -> Findings:
    """Measure the executor on raws of two detectors, one after another, and `QuickIsrTask` alone.

    Parameters
    ----------
    settings
        What was asked for.
    tell
        Takes a line on each thing that is done.
    """
    repetitions = settings.repetitions or (1 if settings.quick else _REPETITIONS)
    scale = _QUICK_SCALE if settings.quick else 1.0
    rows: list[Row] = []
    goals: list[Goal] = []
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    for database in settings.databases:
        where, folder = DATABASES[database], settings.work_dir / f"summit-{database}"
        with open_site(folder, database, ()) as site:
            versions |= site.versions
            tell(f"{where}: making calibrations, taking {repetitions + 1} exposures.")
            repository = site.copy("summit")
            with repository.open(writeable=True) as butler:
                certify_calibrations(butler, _DETECTORS, scale)
            exposures = take_raws(folder / "raws", _DETECTORS, repetitions + 1, scale)
            shards, written = _process(repository, exposures, where, tell, _summit_file(), "step1a")
            tell(f"{where}: the floor, and the quick ISR alone.")
            floor, clock = _measure_alone(exposures[-1][0], scale, written, folder, repetitions)
            if absent := _absent_packages():
                notes = (f"IsrTaskLSST was not measured: {', '.join(absent)} cannot be imported here.",)
            elif scale < 1.0:
                notes = ("IsrTaskLSST was not measured: it takes raws of full size only.",)
            else:
                rows += _measure_isr(site, exposures, where, tell)
        arithmetic = statistics.median(shard.arithmetic for shard in shards)
        rows += [
            *_shard_rows(where, shards, floor.shard_with(arithmetic)),
            *clock.rows(where),
            *_floor_rows(where, floor, arithmetic, clock),
        ]
        goals += _goals(where, shards, floor, clock)
    return Findings(
        rows=tuple(rows),
        goals=tuple(goals),
        notes=(
            f"Detectors {_DETECTORS}, E2V and ITL; each raw comes when the one before is registered.",
            "The first exposure does not count: calibrations are read, memory is asked for.",
            "Framework: from the file's closing to the registration, but for the tasks' runQuantum.",
            "A runQuantum reads, calculates and writes: what it takes is the tasks' and upstream's.",
            "Floor of a shard: the fastest reader, its tasks' arithmetic, its products' bytes written.",
            "A task's arithmetic: its runQuantum less the time in the butler; the least: one multiplication.",
            "Floors are CPU time, interleaved with the quick ISR: reading, and QuickIsrTask.run.",
            *notes,
        ),
        settings={"repetitions": str(repetitions), "workers": "1", "detectors": str(len(_DETECTORS))},
        versions=versions,
    )


def _process(
    repository: Repository,
    exposures: Sequence[Sequence[TinyRaw]],
    where: str,
    tell: Tell,
    pipeline: Path,
    label: str,
) -> tuple[list[_Shard], int]:
    """Return what the framework took for each shard but those of the first exposure, and bytes a shard."""
    peer = ExecutorPeer(repository, 1, pipeline=pipeline, labels=[label], detectors=_DETECTORS)
    shards: list[_Shard] = []
    with contextlib.closing(peer):
        peer.start()
        for count, raws in enumerate(exposures):
            tell(f"{where}: exposure {count + 1} of {len(exposures)} through {pipeline.name}.")
            for raw in raws:
                processed = peer.observe(peer.prepare([raw]))
                with repository.open(run=processed.run) as butler:
                    shard = _take_apart(processed.times[0], _task_times(butler, raw, processed.times[0]))
                if count:
                    shards.append(shard)
    return shards, _size_of(repository.root / processed.run) // sum(map(len, exposures))


def _summit_file() -> Path:
    package = importlib.resources.files("lsst.ctrl.rapid")
    return Path(str(package.joinpath("resources", "pipelines", "summit.yaml")))


def _absent_packages() -> list[str]:
    """Return those of the packages of the variant with IsrTaskLSST that cannot be imported."""
    absent = []
    for package in _ISR_PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError:
            absent.append(package)
    return absent


def _measure_isr(site: Site, exposures: Sequence[Sequence[TinyRaw]], where: str, tell: Tell) -> list[Row]:
    """Measure the ISR of the LSST Science Pipelines on the same raws, with the camera as its calibration."""
    repository = site.copy("isr")
    with repository.open(writeable=True) as butler:
        camera = Instrument.fromName(INSTRUMENT, butler.registry)
        camera.writeCameraGeom(butler)  # type: ignore[attr-defined]  # of the stack's instruments
    pipeline = Path(str(importlib.resources.files(__package__).joinpath("pipelines", "isr.yaml")))
    shards, _ = _process(repository, exposures, where, tell, pipeline, "isr")
    tasks = statistics.median(shard.tasks for shard in shards)
    return [
        Row(
            what=f"IsrTaskLSST: {what}",
            where=where,
            columns={
                "time": _series("ms", [getattr(shard, part) for shard in shards]),
                "of the task": _series("x", [getattr(shard, part) / tasks for shard in shards]),
            },
        )
        for part, what in _PARTS.items()
    ]


@dataclasses.dataclass(frozen=True)
class _TaskTimes:
    """Seconds that the tasks of a shard were in ``runQuantum``, and of these in the butler."""

    total: float
    butler: float


def _task_times(butler: Butler, raw: TinyRaw, times: Times) -> _TaskTimes:
    """Return what upstream's metadata say of a shard's quanta."""
    total = in_butler = 0.0
    for quantum in times.quanta:
        told = butler.get(
            f"{quantum.label}_metadata", instrument=INSTRUMENT, exposure=raw.exposure, detector=raw.detector
        )["quantum"]
        start, end = (datetime.datetime.fromisoformat(told[name]) for name in ("startUtc", "endUtc"))
        total += (end - start).total_seconds()
        in_butler += told["butler_metrics"]["time_in_get"] + told["butler_metrics"]["time_in_put"]
    return _TaskTimes(total, in_butler)


def _take_apart(times: Times, tasks: _TaskTimes) -> _Shard:
    if None in (times.file_closed, times.started, times.finished, times.committed):
        raise RuntimeError(f"A shard has not all its times: {times}")
    closed, started, finished, committed = (
        float(moment or 0.0) for moment in (times.file_closed, times.started, times.finished, times.committed)
    )
    quanta = sum(quantum.end - quantum.start for quantum in times.quanta)
    return _Shard(
        dispatch=1e3 * (started - closed),
        around=1e3 * (finished - started - quanta),
        within=1e3 * (quanta - tasks.total),
        commit=1e3 * (committed - finished),
        tasks=1e3 * tasks.total,
        arithmetic=1e3 * (tasks.total - tasks.butler),
    )


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _measure_alone(
    raw: TinyRaw, scale: float, written: int, folder: Path, repetitions: int
) -> tuple[Floor, Clock]:
    """Measure the floor and the quick ISR, interleaved."""
    calibrations = make_calibrations(raw.detector, scale)
    task = QuickIsrTask(config=QuickIsrConfig())
    meter = FloorMeter(
        raw.path, instrument=INSTRUMENT, detector=raw.detector, output_bytes=written, folder=folder
    )

    def reduce() -> Struct:
        image = read_raw(raw.path, instrument=INSTRUMENT, detector=raw.detector)
        return task.run(image, **calibrations)

    clock = Clock()
    for count in range(repetitions + 1):
        meter.repeat(clock)
        clock.time(_REDUCTION, reduce)
        if count == 0:
            clock.forget()
    return Floor(clock), clock


def _shard_rows(where: str, shards: Sequence[_Shard], floor: float) -> list[Row]:
    rows = []
    for part, what in _PARTS.items():
        values = [getattr(shard, part) for shard in shards]
        columns = {
            "time": _series("ms", values),
            "of the floor": _series("x", [v / floor for v in values]),
        }
        rows.append(Row(what=f"shard: {what}", where=where, columns=columns))
    return rows


def _floor_rows(where: str, floor: Floor, arithmetic: float, clock: Clock) -> list[Row]:
    floors = {
        "floor: read with fitsio, copy": floor.fitsio_and_copy,
        "floor: read with the fastest, copy": floor.read_and_copy,
        "floor of a shard": floor.shard_with(arithmetic),
        "floor of a shard, least arithmetic": floor.shard,
    }
    reduced = clock.cpu(_REDUCTION).values
    return [
        *(
            Row(what=what, where=where, columns={"CPU": _series("ms", [value])})
            for what, value in floors.items()
        ),
        *(
            Row(
                what=f"quick ISR by {what}",
                where=where,
                columns={"CPU": _series("x", [value / floors[what] for value in reduced])},
            )
            for what in list(floors)[:2]
        ),
    ]


def _goals(where: str, shards: Sequence[_Shard], floor: Floor, clock: Clock) -> list[Goal]:
    framework = statistics.median(shard.framework for shard in shards)
    whole = floor.shard_with(statistics.median(shard.arithmetic for shard in shards))
    return [
        Goal(
            name=f"framework time by the floor of a shard, {where}",
            bound="most",
            target=0.1,
            value=framework / whole,
            unit="x",
        ),
        Goal(
            name=f"quick ISR by reading with fitsio and copying, {where}",
            bound="most",
            target=2.5,
            value=clock.cpu(_REDUCTION).median / floor.fitsio_and_copy,
            unit="x",
        ),
    ]


def _series(unit: str, values: Sequence[float]) -> Series:
    return Series(unit=unit, values=tuple(values))
