"""A pipeline and its companions, step by step."""

from __future__ import annotations

__all__ = ("try_companions",)

import concurrent.futures
import threading
from collections.abc import Callable, Sequence

from ._check import check_step
from ._junit import Case
from ._pipetask import PipetaskRun, run_step
from ._stage import Companion, Stage


def try_companions(
    stage: Stage,
    companions: Sequence[Companion],
    *,
    processes: int,
    timeout: float,
    told: Callable[[Sequence[Case]], None],
) -> Sequence[Case]:
    """Run every step of every pipeline with ``pipetask``, and check what it left.

    Parameters
    ----------
    stage
        The repository.
    companions
        The pipelines.  They do not read each other's outputs, so some run at the same time.
    processes
        How many of them.
    timeout
        Seconds after which a step is ended.
    told
        Called with the cases of each step as soon as it has been checked, by the threads that check.

    Returns
    -------
    cases
        In the order of pipelines, steps and tasks.  The steps after one that failed are skipped.
    """
    interrupted = threading.Event()

    def work(companion: Companion) -> Sequence[Case]:
        return _try_one(stage, companion, timeout, told, interrupted)

    with concurrent.futures.ThreadPoolExecutor(processes) as pool:
        try:
            return [case for cases in pool.map(work, companions) for case in cases]
        except BaseException:
            interrupted.set()
            raise


def _try_one(
    stage: Stage,
    companion: Companion,
    timeout: float,
    told: Callable[[Sequence[Case]], None],
    interrupted: threading.Event,
) -> Sequence[Case]:
    if interrupted.is_set():
        return []
    if not stage.has_exposure_for(companion):
        fault = (
            f"its expression {companion.selects.where!r} selects no simulated exposure: "
            f"there are {', '.join(stage.kinds())} of {stage.instrument}"
        )
        cases = [Case(companion.name, "", "exposures", failure=fault)]
        told(cases)
        return cases
    cases = []
    runs: list[PipetaskRun] = []
    failed = ""
    for step in companion.steps:
        if interrupted.is_set():
            break
        if failed:
            found = [
                Case(companion.name, step, label, skipped=f"{failed} failed")
                for label in companion.tasks(step)
            ]
        else:
            run = run_step(stage, companion, step, runs, timeout)
            runs.append(run)
            found = list(check_step(stage, companion, step, run))
        told(found)
        cases += found
        if any(case.failure for case in found):
            failed = step or companion.name
    return cases
