"""How long a person waits at the start, and an image when its worker has been killed.

Both are compared with the time in which a fresh Python imports what is needed anyway.
"""

from __future__ import annotations

__all__ = ("run",)

import importlib.resources
import os
import signal
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..model import Outcome, Report
from ._launch import Launched, import_seconds
from ._model import Findings, Goal, Row, Series, SuiteSettings, Tell

_REPETITIONS = 5
_DETECTOR = 94

_START_IMPORTS = ("lsst.ctrl.rapid.service", "lsst.ctrl.rapid.channels")
"""The executor and the pipeline's tasks."""
_WORKER_IMPORTS = ("lsst.ctrl.rapid.engine", "lsst.ctrl.rapid.channels")
"""What a worker runs."""

_MOST_TIMES_START = 2.0
_MOST_TIMES_REPLACED = 1.5

_IDLE_SECONDS = 2.0
_PATIENCE_SECONDS = 120.0

_START, _REPLACED = "start to first task", "kill to next shard"
_IMPORT_START, _IMPORT_WORKER = "import of executor and tasks", "import of what a worker runs"


@dataclass(frozen=True)
class _Place:
    """A repository that is there already, and a raw.

    Attributes
    ----------
    folder
        Where runs leave their files.
    repository
        The repository, with calibrations.
    raw
        The file.
    """

    folder: Path
    repository: Path
    raw: Path

    def landing(self, name: str) -> Path:
        """Make a folder to be watched."""
        landing = self.folder / name / "landing"
        landing.mkdir(parents=True)
        return landing

    def launch(self, name: str, landing: Path, workers: int) -> Launched:
        """Start the executor; what it writes goes into RUNs of their own."""
        arguments = [
            *(str(_pipeline()), "-b", str(self.repository), "--output", name),
            *("--watch", str(landing), "--until-idle", str(_IDLE_SECONDS)),
            *("--detectors", str(_DETECTOR), "--workers", str(workers)),
            *("--work-dir", str(self.folder / name)),
        ]
        return Launched(arguments, self.folder / name / "report.json")


def run(settings: SuiteSettings, tell: Tell) -> Findings:
    """Measure the start and the replacement of a worker.

    Raises
    ------
    RuntimeError
        If the executor does not do what it should.
    """
    repetitions = settings.repetitions or (1 if settings.quick else _REPETITIONS)
    tell("making a repository")
    place = _prepare(settings.work_dir)
    values: dict[str, list[float]] = defaultdict(list)
    for number in range(repetitions):
        tell(f"repetition {number + 1} of {repetitions}")
        values[_IMPORT_START].append(import_seconds(_START_IMPORTS))
        values[_START].append(_measure_start(place, f"start-{number}", settings.workers))
        values[_IMPORT_WORKER].append(import_seconds(_WORKER_IMPORTS))
        values[_REPLACED].append(_measure_replacement(place, f"kill-{number}"))
        tell("; ".join(f"{name} {found[-1]:.2f} s" for name, found in values.items()))
    ratios = {
        _START: _ratios(values[_START], values[_IMPORT_START]),
        _REPLACED: _ratios(values[_REPLACED], values[_IMPORT_WORKER]),
    }
    return Findings(
        rows=_rows(values, ratios),
        goals=(
            _goal("start to first task, in times of importing", _MOST_TIMES_START, ratios[_START]),
            _goal(
                "a killed worker's replacement works, in times of importing",
                _MOST_TIMES_REPLACED,
                ratios[_REPLACED],
            ),
        ),
        notes=_notes(settings.workers),
        settings={"repetitions": str(repetitions), "workers at the start": str(settings.workers)},
    )


def _prepare(folder: Path) -> _Place:
    """Have the executor make its embedded repository, and a raw."""
    arguments = [
        *(str(_pipeline()), "--simulate", "1", "--detectors", str(_DETECTOR)),
        *("--workers", "1", "--work-dir", str(folder / "site")),
    ]
    with Launched(arguments, folder / "site" / "report.json") as launched:
        _check(launched.result(_PATIENCE_SECONDS))
    (raw,) = (folder / "site" / "landing").rglob("*.fits")
    return _Place(folder, folder / "site" / "repo", raw)


def _measure_start(place: _Place, name: str, workers: int) -> float:
    """Return the seconds from the start of the process to the first task; its raw is there already."""
    landing = place.landing(name)
    (landing / place.raw.name).hardlink_to(place.raw)
    with place.launch(name, landing, workers) as launched:
        report = launched.result(_PATIENCE_SECONDS)
    _check(report)
    return min(shard.times.quanta[0].start for shard in report.shards) - launched.started


def _measure_replacement(place: _Place, name: str) -> float:
    """Return the seconds from the kill of the only worker to the start of a shard on its replacement."""
    landing = place.landing(name)
    with place.launch(name, landing, 1) as launched:
        worker = int(launched.wait_for(r"Worker \S+ \(process (\d+)\) is warm", _PATIENCE_SECONDS)[1])
        killed = time.time()
        os.kill(worker, signal.SIGKILL)
        (landing / place.raw.name).hardlink_to(place.raw)
        report = launched.result(_PATIENCE_SECONDS)
    _check(report)
    return min(shard.times.started for shard in report.shards if shard.times.started is not None) - killed


def _check(report: Report) -> None:
    """Refuse to measure what has not worked."""
    if not report.shards or any(shard.outcome is not Outcome.DONE for shard in report.shards):
        ends = ", ".join(f"{shard.step} {shard.outcome}: {shard.reason}" for shard in report.shards)
        raise RuntimeError(f"The executor did not reduce the raw: {ends or 'nothing was run'}.")


def _pipeline() -> Path:
    return Path(str(importlib.resources.files("lsst.ctrl.rapid").joinpath("resources/pipelines/summit.yaml")))


def _ratios(values: Sequence[float], imports: Sequence[float]) -> tuple[float, ...]:
    """Return each measurement in times of the import beside it."""
    return tuple(value / one for value, one in zip(values, imports, strict=True))


def _rows(values: Mapping[str, Sequence[float]], ratios: Mapping[str, Sequence[float]]) -> tuple[Row, ...]:
    rows = []
    for name, seconds in values.items():
        columns = {"time": Series(unit="s", values=tuple(seconds))}
        if name in ratios:
            columns["times of importing"] = Series(unit="x", values=tuple(ratios[name]))
        rows.append(Row(what=name, columns=columns))
    return tuple(rows)


def _goal(name: str, most: float, ratios: Sequence[float]) -> Goal:
    return Goal(name=name, bound="most", target=most, value=statistics.median(ratios), unit="x")


def _notes(workers: int) -> tuple[str, ...]:
    start, worker = " and ".join(_START_IMPORTS), " and ".join(_WORKER_IMPORTS)
    return (
        f"""Start to first task: from the start of `rapid-exec run pipelines/summit.yaml --workers {workers}`,
with an SQLite repository that is there already and a raw in the watched folder, to the start of the first
quantum.""",
        f"It is compared with a fresh Python that imports {start}: the executor, the tasks, and no more.",
        f"""Kill to next shard: from SIGKILL of the only worker to the start of the next shard on its
replacement, compared with a fresh Python that imports {worker}.""",
        "Each ratio is of two measurements beside each other; the goals are for their median.",
    )
