"""What grows with the datasets in the registry, with the detectors and with the workers; most should not."""

from __future__ import annotations

__all__ = ("run",)

import contextlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import override

from ..instruments import Purpose, load_camera
from ._archive import Archive, open_archive
from ._executor_run import RunTimes, Task, measure_run
from ._history import EXPOSURES_A_DAY
from ._model import Chart, Curve, Findings, Goal, Row, Series, SuiteSettings, Tell
from ._raws import INSTRUMENT, TinyCamera, TinyRaw
from ._trial import DATABASES

_FLAT = 1.2
_RESTART = 2.0
_FIRST_SEQ_NUM = 1000

type _Column = tuple[str, str, Callable[[RunTimes], float]]

_COLUMNS: Sequence[_Column] = (
    ("overhead, p50", "ms", lambda found: 1e3 * found.overhead_p50),
    ("commit per dataset", "ms", lambda found: 1e3 * found.registered_p50),
    ("planning per shard", "ms", lambda found: 1e3 * found.planned_p50),
    ("repository read", "s", lambda found: found.read),
    ("restart", "s", lambda found: found.warm),
    ("catch-up", "s", lambda found: found.caught_up - found.warm),
)


@dataclass(frozen=True)
class _Sizes:
    """How much is measured.

    Attributes
    ----------
    datasets
        In the registry at the start, at least.
    camera
        Detectors of an exposure in the registry, and of one that is registered.
    single
        Files that come one by one.
    detectors
        Of the exposures of which the cost per detector is told.
    stream
        Detectors, over all exposures, from which it is told.
    workers
        Numbers of workers.
    repetitions
        Of all.
    """

    datasets: Sequence[int]
    camera: int
    single: int
    detectors: Sequence[int]
    stream: int
    workers: Sequence[int]
    repetitions: int


_FULL = _Sizes(
    datasets=(0, 10_000, 100_000, 1_000_000),
    camera=189,
    single=40,
    detectors=(1, 9, 50, 189, 197),
    stream=197,
    workers=(1, 2, 4, 8),
    repetitions=3,
)
_QUICK = _Sizes(datasets=(0, 50), camera=2, single=2, detectors=(1, 2), stream=2, workers=(1,), repetitions=1)


def run(settings: SuiteSettings, tell: Tell) -> Findings:
    """Measure the executor in repositories of several sizes, with several numbers of detectors and workers.

    Parameters
    ----------
    settings
        What was asked for.
    tell
        Takes a line on each thing that is done.
    """
    sizes = _QUICK if settings.quick else _FULL
    repetitions = settings.repetitions or sizes.repetitions
    rows: list[Row] = []
    goals: list[Goal] = []
    charts: list[Chart] = []
    versions: dict[str, str] = {}
    for database in settings.databases:
        folder = settings.work_dir / f"scale-{database}"
        detectors = _detectors(max((sizes.camera, *sizes.detectors)))
        with open_archive(folder, database, detectors, sizes.camera, sizes.datasets, tell) as archive:
            measured = _Measured(archive, settings, sizes, repetitions, detectors, tell)
            with measured:
                of_datasets = measured.by_datasets()
                of_detectors = measured.by_detectors()
                of_workers = measured.by_workers()
            if archive.server is not None:
                versions["PostgreSQL"] = archive.server.version
        where = DATABASES[database]
        rows += [*of_datasets, *of_detectors, *of_workers]
        goals += [*_goals_of_datasets(where, of_datasets), *_goals_of_detectors(where, of_detectors)]
        charts += _charts(where, of_datasets, of_detectors, of_workers, sizes)
    return Findings(
        rows=tuple(rows),
        goals=tuple(goals),
        charts=tuple(charts),
        notes=_notes(sizes),
        settings={"repetitions": str(repetitions), "workers": str(settings.workers)},
        versions=versions,
    )


def _detectors(count: int) -> tuple[int, ...]:
    """Return detectors of the camera that give images, those for science first."""
    camera = load_camera(INSTRUMENT)
    others = [number for number in sorted(camera) if camera[number].purpose is Purpose.WAVEFRONT]
    return (*camera.science, *others)[:count]


class _Measured(contextlib.AbstractContextManager[None]):
    """The measurements in one kind of repository.

    Parameters
    ----------
    archive
        The repositories.
    settings, sizes, repetitions
        What is measured, and how often.
    detectors
        As many as may be asked for.
    tell
        Takes a line on what is done.
    """

    def __init__(
        self,
        archive: Archive,
        settings: SuiteSettings,
        sizes: _Sizes,
        repetitions: int,
        detectors: Sequence[int],
        tell: Tell,
    ) -> None:
        self._archive = archive
        self._where = DATABASES[archive.database]
        self._settings = settings
        self._sizes = sizes
        self._repetitions = repetitions
        self._detectors = detectors
        self._tell = tell
        self._raws = archive.folder / "new-raws"
        shutil.rmtree(self._raws, ignore_errors=True)
        self._camera = TinyCamera(self._raws, _FIRST_SEQ_NUM)

    @override
    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._raws, ignore_errors=True)

    def by_datasets(self) -> list[Row]:
        """Measure in repositories with more and more datasets, by turns."""
        found: dict[int, list[RunTimes]] = {size: [] for size in self._sizes.datasets}
        for number in range(self._repetitions):
            for size in self._sizes.datasets:
                self._say(f"{size} datasets", number)
                found[size].append(self._in_repository(size))
        return [
            Row(
                what=f"{size} datasets",
                where=self._where,
                columns={
                    name: Series(unit=unit, values=tuple(map(of, times))) for name, unit, of in _COLUMNS
                },
            )
            for size, times in found.items()
        ]

    def _in_repository(self, size: int) -> RunTimes:
        camera = self._detectors[: self._sizes.camera]
        with self._archive.copy(size) as repository:
            task = Task(
                repository,
                self._detectors,
                self._settings.workers,
                old=self._archive.landing,
                since=self._archive.since,
                single=self._camera.take(camera[: self._sizes.single]),
                held=self._camera.take(camera),
            )
            return measure_run(task)

    def by_detectors(self) -> list[Row]:
        """Measure exposures of more and more detectors, as many as make about the same number of shards."""
        found: dict[int, list[RunTimes]] = {count: [] for count in self._sizes.detectors}
        for number in range(self._repetitions):
            for count in self._sizes.detectors:
                self._tell(
                    f"{self._where}, {count} detectors: repetition {number + 1} of {self._repetitions}."
                )
                exposures = self._take(count)
                with self._archive.copy(min(self._sizes.datasets)) as repository:
                    task = Task(
                        repository, self._detectors[:count], self._settings.workers, exposures=exposures
                    )
                    found[count].append(measure_run(task))
        return [
            Row(
                what=f"{count} detectors",
                where=self._where,
                columns={
                    "per detector": _per_shard([t.processed for t in times], self._shards(count)),
                    "CPU of the head": _per_shard([t.head_cpu for t in times], self._shards(count)),
                },
            )
            for count, times in found.items()
        ]

    def by_workers(self) -> list[Row]:
        """Measure an exposure of the whole camera with more and more workers."""
        count = self._sizes.camera
        found: dict[int, list[RunTimes]] = {workers: [] for workers in self._sizes.workers}
        for number in range(self._repetitions):
            for workers in self._sizes.workers:
                self._tell(
                    f"{self._where}, {workers} workers: repetition {number + 1} of {self._repetitions}."
                )
                with self._archive.copy(min(self._sizes.datasets)) as repository:
                    exposures = [self._camera.take(self._detectors[:count])]
                    found[workers].append(
                        measure_run(Task(repository, self._detectors[:count], workers, exposures=exposures))
                    )
        return [
            Row(
                what=f"{workers} workers",
                where=self._where,
                columns={
                    "throughput": Series(
                        unit="detectors/s", values=tuple(count / one.processed for one in times)
                    ),
                    "restart": Series(unit="s", values=tuple(one.warm for one in times)),
                },
            )
            for workers, times in found.items()
        ]

    def _say(self, what: str, number: int) -> None:
        self._tell(f"{self._where}, {what}: repetition {number + 1} of {self._repetitions}.")

    def _shards(self, detectors: int) -> int:
        return detectors * max(1, self._sizes.stream // detectors)

    def _take(self, detectors: int) -> list[list[TinyRaw]]:
        exposures = self._shards(detectors) // detectors
        return [self._camera.take(self._detectors[:detectors]) for _ in range(exposures)]


def _per_shard(seconds: Sequence[float], shards: int) -> Series:
    return Series(unit="ms", values=tuple(1e3 * value / shards for value in seconds))


def _goals_of_datasets(where: str, rows: Sequence[Row]) -> list[Goal]:
    """Compare the largest repository with the empty one, and its restart with that at the next size."""
    first, second, last = rows[0], rows[min(1, len(rows) - 1)], rows[-1]
    flat = [
        (f"{name} at {last.what}, of that at {first.what}", first, name, _FLAT)
        for name in ("overhead, p50", "commit per dataset", "planning per shard")
    ]
    restart = [
        (f"{name} at {last.what}, of that at {second.what}", second, name, _RESTART)
        for name in ("repository read", "restart", "catch-up")
    ]
    return [
        Goal(
            name=f"{told}, {where}",
            bound="most",
            target=target,
            value=last.columns[name].median / least.columns[name].median,
            unit="x",
        )
        for told, least, name, target in (*flat, *restart)
    ]


def _goals_of_detectors(where: str, rows: Sequence[Row]) -> list[Goal]:
    if not rows:
        return []
    first, last = rows[0], rows[-1]
    return [
        Goal(
            name=f"{name}, at {last.what}, of that at {first.what}, {where}",
            bound="most",
            target=_FLAT,
            value=last.columns[name].median / first.columns[name].median,
            unit="x",
        )
        for name in first.columns
    ]


def _charts(
    where: str, datasets: Sequence[Row], detectors: Sequence[Row], workers: Sequence[Row], sizes: _Sizes
) -> list[Chart]:
    def chart(name: str, x_label: str, rows: Sequence[Row], x: Sequence[int], unit: str) -> Chart:
        columns = [label for label, series in rows[0].columns.items() if series.unit == unit]
        return Chart(
            name=f"{name}-{where.lower()}",
            title=f"{where}: with the number of {x_label}",
            x_label=x_label,
            y_label=unit,
            log_x=True,
            curves=tuple(
                Curve(label=label, x=tuple(map(float, x)), y=tuple(row.columns[label] for row in rows))
                for label in columns
            ),
        )

    there = [max(size, 1) for size in sizes.datasets]
    wanted: list[tuple[str, str, Sequence[Row], Sequence[int], str]] = [
        ("datasets-ms", "datasets", datasets, there, "ms"),
        ("datasets-s", "datasets", datasets, there, "s"),
        ("detectors", "detectors", detectors, sizes.detectors, "ms"),
        ("workers", "workers", workers, sizes.workers, "detectors/s"),
    ]
    return [chart(*one) for one in wanted if one[2]]


def _notes(sizes: _Sizes) -> tuple[str, ...]:
    datasets = (
        f"Datasets: an exposure of {sizes.camera} detectors that the executor has processed, cloned in the "
        f"registry, {EXPOSURES_A_DAY} exposures to a day, each day with RUNs of its own; clones share files. "
        "At 0 there is this exposure alone."
    )
    costs = (
        "Overhead: of raws that come one by one, file closed to task start. Commit: of the raws, products, "
        "logs, metadata and outcomes of an exposure, by the one writer, when nothing else runs; median of "
        "batches. Planning: CPU time to make the message to a worker and instantiate its quanta."
    )
    starts = (
        "Repository read: from the start of a run, imports done, until the writer is connected. Restart: "
        f"until all workers are warm. Catch-up: from then until {sizes.camera} raws in the watched folder "
        f"and {EXPOSURES_A_DAY + 1} exposures of a watched repository, all done before, are recognised."
    )
    detectors = (
        "Detectors: a camera of so many, exposures enough to make about the same number of shards, all there "
        "at once; from the first file until all is registered. Of LSSTCam's 205 detectors 189 are for "
        "science, 8 for wavefronts, and 8 are guiders, whose files are refused."
    )
    return datasets, costs, starts, detectors
