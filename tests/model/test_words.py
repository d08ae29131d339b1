"""Shards, outcomes and the report as data."""

from __future__ import annotations

import json

import pydantic
import pytest

from lsst.ctrl.rapid.model import (
    Outcome,
    OutcomeRecord,
    OverheadParts,
    Percentiles,
    QuantumTimes,
    RefusedFile,
    Report,
    Shard,
    ShardReport,
    Summary,
    Times,
)

TIMES = Times(
    shutter_closed=1.0,
    file_closed=2.0,
    seen=2.5,
    ready=3.0,
    dispatched=3.25,
    started=3.5,
    quanta=(QuantumTimes(label="isr", start=3.5, end=4.0),),
    finished=4.5,
    committed=5.0,
)


def make_report() -> Report:
    shard = ShardReport(
        pipeline="summit",
        step="step1a",
        data_id={"instrument": "LSSTCam", "detector": 7, "exposure": 2026050100123},
        outcome=Outcome.DONE,
        worker="worker-0",
        planned_by="memory",
        run="u/me/20260501/summit-abc",
        datasets=5,
        overhead=OverheadParts(latency_ms=1500, no_worker_free_ms=250, overhead_ms=1250),
        times=TIMES,
    )
    failed = shard.model_copy(update={"outcome": Outcome.FAILED, "reason": "no bias", "overhead": None})
    return Report(
        version="0.1",
        repo="/repo",
        pipeline="summit.yaml",
        instrument=("LSSTCam",),
        inputs=("LSSTCam/defaults",),
        output="u/me",
        runs=("u/me/20260501/summit-abc",),
        started=0.0,
        ended=10.0,
        workers=2,
        summary=Summary(
            exposures=1,
            shards={Outcome.DONE: 1, Outcome.FAILED: 1, Outcome.SHED: 0},
            missing=0,
            refused_files=1,
            datasets_committed=5,
            warm_up_seconds=1.5,
            overhead_ms=Percentiles(p50=1250, p99=1250, n=1),
            latency_ms=Percentiles(p50=1500, p99=1500, n=1),
            no_worker_free_ms=Percentiles(p50=250, p99=250, n=1),
            file_closed_to_committed_ms=Percentiles(),
        ),
        shards=(shard, failed),
        refused=(RefusedFile(path="/x.fits", reason="not a raw", time=3.0),),
    )


def test_a_report_survives_json() -> None:
    report = make_report()
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_a_report_is_plain_to_readers_without_our_models() -> None:
    data = json.loads(make_report().model_dump_json())
    assert data["schema_version"] == 1
    assert data["summary"]["shards"] == {"done": 1, "failed": 1, "shed": 0}
    assert data["shards"][0]["data_id"] == {"instrument": "LSSTCam", "detector": 7, "exposure": 2026050100123}
    assert data["shards"][0]["times"]["quanta"] == [{"label": "isr", "start": 3.5, "end": 4.0}]
    assert data["shards"][1]["outcome"] == "failed"


def test_a_report_of_another_schema_is_refused() -> None:
    data = json.loads(make_report().model_dump_json())
    with pytest.raises(pydantic.ValidationError, match="schema_version"):
        Report.model_validate({**data, "schema_version": 2})
    with pytest.raises(pydantic.ValidationError, match="colour"):
        Report.model_validate({**data, "colour": "red"})


def test_an_outcome_record_survives_the_plain_dictionary_that_is_stored() -> None:
    record = OutcomeRecord(
        outcome=Outcome.FAILED, reason="no bias", attempts=2, worker="w", planned_by="memory", times=TIMES
    )
    stored = json.loads(json.dumps(record.model_dump(mode="json")))
    assert stored["outcome"] == "failed"
    assert OutcomeRecord.model_validate(stored) == record


def test_an_outcome_record_of_a_shed_shard_needs_no_worker() -> None:
    record = OutcomeRecord(outcome=Outcome.SHED, attempts=0, times=Times())
    assert record.worker is None
    assert record.times.started is None
    assert OutcomeRecord.model_validate_json(record.model_dump_json()) == record


def test_an_unknown_outcome_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError):
        OutcomeRecord.model_validate({"outcome": "lost", "attempts": 1, "times": {}})


def test_a_shard_of_a_detector_and_a_gather_have_their_data_ids() -> None:
    one = Shard("summit", "step1a", "LSSTCam", 2026050100123, 7)
    gather = Shard("summit", "step1b", "LSSTCam", 2026050100123)
    assert one.data_id == {"instrument": "LSSTCam", "detector": 7, "exposure": 2026050100123}
    assert gather.data_id == {"instrument": "LSSTCam", "exposure": 2026050100123}
    assert str(one) == "summit#step1a LSSTCam exposure 2026050100123 detector 7"
    assert str(gather) == "summit#step1b LSSTCam exposure 2026050100123"


def test_detector_zero_is_a_detector() -> None:
    shard = Shard("summit", "step1a", "LATISS", 1, 0)
    assert shard.data_id["detector"] == 0
    assert "detector 0" in str(shard)
