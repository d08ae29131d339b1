"""Quanta that were planned elsewhere: a worker runs them as they are and tells what became of each."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
from pathlib import Path

import pytest
from lsst.daf.butler import FileDataset, Quantum
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
from lsst.pipe.base.quantum_reports import ExecutionStatus
from lsst.pipe.base.tests.mocks import DirectButlerRepo, DynamicTestPipelineTaskConfig

from lsst.ctrl.rapid.engine import (
    ExplicitQuantum,
    QuantaRequest,
    ShardActor,
    ShardResponse,
    WarmUp,
    WorkerSetup,
)
from lsst.ctrl.rapid.plan import CompiledPipeline


@dataclasses.dataclass
class Bench:
    """A warm actor in this process, and the graph whose quanta it is given."""

    actor: ShardActor
    graph: PredictedQuantumGraph

    def quanta(self, detector: int) -> tuple[ExplicitQuantum, ...]:
        """A detector's quanta in the order of their tasks."""
        return tuple(
            ExplicitQuantum(quantum_id, label, self.graph.build_execution_quanta([quantum_id])[quantum_id])
            for label in ("task_auto1", "task_auto2")
            for data_id, quantum_id in self.graph.quanta_by_task[label].items()
            if data_id["detector"] == detector
        )

    def run(self, *quanta: ExplicitQuantum, **extra: object) -> ShardResponse:
        """Send quanta to the actor as the head does."""
        request = QuantaRequest("graph", quanta, **extra)
        return ShardResponse.model_validate_json(self.actor.run_quanta(pickle.dumps(request)))


@pytest.fixture
def bench(mock_repo: tuple[DirectButlerRepo, str]) -> Bench:
    repo, root = mock_repo
    repo.add_task(dimensions=["detector"], config=DynamicTestPipelineTaskConfig(fail_condition="detector=2"))
    exits = DynamicTestPipelineTaskConfig(fail_condition="detector=4", fail_exception="builtins.SystemExit")
    repo.add_task(dimensions=["detector"], config=exits)
    builder = repo.make_quantum_graph_builder()
    _move(repo, root, detector=1)
    graph = builder.finish(attach_datastore_records=True).assemble()
    compiled = CompiledPipeline("graph", graph.pipeline_graph, (), "")
    actor = ShardActor(pickle.dumps(WorkerSetup(root, (compiled,), (), frozenset(), 1e6)))
    warm = WarmUp.model_validate_json(actor.warm())
    assert warm.ok, warm.reason
    return Bench(actor, graph)


def _move(repo: DirectButlerRepo, root: str, detector: int) -> None:
    """Put an input where only its datastore record tells that it is."""
    ref = repo.butler.find_dataset(
        "dataset_auto0", collections="input_run", instrument="Cam1", detector=detector
    )
    elsewhere = Path(root) / "elsewhere.json"
    shutil.copy(repo.butler.getURI(ref).ospath, elsewhere)
    repo.butler.pruneDatasets([ref], disassociate=True, unstore=True, purge=True)
    repo.butler.ingest(FileDataset(path=str(elsewhere), refs=[ref]), transfer="direct")


def test_quanta_run_in_their_order_and_all_outputs_are_told(bench: Bench) -> None:
    quanta = bench.quanta(1)
    response = bench.run(*quanta)
    assert response.ok, response.reason
    assert [report.quantumId for report in response.reports] == [q.id for q in quanta]
    assert {report.status for report in response.reports} == {ExecutionStatus.SUCCESS}
    predicted = {ref.id for q in quanta for refs in q.quantum.outputs.values() for ref in refs}
    assert {output.id for output in response.outputs} == predicted


def test_a_failure_comes_through_and_blocks_what_reads_from_it(bench: Bench) -> None:
    response = bench.run(*bench.quanta(2), *bench.quanta(3))
    assert not response.ok
    failed, skipped, *others = response.reports
    assert failed.status is ExecutionStatus.FAILURE
    assert failed.dataId == {"instrument": "Cam1", "detector": 2}
    assert failed.exitCode == 1
    assert failed.exceptionInfo.className == "ValueError"
    assert "Simulated failure" in failed.exceptionInfo.message
    assert skipped.status is ExecutionStatus.SKIPPED
    assert [report.status for report in others] == [ExecutionStatus.SUCCESS] * 2
    assert "task_auto1_log" in {o.dataset_type for o in response.outputs if o.values == ("Cam1", 2)}


def test_what_an_earlier_request_made_is_read_where_it_was_written(bench: Bench) -> None:
    first, second = bench.quanta(1)
    made = bench.run(first)
    response = bench.run(second, datastore_records=made.datastore_records)
    assert response.ok, response.reason
    assert len(response.outputs) == 3


def test_a_quantum_whose_input_was_never_made_has_no_work(bench: Bench) -> None:
    _, second = bench.quanta(4)
    response = bench.run(second)
    assert response.ok, response.reason
    assert {output.dataset_type for output in response.outputs} == {"task_auto2_log", "task_auto2_metadata"}


def test_a_task_that_exits_fails_and_the_worker_goes_on(bench: Bench) -> None:
    response = bench.run(*bench.quanta(4), *bench.quanta(3))
    assert [report.exitCode for report in response.reports] == [0, 1, 0, 0]
    assert response.reports[1].exceptionInfo.className == "SystemExit"


def test_a_quantum_that_cannot_begin_is_told_like_any_failure(bench: Bench) -> None:
    first, _ = bench.quanta(1)
    bad = Quantum(taskClass=first.quantum.taskClass, dataId=first.quantum.dataId)
    response = bench.run(dataclasses.replace(first, quantum=bad), *bench.quanta(3))
    assert [report.exitCode for report in response.reports] == [1, 0, 0]
