"""How long a person waits at the start, and an image when its worker has been killed.

Both are compared with the time in which a fresh Python imports what is needed anyway.
"""

from __future__ import annotations

__all__ = ("run",)

import contextlib
import os
import signal
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

from ._launch import import_seconds
from ._model import Findings, Goal, Row, Series, SuiteSettings, Tell
from ._starts import Place, check, open_place

_REPETITIONS = 3
_MOST_TIMES_START = 2.0
_MOST_TIMES_REPLACED = 1.5
_PATIENCE_SECONDS = 120.0

_EXECUTOR, _WORKER = "lsst.ctrl.rapid.service", "lsst.ctrl.rapid.engine"
"""Modules that import all of the executor, and all of it that a worker runs."""

_START, _IMPORT = "start to first task", "import of executor and tasks"
_REPLACED, _IMPORT_WORKER = "kill to next shard", "import of worker and tasks"
_COMPARED = {_START: _IMPORT, _REPLACED: _IMPORT_WORKER}

type _Values = Mapping[tuple[str, str], Sequence[float]]
"""Seconds by what was measured and where."""


def run(settings: SuiteSettings, tell: Tell) -> Findings:
    """Measure the start, and the replacement of a worker.

    Raises
    ------
    lsst.ctrl.rapid.model.InputError
        If PostgreSQL cannot be started.
    RuntimeError
        If the executor does not do what it should.
    """
    repetitions = settings.repetitions or (1 if settings.quick else _REPETITIONS)
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        places = []
        for database in settings.databases:
            tell(f"making a repository: {database}")
            places.append(stack.enter_context(open_place(settings.work_dir / database, database)))
        for number in range(repetitions):
            for place in places:
                tell(f"{place.label}: repetition {number + 1} of {repetitions}")
                for name, seconds in _measure(place, number, settings.workers).items():
                    values[name, place.label].append(seconds)
                    tell(f"{name}: {seconds:.2f} s")
    rows = _rows(values)
    return Findings(
        rows=rows,
        goals=tuple(goal for row in rows for goal in _goals(row)),
        notes=_notes(settings.workers),
        settings={"repetitions": str(repetitions), "workers at the start": str(settings.workers)},
    )


def _measure(place: Place, number: int, workers: int) -> dict[str, float]:
    """Measure everything once, each thing beside what it is compared with."""
    return {
        _IMPORT: import_seconds([_EXECUTOR, place.tasks]),
        _START: _measure_start(place, f"start-{number}", workers),
        _IMPORT_WORKER: import_seconds([_WORKER, place.tasks]),
        _REPLACED: _measure_replacement(place, f"kill-{number}"),
    }


def _measure_start(place: Place, name: str, workers: int) -> float:
    """Return the seconds from the start of the process to the first task; its raw is there already."""
    landing = place.landing(name)
    place.send(landing)
    with place.launch(name, landing, workers) as launched:
        report = check(launched.result(_PATIENCE_SECONDS))
    return min(shard.times.quanta[0].start for shard in report.shards) - launched.started


def _measure_replacement(place: Place, name: str) -> float:
    """Return the seconds from the kill of the only worker to the start of a shard on its replacement."""
    landing = place.landing(name)
    with place.launch(name, landing, 1) as launched:
        worker = int(launched.wait_for(r"Worker \S+ \(process (\d+)\) is warm", _PATIENCE_SECONDS)[1])
        killed = time.time()
        os.kill(worker, signal.SIGKILL)
        place.send(landing)
        report = check(launched.result(_PATIENCE_SECONDS))
    return min(shard.times.started for shard in report.shards if shard.times.started is not None) - killed


def _rows(values: _Values) -> tuple[Row, ...]:
    rows = []
    for (name, where), seconds in values.items():
        columns = {"time": Series(unit="s", values=tuple(seconds))}
        if name in _COMPARED:
            beside = zip(seconds, values[_COMPARED[name], where], strict=True)
            columns["times of importing"] = Series(unit="x", values=tuple(a / b for a, b in beside))
        rows.append(Row(what=name, where=where, columns=columns))
    return tuple(rows)


def _goals(row: Row) -> list[Goal]:
    """Return the goal for a row, if there is one."""
    targets = {_START: _MOST_TIMES_START, _REPLACED: _MOST_TIMES_REPLACED}
    if row.what not in targets:
        return []
    value = row.columns["times of importing"].median
    name = f"{row.what}, {row.where}, in times of importing"
    return [Goal(name=name, bound="most", target=targets[row.what], value=value, unit="x")]


def _notes(workers: int) -> tuple[str, ...]:
    texts = (
        f"""Start to first task: from the start of `rapid-exec run --workers {workers}`, with a repository
        that is there already and a raw in the watched folder, to the start of the first quantum.""",
        f"""It is compared with a fresh Python that imports {_EXECUTOR} and the module of the pipeline's
        tasks, and no more.""",
        f"""Kill to next shard: from SIGKILL of the only worker to the start of the next shard on its
        replacement, compared with a fresh Python that imports {_WORKER} and the module of the tasks.""",
        """The tasks of summit.yaml are forked with a worker; those of tiny.yaml, as those of other packages,
        each worker imports itself.""",
        "Each ratio is of two measurements one after the other; the goals are for their median.",
    )
    return tuple(" ".join(text.split()) for text in texts)
