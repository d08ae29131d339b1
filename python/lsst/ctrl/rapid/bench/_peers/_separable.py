"""Warm pipeline executors on local repositories with export to the central one: as Prompt Processing does."""

from __future__ import annotations

__all__ = ("SeparablePeer",)

from collections.abc import Sequence

from lsst.daf.butler import DatasetRef
from lsst.daf.butler.cli.cliLog import CliLog
from lsst.pipe.base import Pipeline
from lsst.pipe.base.mp_graph_executor import MPGraphExecutor
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
from lsst.pipe.base.separable_pipeline_executor import SeparablePipelineExecutor
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor
from lsst.pipe.base.taskFactory import TaskFactory

from .._cpu import cpu_seconds
from .._raws import INSTRUMENT, TinyRaw
from .._site import Repository, make_ingestor, pipeline_file, register_raws
from ._central import Central
from ._child import Child, Crew, obey

_TIMEOUT = 2_592_000.0


class SeparablePeer:
    """The peer (d).

    Parameters
    ----------
    repository
        Its own central repository.
    local
        A repository on SQLite for each process, with calibrations and detectors.
    """

    name = "(d) local repositories, export"

    def __init__(self, repository: Repository, local: Sequence[Repository]) -> None:
        self.repository = repository
        self._central = Central(repository, "bench/separable")
        for one in local:
            Central(one, self._central.run).close()
        self._crew = Crew(
            [Child(self.name, obey, _Worker, repository, one, self._central.run) for one in local]
        )

    def start(self) -> None:
        """Wait until it is warm."""
        for child in self._crew.children:
            child.receive()

    def prepare(self, raws: Sequence[TinyRaw]) -> Sequence[TinyRaw]:
        """Register the raws in the central repository, which somebody else does while they are processed."""
        return self._central.register(raws)

    def process(self, raws: Sequence[TinyRaw]) -> str:
        """Have each raw processed by whoever is free."""
        self._crew.run([("process", (raw,)) for raw in raws])
        return self._central.run

    def cpu(self) -> float:
        """Return the CPU seconds of its processes until now."""
        return cpu_seconds(child.pid for child in self._crew.children)

    def close(self) -> None:
        """End its processes."""
        self._crew.close()
        self._central.close()


class _Worker:
    """What a process keeps: both butlers, the pipeline, the executors."""

    def __init__(self, central: Repository, local: Repository, run: str) -> None:
        CliLog.initLog(longlog=False, log_tty=False)
        self._central = central.open(run=run, writeable=True)
        self._local = local.open(run=run, writeable=True)
        self._ingestor = make_ingestor(self._local)
        self._pipeline = Pipeline.from_uri(str(pipeline_file()))
        self._factory = TaskFactory()
        self._separable = SeparablePipelineExecutor(self._local, task_factory=self._factory)

    def process(self, raw: TinyRaw) -> None:
        register_raws(self._local, self._ingestor, [raw])
        where = f"instrument = '{INSTRUMENT}' AND exposure = {raw.exposure} AND detector = {raw.detector}"
        graph = self._separable.build_quantum_graph(self._pipeline, where)
        executor = MPGraphExecutor(
            num_proc=1,
            timeout=_TIMEOUT,
            # A new one: it writes the IDs of all that it has run into each log.
            quantum_executor=SingleQuantumExecutor(
                butler=self._local, task_factory=self._factory, assume_no_existing_outputs=True
            ),
        )
        self._separable.run_pipeline(graph, graph_executor=executor)
        self._central.transfer_from(self._local, _outputs(graph), transfer="copy")

    def close(self) -> None:
        self._local.close()
        self._central.close()


def _outputs(graph: PredictedQuantumGraph) -> list[DatasetRef]:
    """Return what the quanta of a graph write, logs and metadata included."""
    quanta = graph.build_execution_quanta()
    return [ref for quantum in quanta.values() for refs in quantum.outputs.values() for ref in refs]
