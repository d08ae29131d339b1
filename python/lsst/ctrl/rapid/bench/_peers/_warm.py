"""Warm processes, each with a full butler, that build every image's quantum graph: as Rapid Analysis does."""

from __future__ import annotations

__all__ = ("WarmPeer",)

from collections.abc import Sequence

from lsst.daf.butler.cli.cliLog import CliLog
from lsst.pipe.base import Pipeline
from lsst.pipe.base.all_dimensions_quantum_graph_builder import AllDimensionsQuantumGraphBuilder
from lsst.pipe.base.caching_limited_butler import CachingLimitedButler
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

from .._cpu import cpu_seconds
from .._raws import INSTRUMENT, TinyRaw
from .._site import INPUTS, Repository, pipeline_file
from ._central import Central
from ._child import Child, Crew, obey

_CALIBRATIONS = frozenset({"tiny_bias"})
_IMAGES = frozenset({"raw", "tiny_image"})


class WarmPeer:
    """The peer (c).

    Parameters
    ----------
    repository
        Its own.
    workers
        How many processes.
    """

    name = "(c) warm processes, full butler"

    def __init__(self, repository: Repository, workers: int) -> None:
        self.repository = repository
        self._central = Central(repository, "bench/warm")
        self._crew = Crew(
            [Child(self.name, obey, _Worker, repository, self._central.run) for _ in range(workers)]
        )

    def start(self) -> None:
        """Wait until it is warm."""
        for child in self._crew.children:
            child.receive()

    def prepare(self, raws: Sequence[TinyRaw]) -> Sequence[TinyRaw]:
        """Register the raws."""
        return self._central.register(raws)

    def process(self, raws: Sequence[TinyRaw]) -> str:
        """Have each raw processed by whoever is free."""
        self._crew.run([("process", (raw.exposure, raw.detector)) for raw in raws])
        return self._central.run

    def cpu(self) -> float:
        """Return the CPU seconds of its processes until now."""
        return cpu_seconds(child.pid for child in self._crew.children)

    def close(self) -> None:
        """End its processes."""
        self._crew.close()
        self._central.close()


class _Worker:
    """What a process keeps: butler, resolved pipeline, objects of the dataset types that tasks read."""

    def __init__(self, repository: Repository, run: str) -> None:
        CliLog.initLog(longlog=False, log_tty=False)
        self._run = run
        self._butler = repository.open(run=run, writeable=True)
        self._graph = Pipeline.from_uri(str(pipeline_file())).to_graph(registry=self._butler.registry)
        self._cache = CachingLimitedButler(
            self._butler,
            cache_on_put=_IMAGES,
            cache_on_get=_IMAGES | _CALIBRATIONS,
            no_copy_on_cache=_IMAGES | _CALIBRATIONS,
        )

    def process(self, exposure: int, detector: int) -> None:
        builder = AllDimensionsQuantumGraphBuilder(
            self._graph,
            self._butler,
            where="instrument = this_instrument AND exposure = this_exposure AND detector = this_detector",
            bind={"this_instrument": INSTRUMENT, "this_exposure": exposure, "this_detector": detector},
            input_collections=[INPUTS],
            output_run=self._run,
        )
        # Datastore records are for quantum-backed butlers; without them a graph is built sooner.
        graph = builder.finish(attach_datastore_records=False).assemble()
        graph.build_execution_quanta()
        # A new one: it writes the IDs of all that it has run into each log.
        executor = SingleQuantumExecutor(butler=self._cache, assume_no_existing_outputs=True)
        for label in graph.pipeline_graph.tasks:
            for quantum_id in graph.quanta_by_task.get(label, {}).values():
                found = graph.quantum_only_xgraph.nodes[quantum_id]
                executor.execute(found["pipeline_node"], found["quantum"], quantum_id=quantum_id)

    def close(self) -> None:
        self._butler.close()
