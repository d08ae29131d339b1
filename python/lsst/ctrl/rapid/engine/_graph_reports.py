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


def describe_quantum(report: QuantumReport) -> str:
    """Return in one line which quantum did not end well, and why."""
    data_id = ", ".join(f"{name}={value!r}" for name, value in report.dataId.items())
    return f"{report.taskLabel} ({data_id}) {_reason(report)}"


def _reason(report: QuantumReport) -> str:
    if report.status is ExecutionStatus.SKIPPED:
        return "was not run, since a quantum before it failed"
    if report.status is ExecutionStatus.TIMEOUT:
        return "took longer than it may; its process was ended"
    if report.exceptionInfo is not None:
        return f"failed: {report.exceptionInfo.className}: {report.exceptionInfo.message}"
    code = report.exitCode or 0
    if code < 0 and code != _UNKNOWN:
        return f"failed: its process was killed by signal {-code} ({signal.strsignal(-code)})"
    return f"failed: its process ended with exit code {code}"
