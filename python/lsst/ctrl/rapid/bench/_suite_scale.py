"""What grows with the datasets in the registry, with the detectors and with the workers; most should not."""

from __future__ import annotations

__all__ = ("run",)

import itertools
import statistics
from collections.abc import Mapping, Sequence

from ..instruments import Purpose, load_camera
from ._archive import open_archive
from ._history import EXPOSURES_A_DAY
from ._model import Chart, Curve, Findings, Goal, Row, Series, SuiteSettings, Tell
from ._raws import INSTRUMENT
from ._scale import COLUMNS, Measurements, Samples, Sizes
from ._trial import DATABASES

_FLAT = 1.2
_RESTART = 2.0

_FULL = Sizes(
    datasets=(0, 10_000, 100_000, 1_000_000),
    camera=189,
    single=40,
    detectors=(1, 9, 50, 189, 197),
    stream=197,
    workers=(1, 2, 4, 8),
    repetitions=3,
)
_QUICK = Sizes(datasets=(0, 50), camera=2, single=2, detectors=(1, 2), stream=2, workers=(1,), repetitions=1)


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
            measured = Measurements(archive, settings, sizes, repetitions, detectors, tell)
            with measured:
                of_datasets = measured.by_datasets()
                of_detectors = measured.by_detectors()
                of_workers = measured.by_workers()
            if archive.server is not None:
                versions["PostgreSQL"] = archive.server.version
        where = DATABASES[database]
        grown = _rows_of_datasets(where, of_datasets)
        rows += [*grown, *of_detectors, *of_workers]
        goals += [*_goals_of_datasets(where, of_datasets), *_goals_of_detectors(where, of_detectors)]
        charts += _charts(where, grown, of_detectors, of_workers, sizes)
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


def _rows_of_datasets(where: str, found: Mapping[int, Samples]) -> list[Row]:
    return [
        Row(
            what=f"{size} datasets",
            where=where,
            columns={
                name: Series(unit=unit, values=tuple(map(statistics.median, samples[name])))
                for name, unit in COLUMNS.items()
            },
        )
        for size, samples in found.items()
    ]


def _goals_of_datasets(where: str, found: Mapping[int, Samples]) -> list[Goal]:
    """Compare the largest repository with the empty one, and its restart with that at the next size."""
    sizes = list(found)
    first, second, last = sizes[0], sizes[min(1, len(sizes) - 1)], sizes[-1]
    return [
        Goal(
            name=f"{name} at {last} datasets, of that at {least}, {where}",
            bound="most",
            target=target,
            value=_ratio(found[last][name], found[least][name]),
            unit="x",
        )
        for unit, least, target in (("ms", first, _FLAT), ("s", second, _RESTART))
        for name, of in COLUMNS.items()
        if of == unit
    ]


def _ratio(samples: Sequence[Sequence[float]], of: Sequence[Sequence[float]]) -> float:
    """Return the median of the ratios of samples that were taken right after one another.

    A machine whose speed changes within a second changes both sides of most of them.
    """
    pairs = zip(itertools.chain(*samples), itertools.chain(*of), strict=True)
    return statistics.median(one / other for one, other in pairs)


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
    where: str, datasets: Sequence[Row], detectors: Sequence[Row], workers: Sequence[Row], sizes: Sizes
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


def _notes(sizes: Sizes) -> tuple[str, ...]:
    datasets = (
        f"Datasets: an exposure of {sizes.camera} detectors that the executor has processed, cloned in the "
        f"registry, {EXPOSURES_A_DAY} exposures to a day, each day with RUNs of its own; clones share files. "
        "At 0 there is this exposure alone."
    )
    costs = (
        "Overhead: of raws that come one by one, file closed to task start. Commit: of the raws, products, "
        "logs, metadata and outcomes of an exposure, by the one writer, when nothing else runs, in batches. "
        "Planning: CPU time to make the message to a worker and instantiate its quanta."
    )
    starts = (
        "Repository read: from the start of a run, imports done, until the writer is connected. Restart: "
        f"until all workers are warm. Catch-up: from then until {sizes.camera} raws in the watched folder "
        f"and {EXPOSURES_A_DAY + 1} exposures of a watched repository, all done before, are recognised."
    )
    turns = (
        "Executors for all sizes are warm together, and each single raw, shard and batch is measured in one "
        "after the other; goals in ms are the median of the ratios of such neighbours, those in s of the "
        "ratios of starts of one repetition."
    )
    detectors = (
        "Detectors: a camera of so many, exposures enough to make about the same number of shards, all there "
        "at once; from the first file until all is registered. Of LSSTCam's 205 detectors 189 are for "
        "science, 8 for wavefronts, and 8 are guiders, whose files are refused."
    )
    return datasets, turns, costs, starts, detectors
