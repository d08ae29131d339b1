"""The report of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lsst.ctrl.rapid.model import Outcome, RefusedFile, Report, Shard, ShardReport, Times
from lsst.ctrl.rapid.monitor import RunRecord, phases, plot_latency, write_report

End = Callable[..., ShardReport]


def test_latency_is_overhead_and_the_time_without_a_free_worker(record: RunRecord, end: End) -> None:
    record.clock.update(1, 1010.0)
    record.clock.update(0, 1020.0)
    record.clock.update(1, 1022.0)
    free = end(1, 0, 1012.0, 0.5).overhead
    assert free is not None
    assert (free.latency_ms, free.no_worker_free_ms, free.overhead_ms) == (500, 0, 500)
    busy = end(1, 1, 1019.5, 3.0).overhead
    assert busy is not None
    assert (busy.latency_ms, busy.no_worker_free_ms, busy.overhead_ms) == (3000, 2000, 1000)


def test_warm_up_is_no_overhead(record: RunRecord, end: End) -> None:
    record.clock.update(1, 1030.0)
    parts = end(1, 0, 1001.0, 29.5).overhead
    assert parts is not None
    assert parts.no_worker_free_ms == pytest.approx(29_000)
    assert parts.overhead_ms == pytest.approx(500)


def test_the_worker_that_took_the_shard_does_not_count_as_busy(record: RunRecord) -> None:
    record.clock.update(1, 1001.0)
    record.clock.update(0, 1010.0)
    parts = record.overhead(Times(file_closed=1009.0, dispatched=1010.0, started=1012.0))
    assert parts is not None
    assert parts.no_worker_free_ms == 0
    assert parts.overhead_ms == 3000


def test_the_report_is_the_same_however_little_is_kept_in_memory(
    record: RunRecord, end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lsst.ctrl.rapid.monitor._shelf._SHARDS_KEPT", 2)
    record.clock.update(2, 1001.0)
    ended = [end(1, detector, 1002.0 + detector, committed=detector != 3) for detector in range(8)]
    ended.append(end(1, 0, 1020.0))
    record.published(Shard("summit", "step1a", "LSSTCam", 1, 7), 1030.0)
    report = record.report(ended=1100.0, interrupted=False)
    assert [shard.data_id["detector"] for shard in report.shards] == [1, 2, 3, 4, 5, 6, 7, 0]
    assert report.shards[2] == ended[3]
    assert report.shards[-1] == ended[-1]
    assert report.shards[-2].times.published == 1030.0
    assert report.summary.shards[Outcome.DONE] == 8
    assert record.shard(Shard("summit", "step1a", "LSSTCam", 1, 3)) == ended[3]
    assert record.report(ended=1100.0, interrupted=False) == report


@pytest.mark.parametrize("times", [Times(), Times(file_closed=1.0), Times(started=1.0)])
def test_a_shard_that_never_started_has_no_overhead(record: RunRecord, times: Times) -> None:
    assert record.overhead(times) is None


def test_percentiles_are_of_the_detectors_that_started(record: RunRecord, end: End) -> None:
    record.clock.update(2, 1001.0)
    waits = [0.1 * (i + 1) for i in range(20)]
    for i, waited in enumerate(waits):
        end(1, i, 1002.0 + i, waited)
    end(1, None, 1030.0, 60.0, step="step1b")
    end(1, 30, None, outcome=Outcome.FAILED)
    summary = record.report(ended=1100.0, interrupted=False).summary
    assert summary.overhead_ms.n == summary.latency_ms.n == 20
    assert summary.overhead_ms.p50 == pytest.approx(1e3 * np.percentile(waits, 50))
    assert summary.overhead_ms.p99 == pytest.approx(1e3 * np.percentile(waits, 99))
    assert summary.latency_ms.p50 == summary.overhead_ms.p50
    assert summary.no_worker_free_ms.p99 == 0
    assert summary.file_closed_to_committed_ms.p50 == pytest.approx(1e3 * (np.percentile(waits, 50) + 1.25))


def test_what_was_not_committed_is_in_no_commit_time(record: RunRecord, end: End) -> None:
    record.clock.update(2, 1001.0)
    end(1, 0, 1002.0)
    end(1, 1, 1002.0, committed=False)
    summary = record.report(ended=1100.0, interrupted=True).summary
    assert summary.file_closed_to_committed_ms.n == 1
    assert summary.overhead_ms.n == 2


def test_every_end_is_counted_once(record: RunRecord, end: End) -> None:
    record.clock.update(2, 1001.0)
    end(1, 0, 1002.0, outcome=Outcome.FAILED)
    end(1, 0, 1002.0)
    end(1, 1, 1003.0, outcome=Outcome.FAILED)
    end(2, 0, 1004.0, outcome=Outcome.SHED)
    end(2, None, 1005.0, step="step1b")
    record.refused(RefusedFile(path="/x.fits", reason="not a raw", time=1006.0))
    record.count_missing(Shard("p", "gather", "LSSTCam", 1), {1, 2, 3, 4})
    record.warm_up_seconds = 1.5
    report = record.report(ended=1100.0, interrupted=False)
    assert report.summary.shards == {Outcome.DONE: 2, Outcome.FAILED: 1, Outcome.SHED: 1}
    assert report.summary.exposures == 2
    assert report.summary.datasets_committed == 6
    assert report.summary.refused_files == 1
    assert report.summary.missing == 4
    assert report.summary.warm_up_seconds == 1.5
    assert [file.path for file in report.refused] == ["/x.fits"]
    assert len(report.shards) == 4
    assert record.outcomes[Outcome.DONE] == 2


def test_the_same_exposure_number_of_two_instruments_is_two_exposures(record: RunRecord) -> None:
    for instrument in ("LSSTCam", "LATISS"):
        shard = Shard("summit", "step1a", instrument, 1, 0)
        record.ended(
            shard,
            ShardReport(
                pipeline="summit",
                step="step1a",
                data_id=dict(shard.data_id),
                outcome=Outcome.SHED,
                times=Times(),
            ),
        )
    assert record.report(ended=1100.0, interrupted=False).summary.exposures == 2


def test_shards_are_in_the_order_in_which_they_finished(record: RunRecord, end: End) -> None:
    end(2, 0, 1005.0)
    end(1, 0, 1007.0)
    end(1, 1, 1003.0)
    report = record.report(ended=1100.0, interrupted=False)
    assert [shard.times.file_closed for shard in report.shards] == [1003.0, 1005.0, 1007.0]


def test_a_run_without_any_shard_has_a_report(record: RunRecord) -> None:
    report = record.report(ended=1001.0, interrupted=True)
    assert report.interrupted
    assert report.started == 1000.0
    assert report.ended == 1001.0
    assert report.workers == 2
    assert report.summary.overhead_ms.p50 is None
    assert report.summary.exposures == 0


def test_runs_are_named_once_in_the_order_in_which_they_were_written(record: RunRecord) -> None:
    for run in ("b", "a", "b"):
        record.ran_in(run)
    assert record.report(ended=1001.0, interrupted=False).runs == ("b", "a")


def test_publishing_is_remembered_beside_the_other_times(record: RunRecord, end: End) -> None:
    ended = end(1, None, 1002.0, step="step1b")
    shard = Shard("summit", "step1b", "LSSTCam", 1)
    record.published(shard, 1009.0)
    assert record.shard(shard) == ended.model_copy(
        update={"times": ended.times.model_copy(update={"published": 1009.0})}
    )
    record.published(Shard("summit", "step1b", "LSSTCam", 99), 1009.0)
    assert len(record.report(ended=1100.0, interrupted=False).shards) == 1


def test_a_written_report_reads_back(record: RunRecord, end: End, tmp_path: Path) -> None:
    end(1, 0, 1002.0)
    report = record.report(ended=1100.0, interrupted=False)
    path = tmp_path / "new" / "folder" / "report.json"
    write_report(report, path)
    assert Report.model_validate_json(path.read_text()) == report
    assert [file.name for file in path.parent.iterdir()] == ["report.json"]


def test_a_reader_never_sees_a_part_of_a_report(
    record: RunRecord, end: End, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.json"
    write_report(record.report(ended=1100.0, interrupted=False), path)
    before = path.read_text()
    end(1, 0, 1002.0)

    def torn(self: Path, text: str) -> int:
        with self.open("w") as file:
            file.write(text[: len(text) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", torn)
    with pytest.raises(OSError, match="No space left"):
        write_report(record.report(ended=1200.0, interrupted=False), path)
    assert path.read_text() == before


def test_phases_tell_where_the_time_of_each_step_went(record: RunRecord, end: End) -> None:
    record.clock.update(2, 1001.0)
    for detector in range(3):
        end(1, detector, 1002.0, 0.5)
    end(1, None, 1010.0, 0.5, step="step1b")
    found = phases(record.report(ended=1100.0, interrupted=False))
    first = {phase.name: phase for phase in found if phase.step == "step1a"}
    assert [phase.step for phase in found] == ["step1a"] * len(first) + ["step1b"] * (len(found) - len(first))
    expected = {
        "file closed to seen": 100,
        "seen to ready": 100,
        "ready to dispatched": 200,
        "no worker was free": 0,
        "dispatched to started": 100,
        "started to first quantum": 10,
        "isr": 500,
        "stats": 100,
        "last quantum to finished": 390,
        "finished to committed": 250,
        "file closed to committed": 1750,
    }
    assert list(first) == list(expected)
    for name, milliseconds in expected.items():
        assert first[name].p50 == pytest.approx(milliseconds, abs=0.01), name
        assert first[name].p99 == pytest.approx(milliseconds, abs=0.01), name
        assert first[name].n == 3
    whole = expected.pop("file closed to committed")
    assert sum(expected.values()) == whole


def test_phases_of_shards_without_times_are_left_out(record: RunRecord, end: End) -> None:
    end(1, 0, None, outcome=Outcome.SHED)
    assert phases(record.report(ended=1100.0, interrupted=False)) == []


def png_size(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def test_the_plot_is_a_picture(record: RunRecord, end: End, tmp_path: Path) -> None:
    record.clock.update(2, 1001.0)
    for detector in range(4):
        end(1, detector, 1002.0 + detector, 0.2, worker=f"worker-{detector % 2}")
    end(1, 9, 1009.0, outcome=Outcome.FAILED)
    path = tmp_path / "plots" / "latency.png"
    plot_latency(record.report(ended=1100.0, interrupted=False), path)
    width, height = png_size(path)
    assert width > 800
    assert height > 500


def test_a_run_without_shards_can_be_drawn(record: RunRecord, tmp_path: Path) -> None:
    plot_latency(record.report(ended=1100.0, interrupted=False), tmp_path / "latency.png")
    assert png_size(tmp_path / "latency.png")[0] > 800


def test_a_run_of_which_every_shard_failed_early_can_be_drawn(
    record: RunRecord, end: End, tmp_path: Path
) -> None:
    end(1, 1, None, outcome=Outcome.FAILED)
    plot_latency(record.report(ended=1100.0, interrupted=False), tmp_path / "latency.png")
    assert png_size(tmp_path / "latency.png")[0] > 800
