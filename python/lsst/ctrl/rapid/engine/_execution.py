"""Runs planned quanta one after another with upstream's executor of single quanta."""

from __future__ import annotations

__all__ = ("Executed", "execute_quanta", "explain")

import dataclasses
import time
from collections.abc import Callable, Sequence
from uuid import UUID

from lsst.pipe.base import ExecutionResources, InvalidQuantumError, TaskFactory
from lsst.pipe.base.quantum_reports import ExceptionInfo, ExecutionStatus, QuantumReport
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor
from lsst.utils.introspection import get_full_type_name

from .._phases import Phase, reached
from ..datastore import StorageError
from ..model import QuantumTimes, causes
from ..plan import PlannedQuantum
from ._butler import ShardButler
from ._messages import StorageFault
from ._refs import all_refs

_FAILED = 1
"""Exit code of upstream's process of a quantum whose task raised."""


@dataclasses.dataclass(frozen=True)
class Executed:
    """What became of quanta.

    Attributes
    ----------
    times
        Of each quantum that ran.
    reports
        Of each quantum, upstream's.
    reason
        The first failure, or ``""``.
    yielded
        Whether quanta are left because it was asked to stop.
    storage
        Why nothing can be written, if that ended it; what is left was not run.
    """

    times: tuple[QuantumTimes, ...]
    reports: tuple[QuantumReport, ...]
    reason: str
    yielded: bool
    storage: StorageFault | None = None


def execute_quanta(
    planned: Sequence[PlannedQuantum],
    butler: ShardButler,
    task_factory: TaskFactory,
    *,
    ended: Sequence[QuantumReport] = (),
    asked: Callable[[], bool] = lambda: False,
    raise_on_partial_outputs: bool = True,
) -> Executed:
    """Run quanta one after another; a failure stops only those that read what it should have made.

    Parameters
    ----------
    planned
        The quanta, each after those whose outputs it reads.
    butler
        What they read from and write to.
    task_factory
        What constructs the tasks.
    ended
        Reports of the first of the quanta, which were run before.
    asked
        Whether it has been asked to stop; looked at before each quantum.
    raise_on_partial_outputs
        Whether a partial success is a failure.
    """
    executor = SingleQuantumExecutor(
        butler=butler,
        task_factory=task_factory,
        assume_no_existing_outputs=True,
        resources=ExecutionResources(num_cores=1),
        raise_on_partial_outputs=raise_on_partial_outputs,
    )
    times: list[QuantumTimes] = []
    reports: list[QuantumReport] = []
    blocked: set[UUID] = set()
    reason = ""
    for quantum, before in zip(planned, ended, strict=False):
        if before.status is not ExecutionStatus.SUCCESS:
            blocked |= _outputs(quantum)
    for quantum in planned[len(ended) :]:
        outputs = _outputs(quantum)
        if blocked & {ref.id for ref in all_refs([quantum.quantum.inputs.values()])}:
            blocked |= outputs
            reports.append(_report(quantum, ExecutionStatus.SKIPPED))
            continue
        if asked():
            return Executed(tuple(times), tuple(reports), reason, yielded=True)
        reached(Phase.RUNNING)
        start = time.time()
        try:
            executor.execute(quantum.node, quantum.quantum, quantum_id=quantum.id)
        except BaseException as err:  # noqa: BLE001 -- any failure of a task is its outcome, even its exit
            blocked |= outputs
            reason = reason or f"{quantum.node.label}: {explain(err)}"
            reports.append(_failure(quantum, _truth(err)))
            if (fault := _storage_fault(err)) is not None:
                reason = f"{quantum.node.label}: {fault.reason}"
                return Executed(tuple(times), tuple(reports), reason, yielded=False, storage=fault)
        else:
            reports.append(_report(quantum, ExecutionStatus.SUCCESS, exit_code=0))
        times.append(QuantumTimes(label=quantum.node.label, start=start, end=time.time()))
    return Executed(tuple(times), tuple(reports), reason, yielded=False)


def _outputs(quantum: PlannedQuantum) -> set[UUID]:
    return {ref.id for ref in all_refs([quantum.quantum.outputs.values()])}


def explain(err: BaseException) -> str:
    """Return why a quantum failed, in one line of log."""
    err = _truth(err)
    return f"{type(err).__name__}: {err}"


def _storage_fault(err: BaseException) -> StorageFault | None:
    """Return why nothing can be written, if that is what led to an error."""
    for cause in causes(err):
        if isinstance(cause, StorageError):
            return StorageFault(reason=cause.reason, folder=cause.folder)
    return None


def _truth(err: BaseException) -> BaseException:
    """Return what a task raised.

    A task whose constructor raises surfaces upstream as an `UnboundLocalError`; the truth is in its context.
    """
    if isinstance(err, UnboundLocalError) and err.__context__ is not None:
        return err.__context__
    return err


def _failure(quantum: PlannedQuantum, err: BaseException) -> QuantumReport:
    """Return a failed quantum's report, with the exit code that a process of its own would have had."""
    code = _FAILED
    if isinstance(err, InvalidQuantumError):
        code = err.EXIT_CODE
    elif isinstance(err, SystemExit) and isinstance(err.code, int):
        code = err.code or _FAILED
    told = ExceptionInfo(className=get_full_type_name(err), message=str(err))
    return _report(quantum, ExecutionStatus.FAILURE, exit_code=code, exception=told)


def _report(
    quantum: PlannedQuantum,
    status: ExecutionStatus,
    *,
    exit_code: int | None = None,
    exception: ExceptionInfo | None = None,
) -> QuantumReport:
    data_id = quantum.quantum.dataId
    assert data_id is not None, "A planned quantum has a data ID."
    return QuantumReport(
        quantumId=quantum.id,
        status=status,
        dataId=data_id,
        taskLabel=quantum.node.label,
        exitCode=exit_code,
        exceptionInfo=exception,
    )
