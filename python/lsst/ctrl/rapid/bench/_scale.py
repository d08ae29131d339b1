"""What is measured in repositories that grow, with more detectors and with more workers."""

from __future__ import annotations

__all__ = ("COLUMNS", "Measurements", "Samples", "Sizes")

import contextlib
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import override

from ._archive import Archive
from ._executor_child import Processed, Task
from ._executor_run import ExecutorRun
from ._model import Row, Series, SuiteSettings, Tell
from ._raws import TinyCamera, TinyRaw
from ._trial import DATABASES

_FIRST_SEQ_NUM = 1000

COLUMNS: Mapping[str, str] = {
    "overhead, p50": "ms",
    "commit per dataset": "ms",
    "planning per shard": "ms",
    "repository read": "s",
    "restart": "s",
    "catch-up": "s",
}
"""What is measured in repositories of several sizes, and in which unit."""

type Samples = dict[str, list[list[float]]]
"""By column, a list a repetition.  Samples at one place of it were taken in all repositories by turns."""


@dataclass(frozen=True)
class Sizes:
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


class Measurements(contextlib.AbstractContextManager[None]):
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
        sizes: Sizes,
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

    def by_datasets(self) -> Mapping[int, Samples]:
        """Measure in repositories with more and more datasets, in all of them by turns."""
        found: dict[int, Samples] = {size: defaultdict(list) for size in self._sizes.datasets}
        for number in range(self._repetitions):
            with contextlib.ExitStack() as stack:
                runs: dict[int, ExecutorRun] = {}
                for size, samples in found.items():
                    self._say(f"{size} datasets", number)
                    run = runs[size] = stack.enter_context(self._start(size, stack))
                    samples["repository read"].append([run.start.read])
                    samples["restart"].append([run.start.warm])
                    samples["catch-up"].append([run.start.caught_up - run.start.warm])
                self._say("all sizes by turns", number)
                self._by_turns(runs, found)
        return found

    def _start(self, size: int, stack: contextlib.ExitStack) -> ExecutorRun:
        repository = stack.enter_context(self._archive.copy(size))
        landing, since = self._archive.landing, self._archive.since
        return ExecutorRun(Task(repository, self._detectors, self._settings.workers, landing, since))

    def _by_turns(self, runs: Mapping[int, ExecutorRun], found: Mapping[int, Samples]) -> None:
        """Measure with executors that are all warm; those that wait do nothing."""

        def measure(column: str, count: int, of: Callable[[int, int], float]) -> None:
            for size in runs:
                found[size][column].append([])
            for place in range(count):
                for size in sorted(runs, reverse=place % 2 == 1):
                    found[size][column][-1].append(1e3 * of(size, place))

        camera = self._detectors[: self._sizes.camera]
        single = {size: self._camera.take(camera[: self._sizes.single]) for size in runs}
        measure(
            "overhead, p50", self._sizes.single, lambda size, place: runs[size].overhead(single[size][place])
        )
        batches = min([run.hold(self._camera.take(camera)) for run in runs.values()])
        measure("planning per shard", len(camera), lambda size, place: runs[size].plan(place))
        for run in runs.values():
            run.finish()
        measure("commit per dataset", batches, lambda size, place: runs[size].register(place))

    def by_detectors(self) -> list[Row]:
        """Measure exposures of more and more detectors, as many as make about the same number of shards."""
        found: dict[int, list[Processed]] = {count: [] for count in self._sizes.detectors}
        for number in range(self._repetitions):
            for count in self._sizes.detectors:
                self._say(f"{count} detectors", number)
                with self._start_empty(count, self._settings.workers) as run:
                    found[count].append(run.process(self._take(count)))
        return [
            Row(
                what=f"{count} detectors",
                where=self._where,
                columns={
                    "per detector": _per_shard([one.seconds for one in times], self._shards(count)),
                    "CPU of the head": _per_shard([one.head_cpu for one in times], self._shards(count)),
                },
            )
            for count, times in found.items()
        ]

    def by_workers(self) -> list[Row]:
        """Measure an exposure of the whole camera with more and more workers."""
        count = self._sizes.camera
        rows: dict[int, tuple[list[float], list[float]]] = {n: ([], []) for n in self._sizes.workers}
        for number in range(self._repetitions):
            for workers, (throughput, restart) in rows.items():
                self._say(f"{workers} workers", number)
                with self._start_empty(count, workers) as run:
                    processed = run.process([self._camera.take(self._detectors[:count])])
                    throughput.append(count / processed.seconds)
                    restart.append(run.start.warm)
        return [
            Row(
                what=f"{workers} workers",
                where=self._where,
                columns={
                    "throughput": Series(unit="detectors/s", values=tuple(throughput)),
                    "restart": Series(unit="s", values=tuple(restart)),
                },
            )
            for workers, (throughput, restart) in rows.items()
        ]

    @contextlib.contextmanager
    def _start_empty(self, detectors: int, workers: int) -> Iterator[ExecutorRun]:
        """Start an executor in the least repository."""
        with (
            self._archive.copy(min(self._sizes.datasets)) as repository,
            ExecutorRun(Task(repository, self._detectors[:detectors], workers)) as run,
        ):
            yield run

    def _say(self, what: str, number: int) -> None:
        self._tell(f"{self._where}, {what}: repetition {number + 1} of {self._repetitions}.")

    def _shards(self, detectors: int) -> int:
        return detectors * max(1, self._sizes.stream // detectors)

    def _take(self, detectors: int) -> list[list[TinyRaw]]:
        exposures = self._shards(detectors) // detectors
        return [self._camera.take(self._detectors[:detectors]) for _ in range(exposures)]


def _per_shard(seconds: Sequence[float], shards: int) -> Series:
    return Series(unit="ms", values=tuple(1e3 * value / shards for value in seconds))
