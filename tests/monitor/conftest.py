"""Runs with known times."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lsst.ctrl.rapid.model import Outcome, QuantumTimes, Shard, ShardReport, Times
from lsst.ctrl.rapid.monitor import RunFacts, RunRecord

START = 1000.0


@pytest.fixture
def record() -> RunRecord:
    """A run that began at 1000 s; no worker is free yet."""
    return RunRecord(
        RunFacts(
            version="0.1",
            repo="/repo",
            pipeline="summit.yaml",
            instrument=("LSSTCam",),
            inputs=("LSSTCam/defaults",),
            output="u/me",
            workers=2,
            started=START,
        )
    )


@pytest.fixture
def end(record: RunRecord) -> Callable[..., ShardReport]:
    """A function that ends a shard whose file was closed at a time and that started some seconds later."""

    def end_shard(
        exposure: int,
        detector: int | None,
        closed: float | None,
        waited: float = 0.5,
        *,
        outcome: Outcome = Outcome.DONE,
        step: str = "step1a",
        worker: str = "worker-0",
        committed: bool = True,
    ) -> ShardReport:
        shard = Shard("summit", step, "LSSTCam", exposure, detector)
        times = Times()
        if closed is not None:
            started = closed + waited
            times = Times(
                file_closed=closed,
                seen=closed + 0.1,
                ready=closed + 0.2,
                dispatched=started - 0.1,
                started=started,
                quanta=(
                    QuantumTimes(label="isr", start=started + 0.01, end=started + 0.51),
                    QuantumTimes(label="stats", start=started + 0.51, end=started + 0.61),
                ),
                finished=started + 1.0,
                committed=started + 1.25 if committed else None,
            )
        report = ShardReport(
            pipeline="summit",
            step=step,
            data_id=dict(shard.data_id),
            outcome=outcome,
            worker=worker,
            datasets=3 if outcome is Outcome.DONE else 0,
            overhead=record.overhead(times) if outcome is not Outcome.SHED else None,
            times=times,
        )
        record.ended(shard, report)
        return report

    return end_shard
