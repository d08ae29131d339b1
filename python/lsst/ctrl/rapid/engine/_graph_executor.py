"""Upstream's interface for the execution of whole quantum graphs, on warm workers."""

from __future__ import annotations

__all__ = ("RapidGraphExecutor",)

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self, override

from lsst.daf.butler import Butler, ButlerConfig
from lsst.pipe.base import QuantumGraph
from lsst.pipe.base.mp_graph_executor import MPGraphExecutorError
from lsst.pipe.base.pipeline_graph import PipelineGraph
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
from lsst.pipe.base.quantum_graph_executor import QuantumGraphExecutor
from lsst.pipe.base.quantum_reports import Report

from ..model import InputError, LogSettings
from ..plan import CompiledPipeline, payload_hash
from ._graph_outputs import GraphOutputs, GraphQuantum
from ._graph_provenance import GraphProvenance
from ._graph_run import GraphRules, GraphRun
from ._state import WorkerSetup
from ._workers import Workers

_NAME = "graph"
_NO_LIMIT_SECONDS = 30 * 86400.0
_CACHE_BYTES = 1e9


class RapidGraphExecutor(QuantumGraphExecutor):
    """Runs quantum graphs on worker processes that stay warm; a drop-in for upstream's `MPGraphExecutor`.

    Parameters
    ----------
    butler
        The repository: a butler that may write, or its configuration or root.
    workers
        How many worker processes.
    timeout
        Seconds that a quantum may take before its process is ended; `None` for 30 days.
    fail_fast
        Whether the first failure ends the execution, and what runs with it.
    skip_existing
        Whether quanta whose metadata (or all of whose outputs) are in the output RUN are not run again.
    skip_existing_in
        The same, if the output RUN is among these collections.
    clobber_outputs
        Whether outputs of an earlier attempt are removed before a quantum is run; otherwise it fails.
    raise_on_partial_outputs
        Whether a task that annotates its error as partial success has failed.
    cache_bytes
        Memory of each worker for calibrations, bytes.
    log
        What workers log, and where; ``lsst`` from INFO on by default, in log datasets alone.

    Notes
    -----
    The output RUN must have been initialised, as for upstream's executor (`SeparablePipelineExecutor`'s
    ``pre_execute_qgraph``, or the graph's ``init_output_run``).

    A quantum is tried once.  Its outputs are registered by the calling process, in batches while the graph
    runs, and all of them when `execute` returns or raises; with those of failed quanta, but for quanta whose
    process died, of which nobody knows what they wrote.

    Within ``with`` the workers stay warm from one `execute` to the next of the same pipeline; otherwise each
    `execute` starts and ends its own.  Workers import the calling script, as those of upstream's do: it must
    guard what it does with ``if __name__ == "__main__":``.
    """

    def __init__(
        self,
        butler: Butler | str,
        *,
        workers: int = 1,
        timeout: float | None = None,
        fail_fast: bool = False,
        skip_existing: bool = False,
        skip_existing_in: Iterable[str] = (),
        clobber_outputs: bool = False,
        raise_on_partial_outputs: bool = True,
        cache_bytes: float = _CACHE_BYTES,
        log: LogSettings = LogSettings(),  # noqa: B008 -- it is frozen
    ) -> None:
        self._butler = butler
        self._repository = butler if isinstance(butler, str) else _root(butler)
        self._count = workers
        self._skip_existing_in = list(skip_existing_in)
        self._rules = GraphRules(
            timeout=_NO_LIMIT_SECONDS if timeout is None else timeout,
            fail_fast=fail_fast,
            skip_existing=skip_existing,
            clobber_outputs=clobber_outputs,
            raise_on_partial_outputs=raise_on_partial_outputs,
        )
        self._cache_bytes = cache_bytes
        self._log = log
        self._report: Report | None = None
        self._kept: tuple[str, Workers] | None = None
        self._keeps = False

    def __enter__(self) -> Self:
        self._keeps = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._keeps = False
        self.close()

    def close(self) -> None:
        """End the workers that were kept warm; the next `execute` starts others."""
        if self._kept is not None:
            _, workers = self._kept
            self._kept = None
            workers.close()

    @override
    def execute(
        self, graph: QuantumGraph | PredictedQuantumGraph, *, provenance_graph_file: str | None = None
    ) -> None:
        """Execute a whole graph.

        Parameters
        ----------
        graph
            The graph, of either of upstream's kinds.
        provenance_graph_file
            File to write the provenance quantum graph to, with any number of workers.

        Raises
        ------
        lsst.pipe.base.mp_graph_executor.MPTimeoutError
            If quanta took longer than they may, and none failed otherwise.
        lsst.pipe.base.mp_graph_executor.MPGraphExecutorError
            If quanta failed, or a task cannot run in a process of its own.  All others have been run then,
            unless ``fail_fast`` is set.
        lsst.ctrl.rapid.model.InputError
            If the graph is of other dimensions than the repository.
        lsst.daf.butler.MissingDatasetTypeError
            If an output's dataset type is not registered; nothing was run then.
        RuntimeError
            If no worker can be warmed.
        """
        if isinstance(graph, QuantumGraph):
            graph = PredictedQuantumGraph.from_old_quantum_graph(graph)
        self._report = report = Report(qgraphSummary=graph._make_summary())  # noqa: SLF001 -- as upstream's
        failed: MPGraphExecutorError | None = None
        try:
            with contextlib.ExitStack() as stack:
                butler = stack.enter_context(self._opened())
                provenance = None
                if provenance_graph_file is not None:
                    provenance = GraphProvenance(provenance_graph_file, graph, butler, stack)
                try:
                    self._run(graph, butler, report, provenance)
                except MPGraphExecutorError as err:
                    failed = err  # raised when the provenance is whole
                if provenance is not None:
                    provenance.finish()
            if failed is not None:
                raise failed
        except Exception as err:
            report.set_exception(err)
            raise

    @override
    def getReport(self) -> Report:
        """Return the report of the last `execute`.

        Raises
        ------
        RuntimeError
            If there was none.
        """
        if self._report is None:
            raise RuntimeError("getReport() called before execute()")
        return self._report

    def _run(
        self,
        graph: PredictedQuantumGraph,
        butler: Butler,
        report: Report,
        provenance: GraphProvenance | None,
    ) -> None:
        pipeline = graph.pipeline_graph
        if pipeline.universe != butler.dimensions:
            raise InputError(
                f"The graph's dimensions are {pipeline.universe}, those of {self._repository} are "
                f"{butler.dimensions}; make the graph from this repository."
            )
        built = graph.build_execution_quanta()
        quanta = {
            key: GraphQuantum(key, graph.quantum_only_xgraph.nodes[key]["pipeline_node"], quantum)
            for key, quantum in built.items()
        }
        for quantum in quanta.values():
            if not quantum.node.task_class.canMultiprocess:
                raise MPGraphExecutorError(
                    f"Task {quantum.node.label!r} does not support multiprocessing; use single process: "
                    "'pipetask run' without -j."
                )
        dataset_types = {name: node.dataset_type for name, node in pipeline.dataset_types.items()}
        butler.registry.refresh()
        outputs = GraphOutputs(butler, self._repository, dataset_types, quanta.values())
        with self._workers_for(pipeline) as start_workers:
            rules = self._rules_for(butler, graph.header.output_run)
            GraphRun(_NAME, graph, quanta, outputs, rules, report, start_workers, provenance).run()

    def _rules_for(self, butler: Butler, run: str) -> GraphRules:
        """Return the rules, with the output RUN looked for among the collections whose quanta are skipped."""
        if not self._skip_existing_in:
            return self._rules
        found = run in butler.collections.query(self._skip_existing_in, flatten_chains=True)
        return dataclasses.replace(self._rules, skip_existing=self._rules.skip_existing or found)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Butler]:
        """Yield the butler; one that was opened for this is closed again."""
        if isinstance(self._butler, Butler):
            yield self._butler
            return
        with Butler.from_config(self._butler, writeable=True) as butler:
            yield butler

    @contextlib.contextmanager
    def _workers_for(self, pipeline: PipelineGraph) -> Iterator[Callable[[], Workers]]:
        """Yield what gives workers for a pipeline: those kept warm, if they are for the same, or new ones."""
        wanted = payload_hash(pipeline)
        if self._kept is not None and self._kept[0] != wanted:
            self.close()

        def start() -> Workers:
            if self._kept is None:
                compiled = CompiledPipeline(_NAME, pipeline, (), wanted)
                setup = WorkerSetup(
                    self._repository, (compiled,), (), frozenset(), self._cache_bytes, log=self._log
                )
                self._kept = wanted, Workers(setup, self._count)
            workers = self._kept[1]
            while workers.next(0) is not None:
                pass  # what happened to them since the last graph
            return workers

        try:
            yield start
        finally:
            if not self._keeps:
                self.close()


def _root(butler: Butler) -> str:
    """Return where a butler's configuration is, which every worker reads for itself."""
    if not butler.isWriteable():
        raise InputError(f"{butler}: the butler cannot write; open it with writeable=True.")
    config = getattr(butler, "_config", None)
    if not isinstance(config, ButlerConfig) or config.configFile is None:
        raise InputError(f"{butler}: the butler has no configuration file that worker processes could read.")
    return str(config.configFile)
