"""One execution of a quantum graph: which quantum runs when, what becomes of it, when that is registered."""

from __future__ import annotations

__all__ = ("GraphRules", "GraphRun")

import dataclasses
import logging
import time
from collections.abc import Callable
from uuid import UUID

from lsst.pipe.base import InvalidQuantumError
from lsst.pipe.base.graph_walker import GraphWalker
from lsst.pipe.base.mp_graph_executor import MPGraphExecutorError, MPTimeoutError
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
from lsst.pipe.base.quantum_reports import ExecutionStatus, QuantumReport, Report

from ..plan import records_from_message
from ._explicit import ExplicitQuantum, QuantaRequest
from ._graph_outputs import GraphOutputs, GraphQuantum, Made
from ._graph_provenance import GraphProvenance
from ._graph_queue import ReadyQuanta
from ._graph_reports import describe_job, describe_quantum, fail_message, report_of
from ._messages import ShardResponse
from ._process import WorkerAbsentError, WorkerLostError
from ._workers import Ended, Workers

_LOG = logging.getLogger(__name__)

_REGISTER_SECONDS = 0.5
_PROGRESS_SECONDS = 5.0
_WARM_UP_SECONDS = 360.0


@dataclasses.dataclass(frozen=True)
class GraphRules:
    """How a graph is executed.

    Attributes
    ----------
    timeout
        Seconds that a quantum may take.
    fail_fast
        Whether the first failure ends the execution.
    skip_existing
        Whether quanta that an earlier execution has done are left as they are.
    clobber_outputs
        Whether outputs of an earlier execution that are in the way are removed.
    raise_on_partial_outputs
        Whether a partial success is a failure.
    """

    timeout: float
    fail_fast: bool = False
    skip_existing: bool = False
    clobber_outputs: bool = False
    raise_on_partial_outputs: bool = True


class GraphRun:
    """One execution of a quantum graph.

    Parameters
    ----------
    name
        Name of the graph's pipeline in the workers' set-up.
    graph
        The graph.
    quanta
        All of its quanta, by their ID.
    outputs
        Its inputs and outputs in the repository.
    rules
        How it is executed.
    report
        Where every quantum's report is added.
    start_workers
        What gives the workers, once there is something to run.
    provenance
        What is told of every quantum that ended, if anything.
    """

    def __init__(
        self,
        name: str,
        graph: PredictedQuantumGraph,
        quanta: dict[UUID, GraphQuantum],
        outputs: GraphOutputs,
        rules: GraphRules,
        report: Report,
        start_workers: Callable[[], Workers],
        provenance: GraphProvenance | None,
    ) -> None:
        self._name = name
        self._quanta = quanta
        self._outputs = outputs
        self._rules = rules
        self._report = report
        self._start_workers = start_workers
        self._provenance = provenance
        self._walker: GraphWalker[UUID] = GraphWalker(graph.quantum_only_xgraph.copy())
        self._workers: Workers | None = None
        self._ready = ReadyQuanta()
        self._running: dict[UUID, str] = {}
        self._unregistered: list[Made] = []
        self._registered = self._told = time.monotonic()
        self._failures: list[QuantumReport] = []
        self._blocked: list[QuantumReport] = []
        self._done = 0

    def run(self) -> None:
        """Run all quanta that can be run.

        Raises
        ------
        lsst.pipe.base.mp_graph_executor.MPTimeoutError
            If quanta took too long, and none failed otherwise.
        lsst.pipe.base.mp_graph_executor.MPGraphExecutorError
            If quanta failed: at the end, or at once where the rules say so.
        RuntimeError
            If no worker can be warmed.
        """
        try:
            self._advance()
            while self._running or self._ready:
                self._wait()
                self._advance()
        except BaseException:
            self._stop()
            raise
        finally:
            self._register()
        self._tell()
        if not self._failures:
            return
        _LOG.error("Failed jobs:")
        for report in (*self._failures, *self._blocked):
            _LOG.error("  - %s: %s", _STATES[report.status], describe_job(report))
        timed_out = self._report.status is ExecutionStatus.TIMEOUT
        raise self._error(
            f"One or more tasks {'' if timed_out else 'failed or '}timed out during execution.  Of "
            f"{len(self._quanta)} quanta {len(self._failures)} failed, and {len(self._blocked)} that need "
            f"them were not run.  The first: {describe_quantum(self._failures[0], self._rules.timeout)}"
        )

    def _advance(self) -> None:
        """Take up quanta that nothing blocks any more, and give idle workers something to do."""
        while unblocked := next(self._walker, frozenset()):
            for quantum in sorted((self._quanta[key] for key in unblocked), key=_order):
                self._take_up(quantum)
        if not self._ready:
            return
        if self._workers is None:
            self._workers = self._start_workers()
        while self._ready and self._workers.idle:
            worker = min(self._workers.idle)
            quantum = self._ready.take(worker)
            request = QuantaRequest(
                self._name,
                (ExplicitQuantum(quantum.id, quantum.node.label, quantum.quantum),),
                datastore_records=self._outputs.records_for(quantum),
                raise_on_partial_outputs=self._rules.raise_on_partial_outputs,
            )
            self._running[quantum.id] = worker
            self._workers.run(worker, quantum.id, request, self._rules.timeout)

    def _take_up(self, quantum: GraphQuantum) -> None:
        """Let a quantum wait for a worker, or end it at once for what an earlier execution left."""
        try:
            exists = self._is_done(quantum)
        except Exception as err:  # noqa: BLE001 -- as upstream: it is this quantum's failure
            self._unregistered.append(Made(quantum, (), {}))
            self._fail(quantum, report_of(quantum, ExecutionStatus.FAILURE, exit_code=1, exception=err))
            return
        if exists:
            _LOG.info(
                "Skipping already-successful quantum for label=%s dataId=%s.",
                quantum.node.label,
                quantum.quantum.dataId,
            )
            self._succeed(quantum, report_of(quantum, ExecutionStatus.SUCCESS, exit_code=0))
        else:
            self._ready.add(quantum)

    def _is_done(self, quantum: GraphQuantum) -> bool:
        """Tell whether an earlier execution has done a quantum; remove what is in the way if it has not."""
        there = self._outputs.stored(quantum)
        if not there:
            return False
        missing = [ref for ref in self._outputs.outputs(quantum) if ref not in there]
        metadata = quantum.node.metadata_output.dataset_type_name
        if self._rules.skip_existing and (not missing or any(r.datasetType.name == metadata for r in there)):
            self._outputs.use(there)
            if self._provenance is not None:
                self._provenance.ended(quantum, frozenset(ref.id for ref in there))
            return True
        if self._rules.clobber_outputs:
            what = "partial" if missing else "complete"
            _LOG.info("Removing %s outputs for quantum %s: %s", what, quantum, there)
            self._outputs.prune(there)
            return False
        if not missing:
            raise RuntimeError(
                f"Complete outputs exists for a quantum {quantum} and neither clobberOutputs nor "
                f"skipExisting is set: existingRefs={there}"
            )
        raise RuntimeError(
            f"Registry inconsistency while checking for existing quantum outputs: quantum={quantum} "
            f"existingRefs={there} missingRefs={missing}; an earlier attempt left them: have them clobbered."
        )

    def _wait(self) -> None:
        """Wait for what happens next, and register what has waited long enough."""
        assert self._workers is not None, "What runs or is ready has workers."
        patience = None if self._running else _WARM_UP_SECONDS
        event = self._workers.next(_REGISTER_SECONDS if self._unregistered else patience)
        if event is None and not self._running and not self._unregistered:
            raise RuntimeError(f"No worker became warm within {_WARM_UP_SECONDS:g} s.")
        while event is not None:
            if isinstance(event, Ended):
                self._end(event)
            event = self._workers.next(0)
        now = time.monotonic()
        if self._unregistered and now - self._registered >= _REGISTER_SECONDS:
            self._advance()
            self._register()
        if now - self._told >= _PROGRESS_SECONDS:
            self._tell()

    def _end(self, event: Ended) -> None:
        """Take in how a quantum ended."""
        quantum = self._quanta[event.quantum_id]
        del self._running[quantum.id]
        if isinstance(event.answer, WorkerAbsentError):
            self._ready.add(quantum)
            return
        made = self._made(quantum, event.answer)
        report = report_of(quantum, event.answer)
        self._unregistered.append(made)
        self._outputs.made(made)
        if report.status is ExecutionStatus.SUCCESS:
            self._succeed(quantum, report)
        else:
            self._fail(quantum, report)

    def _made(self, quantum: GraphQuantum, answer: ShardResponse | WorkerLostError) -> Made:
        """Return what a quantum wrote; of one whose process died nobody knows."""
        if isinstance(answer, WorkerLostError):
            return Made(quantum, (), {})
        written = {output.id for output in answer.outputs}
        refs = [ref for ref in self._outputs.outputs(quantum) if ref.id in written]
        return Made(quantum, refs, records_from_message(answer.datastore_records))

    def _succeed(self, quantum: GraphQuantum, report: QuantumReport) -> None:
        self._report.quantaReports.append(report)
        self._outputs.ended(quantum)
        self._done += 1
        self._walker.finish(quantum.id)

    def _fail(self, quantum: GraphQuantum, report: QuantumReport) -> None:
        """Take in a failure, and that what reads from it is not run."""
        self._report.quantaReports.append(report)
        self._failures.append(report)
        if report.status is ExecutionStatus.FAILURE:
            self._report.status = ExecutionStatus.FAILURE
        elif self._report.status is ExecutionStatus.SUCCESS:
            self._report.status = ExecutionStatus.TIMEOUT
        if self._rules.fail_fast or report.exitCode == InvalidQuantumError.EXIT_CODE:
            raise self._error(describe_quantum(report, self._rules.timeout))
        _LOG.error(
            "%s; processing will continue for remaining tasks.", fail_message(report, self._rules.timeout)
        )
        if report.exceptionInfo is not None:
            _LOG.error("%s: %s", report.exceptionInfo.className, report.exceptionInfo.message)
        self._outputs.ended(quantum)
        for blocked in (self._quanta[key] for key in self._walker.fail(quantum.id)):
            skipped = report_of(blocked, ExecutionStatus.SKIPPED)
            self._report.quantaReports.append(skipped)
            self._outputs.ended(blocked)
            self._blocked.append(skipped)
            if self._provenance is not None:
                self._provenance.blocked(blocked)
            _LOG.error("%s", fail_message(skipped))

    def _error(self, message: str) -> MPGraphExecutorError:
        if self._report.status is ExecutionStatus.TIMEOUT:
            return MPTimeoutError(message)
        return MPGraphExecutorError(message)

    def _stop(self) -> None:
        """End what runs, so that nothing is written any more when the caller hears of the failure."""
        self._ready.clear()
        if self._workers is None:
            return
        for worker in self._running.values():
            self._workers.end(worker)
        for key in list(self._running):
            quantum, answer = self._quanta[key], self._workers.answer(key)
            del self._running[key]
            if isinstance(answer, ShardResponse):
                self._unregistered.append(self._made(quantum, answer))
                self._report.quantaReports.append(report_of(quantum, answer))

    def _register(self) -> None:
        """Register what ended quanta wrote."""
        batch, self._unregistered = self._unregistered, []
        self._outputs.register(batch)
        if self._provenance is not None:
            for made in batch:
                self._provenance.ended(made.quantum, frozenset(ref.id for ref in made.refs))
        self._registered = time.monotonic()

    def _tell(self) -> None:
        self._told = time.monotonic()
        failed = len(self._failures) + len(self._blocked)
        _LOG.info(
            "Executed %d quanta successfully, %d failed and %d remain out of total %d quanta.",
            self._done,
            failed,
            len(self._quanta) - self._done - failed,
            len(self._quanta),
        )


_STATES = {
    ExecutionStatus.FAILURE: "FAILED",
    ExecutionStatus.TIMEOUT: "TIMED_OUT",
    ExecutionStatus.SKIPPED: "FAILED_DEP",
}
"""Upstream's words for the states of jobs that did not end well."""


def _order(quantum: GraphQuantum) -> tuple[object, ...]:
    """Sort quanta as upstream's executor does."""
    data_id = quantum.quantum.dataId
    assert data_id is not None, "A quantum of a graph has a data ID."
    return quantum.node.label, *data_id.required_values
