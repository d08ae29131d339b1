"""Upstream's reports of quanta, out of what the workers answer."""

from __future__ import annotations

__all__ = ("describe_quantum",)

import signal

from lsst.pipe.base.quantum_reports import ExceptionInfo, ExecutionStatus, QuantumReport

from ._graph_outputs import GraphQuantum
from ._messages import ShardResponse
from ._process import TimeLimitError, WorkerLostError

_UNKNOWN = -1
"""Exit code of a process whose own is not known, as upstream has it."""


def report_of(
    quantum: GraphQuantum,
    what: ExecutionStatus | ShardResponse | WorkerLostError,
    *,
    exit_code: int | None = None,
    exception: Exception | None = None,
) -> QuantumReport:
    """Return a quantum's report.

    Parameters
    ----------
    quantum
        The quantum.
    what
        How it ended, or what its worker answered.
    exit_code, exception
        Where only its status is given.
    """
    match what:
        case ShardResponse(reports=(report,)):
            return report
        case ShardResponse(reason=reason):
            exit_code, exception, what = 1, RuntimeError(reason), ExecutionStatus.FAILURE
        case TimeLimitError():
            exit_code, what = what.exit_code, ExecutionStatus.TIMEOUT
        case WorkerLostError():
            exit_code = _UNKNOWN if what.exit_code is None else what.exit_code
            what = ExecutionStatus.FAILURE
    data_id = quantum.quantum.dataId
    assert data_id is not None, "A quantum of a graph has a data ID."
    return QuantumReport(
        quantumId=quantum.id,
        status=what,
        dataId=data_id,
        taskLabel=quantum.node.label,
        exitCode=exit_code,
        exceptionInfo=None if exception is None else ExceptionInfo.from_exception(exception),
    )


def describe_quantum(report: QuantumReport, timeout: float | None = None) -> str:
    """Return in one line which quantum did not end well, and why; upstream's words come first.

    Parameters
    ----------
    report
        The quantum's report.
    timeout
        Seconds that it might take.
    """
    reason = f": {found.className}: {found.message}" if (found := report.exceptionInfo) is not None else ""
    return fail_message(report, timeout) + reason


def fail_message(report: QuantumReport, timeout: float | None = None) -> str:
    """Return upstream's message of a quantum that did not end well, without a reason."""
    job = describe_job(report)
    code = report.exitCode or 0
    if report.status is ExecutionStatus.SKIPPED:
        return f"Upstream job failed for task {job}, skipping this task."
    if report.status is ExecutionStatus.TIMEOUT:
        limit = "" if timeout is None else f" ({timeout} sec)"
        return f"Timeout{limit} for task {job}, task is killed"
    if code < 0 and code != _UNKNOWN:
        return f"Task {job} failed, killed by signal {-code} ({signal.strsignal(-code)})"
    return f"Task {job} failed, exit code={code}"


def describe_job(report: QuantumReport) -> str:
    """Return which quantum a report is of, as upstream's executor writes it."""
    data_id = ", ".join(f"{name}: {value!r}" for name, value in report.dataId.items())
    return f"<{report.taskLabel} dataId={{{data_id}}}>"
