"""What a step must have left in the repository."""

from __future__ import annotations

__all__ = ("check_step",)

import datetime
import time
from collections.abc import Iterable, Mapping, Sequence

from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, MissingDatasetTypeError
from lsst.pipe.base import TaskMetadata
from lsst.pipe.base.all_dimensions_quantum_graph_builder import AllDimensionsQuantumGraphBuilder
from lsst.pipe.base.pipeline_graph import TaskNode
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from ...plan import load_pipeline
from ._junit import Case
from ._pipetask import PipetaskRun
from ._stage import Companion, Stage

_LOG_LINES = 20
"""Lines of a quantum's log that are told of a failure."""
_WRITE_ONLY = frozenset({"Plot"})
"""Storage classes of which upstream's formatter cannot read what it wrote."""


def check_step(stage: Stage, companion: Companion, step: str, run: PipetaskRun) -> Sequence[Case]:
    """Check what ``pipetask`` left of one step.

    Returns
    -------
    cases
        One for ``pipetask`` itself, one for each task (quanta, logs, metadata, outputs), and, where all is
        well, one that says whether a second run would find nothing to do.
    """
    cases = [
        Case(companion.name, step, "pipetask run", run.seconds, run.reason, run.told if run.reason else "")
    ]
    expected = _expected_quanta(run)
    with Butler.from_config(str(stage.repository), writeable=False) as butler:
        for label in companion.tasks(step):
            check = _TaskCheck(butler, companion.graph.tasks[label], run)
            fault = check.fault(expected.get(label, []))
            cases.append(
                Case(companion.name, step, label, check.seconds, fault, check.details() if fault else "")
            )
        if not any(case.failure for case in cases):
            cases.append(_repeated(butler, companion, step, run))
    return cases


def _expected_quanta(run: PipetaskRun) -> Mapping[str, Iterable[DataCoordinate]]:
    """Return the data IDs of the quanta that were to be run, by task."""
    if not run.graph.exists():
        return {}
    with PredictedQuantumGraph.open(run.graph) as reader:
        reader.read_thin_graph()
    return reader.finish().quanta_by_task


class _TaskCheck:
    """What one task left in its RUN."""

    def __init__(self, butler: Butler, node: TaskNode, run: PipetaskRun) -> None:
        self._butler = butler
        self._node = node
        self._run = run
        self._logs = self._find(f"{node.label}_log")
        self._metadata = self._find(f"{node.label}_metadata")
        self._culprit: DatasetRef | None = None

    def _find(self, dataset_type: str) -> Mapping[DataCoordinate, DatasetRef]:
        try:
            refs = self._butler.query_datasets(
                dataset_type, self._run.output_run, find_first=False, limit=None, explain=False
            )
        except MissingDatasetTypeError:
            return {}
        return {ref.dataId: ref for ref in refs}

    @property
    def seconds(self) -> float:
        """Time that the task's quanta took, from their metadata."""
        return sum(_duration(self._butler.get(ref)) for ref in self._metadata.values())

    def fault(self, expected: Iterable[DataCoordinate]) -> str:
        """Return what is wrong first, or nothing."""
        wanted = sorted(expected)
        if not wanted:
            return "it has no quanta"
        for data_id in wanted:
            if fault := self._quantum_fault(data_id):
                return fault
        return next(filter(None, map(self._output_fault, self._outputs())), "")

    def details(self) -> str:
        """Return the command line, and the end of the log that says most."""
        if self._culprit is None:
            return self._run.told
        records = list(self._butler.get(self._culprit))[-_LOG_LINES:]
        lines = [f"{record.levelname} {record.name}: {record.message}" for record in records]
        return "\n".join(["Log of the quantum:", *lines, "", self._run.told])

    def _quantum_fault(self, data_id: DataCoordinate) -> str:
        log, metadata = self._logs.get(data_id), self._metadata.get(data_id)
        whose = _short(data_id)
        if log is None:
            return f"{whose}: it left no log; it was not run"
        self._culprit = log
        if exception := self._butler.get(log).extra.get("exception"):
            return f"{whose}: {exception['type_name']}: {exception['message']}"
        if metadata is None:
            return f"{whose}: it left no metadata; it did not end well"
        self._culprit = None
        return ""

    def _outputs(self) -> Iterable[str]:
        return sorted(edge.parent_dataset_type_name for edge in self._node.outputs.values())

    def _output_fault(self, name: str) -> str:
        refs = self._find(name).values()
        if not refs:
            return f"it wrote no {name!r}"
        for ref in refs:
            try:
                self._read(ref)
            except Exception as err:  # noqa: BLE001 -- whatever a formatter raises, it cannot be read
                return f"{name!r} of {_short(ref.dataId)} cannot be read: {type(err).__name__}: {err}"
        return ""

    def _read(self, ref: DatasetRef) -> None:
        if ref.datasetType.storageClass_name in _WRITE_ONLY:
            uri = self._butler.getURI(ref)
            if not uri.exists() or uri.size() == 0:
                raise FileNotFoundError(f"{uri} is not there, or empty")
            return
        found = self._butler.get(ref)
        if not isinstance(found, ref.datasetType.storageClass.pytype):
            raise TypeError(f"it is {type(found).__name__}, not {ref.datasetType.storageClass_name}")


def _short(data_id: DataCoordinate) -> str:
    return ", ".join(f"{name} {value}" for name, value in data_id.required.items())


def _duration(metadata: TaskMetadata) -> float:
    """Return how long a quantum took, seconds."""
    quantum = metadata["quantum"]
    start, end = (datetime.datetime.fromisoformat(quantum[key]) for key in ("prepUtc", "endUtc"))
    return (end - start).total_seconds()


def _repeated(butler: Butler, companion: Companion, step: str, run: PipetaskRun) -> Case:
    """Tell whether ``--extend-run --skip-existing`` would find nothing to do."""
    started = time.monotonic()
    builder = AllDimensionsQuantumGraphBuilder(
        load_pipeline(run.pipeline),
        butler,
        where=run.where,
        input_collections=run.inputs,
        output_run=run.output_run,
        skip_existing_in=[run.output_run],
    )
    again = len(builder.finish(attach_datastore_records=False).assemble())
    fault = f"a second run would run {again} quanta again" if again else ""
    details = run.told if again else ""
    return Case(companion.name, step, "skip existing", time.monotonic() - started, fault, details)
