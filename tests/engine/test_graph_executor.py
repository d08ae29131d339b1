"""RapidGraphExecutor does what upstream's graph executor does, on real worker processes."""

from __future__ import annotations

import dataclasses
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lsst.ctrl.mpexec.cli.script.report import report_v2
from lsst.daf.butler import Butler, DatasetType
from lsst.pipe.base import InvalidQuantumError, PipelineGraph, QuantumAttemptStatus
from lsst.pipe.base.all_dimensions_quantum_graph_builder import AllDimensionsQuantumGraphBuilder
from lsst.pipe.base.mp_graph_executor import MPGraphExecutor, MPGraphExecutorError, MPTimeoutError
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph, ProvenanceQuantumGraph
from lsst.pipe.base.quantum_reports import ExecutionStatus, Report
from lsst.pipe.base.separable_pipeline_executor import SeparablePipelineExecutor
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor
from lsst.pipe.base.tests.mocks import DirectButlerRepo

from lsst.ctrl.rapid.engine import RapidGraphExecutor
from lsst.ctrl.rapid.model import InputError
from support.steered_tasks import SteeredConfig, SteeredTask, TotalConfig, TotalTask

SUCCESS, FAILURE, SKIPPED, TIMEOUT = (
    ExecutionStatus.SUCCESS,
    ExecutionStatus.FAILURE,
    ExecutionStatus.SKIPPED,
    ExecutionStatus.TIMEOUT,
)


@dataclasses.dataclass
class Bench:
    """A repository, a pipeline a -> b (per detector) -> total on it, and two workers that stay warm."""

    butler: Butler
    root: str
    folder: Path
    pipeline: PipelineGraph
    executor: RapidGraphExecutor
    runs: int = 0

    def predict(self, run: str) -> PredictedQuantumGraph:
        """Make a graph."""
        builder = AllDimensionsQuantumGraphBuilder(
            self.pipeline, self.butler, input_collections=["inputs"], output_run=run
        )
        return builder.finish(attach_datastore_records=False).assemble()

    def graph(self) -> PredictedQuantumGraph:
        """Make a graph into a new RUN, which is initialised."""
        self.runs += 1
        graph = self.predict(f"run{self.runs}")
        graph.init_output_run(self.butler.clone(run=graph.header.output_run, collections=None))
        return graph

    def order(self, **orders: str) -> None:
        """Tell tasks what to do: ``a_2="fail"``; others do their work."""
        for file in self.folder.iterdir():
            file.unlink()
        for name, order in orders.items():
            (self.folder / name.replace("_", ".")).write_text(order)

    def said(self) -> list[str]:
        """What the tasks said, in order."""
        file = self.folder / "said"
        return file.read_text().splitlines() if file.exists() else []

    def execute(
        self,
        graph: PredictedQuantumGraph,
        *,
        provenance: str | None = None,
        **rules: object,
    ) -> Report:
        """Execute with other rules, on the same workers."""
        before = self.executor._rules
        self.executor._rules = dataclasses.replace(before, **rules)
        try:
            self.executor.execute(graph, provenance_graph_file=provenance)
        finally:
            self.executor._rules = before
        return self.executor.getReport()

    def status(self) -> dict[str, ExecutionStatus]:
        """Each quantum's status, by label and detector."""
        reports = self.executor.getReport().quantaReports
        found = {f"{r.taskLabel}{r.dataId.get('detector', '')}": r.status for r in reports}
        assert len(found) == len(reports)
        return found

    def registered(self, run: str) -> dict[str, int]:
        """How many datasets of each type are in a RUN; all of them have their files."""
        counts: dict[str, int] = {}
        for ref in self.butler.query_all_datasets(run, find_first=False):
            assert self.butler.stored(ref)
            counts[ref.datasetType.name] = counts.get(ref.datasetType.name, 0) + 1
        return {name: n for name, n in counts.items() if not name.endswith("_config") and name != "packages"}


ALL = {f"{label}{detector}": SUCCESS for label in "ab" for detector in (1, 2, 3, 4)} | {"total": SUCCESS}
WHOLE = {"steered_a": 4, "steered_b": 4, "steered_total": 1} | {
    f"{label}_{kind}": n for label, n in (("a", 4), ("b", 4), ("total", 1)) for kind in ("log", "metadata")
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("orders")
    pipeline = PipelineGraph()
    for label, before in (("a", "in"), ("b", "a")):
        config = SteeredConfig(folder=str(folder))
        config.connections.input = f"steered_{before}"
        config.connections.output = f"steered_{label}"
        pipeline.add_task(label, SteeredTask, config=config)
    pipeline.add_task("total", TotalTask, config=TotalConfig(folder=str(folder)))
    with DirectButlerRepo.make_temporary("base.yaml") as (repo, root):
        butler = repo.butler
        made = DatasetType(
            "steered_in", ("instrument", "detector"), "StructuredDataDict", universe=butler.dimensions
        )
        butler.registry.registerDatasetType(made)
        butler.collections.register("inputs")
        for detector in (1, 2, 3, 4):
            butler.put({"path": []}, made, instrument="Cam1", detector=detector, run="inputs")
        pipeline.resolve(butler.registry)
        pipeline.register_dataset_types(butler)
        with RapidGraphExecutor(root, workers=2) as executor:
            yield Bench(butler, root, folder, pipeline, executor)


@pytest.fixture(autouse=True)
def no_orders(bench: Bench) -> None:
    bench.order()


def test_all_quanta_run_after_those_that_they_read_from(bench: Bench) -> None:
    graph = bench.graph()
    report = bench.execute(graph)
    assert report.status is SUCCESS
    assert bench.status() == ALL
    assert bench.registered(graph.header.output_run) == WHOLE
    said = bench.said()
    for detector in (1, 2, 3, 4):
        assert said.index(f"end a {detector}") < said.index(f"begin b {detector}") < said.index("begin total")


def test_a_failure_blocks_only_what_needs_it(bench: Bench) -> None:
    bench.order(a_2="fail")
    graph = bench.graph()
    words = (
        "One or more tasks failed or timed out during execution.*detector: 2.*ValueError: it fails on purpose"
    )
    with pytest.raises(MPGraphExecutorError, match=words):
        bench.execute(graph)
    assert bench.status() == ALL | {"a2": FAILURE, "b2": SKIPPED, "total": SKIPPED}
    report = bench.executor.getReport()
    assert report.status is FAILURE
    assert report.exceptionInfo.className.endswith("MPGraphExecutorError")
    registered = bench.registered(graph.header.output_run)
    assert registered["steered_b"] == 3
    assert (registered["a_log"], registered["a_metadata"]) == (4, 3)


def test_reports_are_those_of_upstreams_executor(bench: Bench) -> None:
    bench.order(a_2="fail", b_3="no work")
    ours = bench.graph()
    with pytest.raises(MPGraphExecutorError):
        bench.execute(ours)
    theirs = bench.graph()
    single = SingleQuantumExecutor(butler=bench.butler.clone(run=theirs.header.output_run))
    upstream = MPGraphExecutor(num_proc=1, timeout=100, quantum_executor=single)
    with pytest.raises(MPGraphExecutorError):
        upstream.execute(theirs)

    def told(report: Report) -> dict[object, object]:
        return {(r.taskLabel, *r.dataId.values()): (r.status, r.exceptionInfo) for r in report.quantaReports}

    assert told(bench.executor.getReport()) == told(upstream.getReport())
    assert bench.registered(ours.header.output_run) == bench.registered(theirs.header.output_run)


def test_no_work_is_no_failure_and_goes_down_the_chain(bench: Bench) -> None:
    bench.order(a_3="no work")
    graph = bench.graph()
    bench.execute(graph)
    assert bench.status() == ALL
    assert "begin b 3" not in bench.said()
    registered = bench.registered(graph.header.output_run)
    assert (registered["steered_a"], registered["steered_b"], registered["b_metadata"]) == (3, 3, 4)
    assert bench.butler.get("steered_total", instrument="Cam1", collections=graph.header.output_run) == {
        "n": 3
    }


def test_fail_fast_ends_what_runs_and_starts_nothing_more(bench: Bench) -> None:
    bench.order(a_1="hang", a_2="fail after begin a 1")
    graph = bench.graph()
    words = "Task <a dataId={instrument: 'Cam1', detector: 2}> failed, exit code=1: ValueError"
    with pytest.raises(MPGraphExecutorError, match=words):
        bench.execute(graph, fail_fast=True)
    assert bench.status() == {"a2": FAILURE}
    assert "begin a 1" in bench.said()
    assert bench.registered(graph.header.output_run) == {"a_log": 1}


def test_an_invalid_quantum_ends_the_execution(bench: Bench) -> None:
    bench.order(total="invalid")
    with pytest.raises(MPGraphExecutorError, match="invalid on purpose"):
        bench.execute(bench.graph())
    [failed] = [r for r in bench.executor.getReport().quantaReports if r.status is FAILURE]
    assert failed.exitCode == InvalidQuantumError.EXIT_CODE


def test_an_interrupt_ends_what_runs_and_registers_what_ended(bench: Bench) -> None:
    bench.order(a_1="hang")
    graph = bench.graph()

    ended = threading.Event()

    def interrupt() -> None:
        while len(bench.said()) < 13:
            time.sleep(0.02)
        # Python drops one that is raised where nothing can be, as in a finalizer; a person types another.
        while not ended.is_set():
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            ended.wait(60)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            bench.execute(graph)
    finally:
        ended.set()
        interrupting.join()
    registered = bench.registered(graph.header.output_run)
    assert (registered["steered_a"], registered["steered_b"]) == (3, 3)
    assert "end a 1" not in bench.said()


def test_a_quantum_that_takes_too_long_is_ended_and_its_worker_replaced(bench: Bench) -> None:
    bench.order(a_1="hang")
    graph = bench.graph()
    words = r"One or more tasks timed out during execution.*Timeout \(2.0 sec\) for task <a .*detector: 1"
    with pytest.raises(MPTimeoutError, match=words):
        bench.execute(graph, timeout=2.0)
    assert bench.status() == ALL | {"a1": TIMEOUT, "b1": SKIPPED, "total": SKIPPED}
    assert bench.executor.getReport().status is TIMEOUT


def test_a_worker_that_dies_is_a_failure_with_its_signal(bench: Bench) -> None:
    bench.order(a_4="die")
    with pytest.raises(MPGraphExecutorError, match=r"failed, killed by signal 9 \(Killed\)"):
        bench.execute(bench.graph())
    assert bench.status() == ALL | {"a4": FAILURE, "b4": SKIPPED, "total": SKIPPED}
    [code] = {r.exitCode for r in bench.executor.getReport().quantaReports if r.status is FAILURE}
    assert code == -9


def test_what_a_process_left_that_died_is_read_by_nobody(bench: Bench) -> None:
    bench.order(a_1_late="die")
    graph = bench.graph()
    with pytest.raises(MPGraphExecutorError, match="killed by signal 9"):
        bench.execute(graph)
    bench.order(a_1="no work")
    bench.execute(graph, skip_existing=True)
    registered = bench.registered(graph.header.output_run)
    assert (registered["steered_a"], registered["steered_b"]) == (3, 3)


def test_what_was_done_is_skipped_and_serves_what_was_not(bench: Bench) -> None:
    bench.order(b_2="fail")
    graph = bench.graph()
    with pytest.raises(MPGraphExecutorError):
        bench.execute(graph)
    bench.order()
    bench.execute(graph, skip_existing=True, clobber_outputs=True)
    assert bench.status() == ALL
    assert [line for line in bench.said() if line.startswith("begin")] == ["begin b 2", "begin total"]
    assert bench.registered(graph.header.output_run) == WHOLE


def test_outputs_in_the_way_are_a_failure(bench: Bench) -> None:
    bench.order(b_2="fail")
    graph = bench.graph()
    with pytest.raises(MPGraphExecutorError):
        bench.execute(graph)
    with pytest.raises(
        MPGraphExecutorError,
        match=r"b .*detector: 2.*Registry inconsistency while checking for existing quantum outputs",
    ):
        bench.execute(graph, skip_existing=True)
    assert bench.status() == ALL | {"b2": FAILURE, "total": SKIPPED}


def test_clobbering_runs_everything_again(bench: Bench) -> None:
    graph = bench.graph()
    bench.execute(graph)
    bench.order(b_1="longer")
    bench.execute(graph, clobber_outputs=True)
    assert len(bench.said()) == 17
    run = graph.header.output_run
    assert bench.registered(run) == WHOLE
    again = bench.butler.get("steered_b", instrument="Cam1", detector=1, collections=run)
    assert again == {"path": ["a", "b", *["longer"] * 9]}


def test_what_another_graph_registered_is_never_written_over(bench: Bench) -> None:
    graph = bench.graph()
    run = graph.header.output_run
    another = bench.predict(run)
    bench.execute(graph)
    with pytest.raises(MPGraphExecutorError, match="by another quantum graph"):
        bench.execute(another, clobber_outputs=True)
    assert bench.registered(run) == WHOLE
    assert bench.butler.get("steered_b", instrument="Cam1", detector=1, collections=run) == {
        "path": ["a", "b"]
    }


def test_workers_stay_warm_from_one_graph_to_the_next(bench: Bench) -> None:
    bench.execute(bench.graph())
    before = bench.executor._kept
    assert before is not None
    bench.execute(bench.graph())
    assert bench.executor._kept is before


def test_a_graph_of_the_old_kind_runs_too(bench: Bench) -> None:
    graph = bench.graph()
    bench.execute(graph.to_old_quantum_graph())
    assert bench.status() == ALL
    assert bench.registered(graph.header.output_run) == WHOLE


async def test_it_is_a_plug_in_of_upstreams_separable_executor(bench: Bench) -> None:
    """Also from a thread with a running event loop."""
    bench.runs += 1
    butler = bench.butler.clone(run=f"run{bench.runs}", collections=["inputs"])
    upstream = SeparablePipelineExecutor(butler)
    graph = bench.predict(f"run{bench.runs}")
    upstream.pre_execute_qgraph(graph)
    upstream.run_pipeline(graph, graph_executor=bench.executor)
    assert bench.status() == ALL
    assert bench.registered(f"run{bench.runs}") == WHOLE


def test_provenance_tells_how_every_quantum_ended(bench: Bench, tmp_path: Path) -> None:
    bench.order(a_1="fail", a_2="no work", a_3="die")
    path = str(tmp_path / "provenance.qg")
    with pytest.raises(MPGraphExecutorError):
        bench.execute(bench.graph(), provenance=path)
    with ProvenanceQuantumGraph.from_args(path) as (found, _):
        told = {
            (info["task_label"], info["data_id"].get("detector")): info
            for info in found.quantum_only_xgraph.nodes.values()
        }
    good, bad, blocked = (
        QuantumAttemptStatus.SUCCESSFUL,
        QuantumAttemptStatus.FAILED,
        QuantumAttemptStatus.BLOCKED,
    )
    assert {detector: told["a", detector]["status"] for detector in (1, 2, 3, 4)} == {
        1: bad,
        2: good,
        3: bad,
        4: good,
    }
    assert {detector: told["b", detector]["status"] for detector in (1, 2, 3, 4)} == {
        1: blocked, 2: good, 3: blocked, 4: good
    }  # fmt: skip
    assert told["total", None]["status"] is blocked
    assert told["a", 1]["exception"].message == "it fails on purpose"
    assert told["a", 4]["resource_usage"] is not None


def test_pipetask_report_reads_the_run(bench: Bench, tmp_path: Path) -> None:
    bench.order(a_1="fail")
    graph = bench.graph()
    with pytest.raises(MPGraphExecutorError):
        bench.execute(graph)
    graph.to_old_quantum_graph().saveUri(str(tmp_path / "graph.qgraph"))
    report_v2(bench.root, [str(tmp_path / "graph.qgraph")], None, "", str(tmp_path / "report.json"))
    tasks = json.loads((tmp_path / "report.json").read_text())["tasks"]
    assert {label: (t["n_successful"], t["n_failed"], t["n_blocked"]) for label, t in tasks.items()} == {
        "a": (3, 1, 0),
        "b": (3, 0, 1),
        "total": (0, 0, 1),
    }


def test_there_is_no_report_before_something_was_executed(bench: Bench) -> None:
    with pytest.raises(RuntimeError, match=r"getReport\(\) called before execute\(\)"):
        RapidGraphExecutor(bench.root).getReport()


class AloneTask(SteeredTask):
    """A task that no process of its own can run."""

    canMultiprocess = False  # noqa: N815 -- upstream's name


@pytest.mark.parametrize("where", ["detector = 77", ""])
def test_a_task_for_a_single_process_is_refused_where_it_has_quanta(bench: Bench, where: str) -> None:
    """A graph without quanta does nothing, as upstream's executor has it."""
    config = SteeredConfig(folder=str(bench.folder))
    config.connections.input, config.connections.output = "steered_in", "steered_alone"
    pipeline = PipelineGraph()
    pipeline.add_task("alone", AloneTask, config=config)
    pipeline.resolve(bench.butler.registry)
    builder = AllDimensionsQuantumGraphBuilder(
        pipeline,
        bench.butler,
        input_collections=["inputs"],
        output_run="alone",
        where=f"instrument = 'Cam1' AND {where}" if where else "",
    )
    pipeline.register_dataset_types(bench.butler)
    executor = RapidGraphExecutor(bench.root)
    graph = builder.finish(attach_datastore_records=False).assemble()
    if where:
        executor.execute(graph)
        assert executor.getReport().status is SUCCESS
        return
    words = "Task 'alone' does not support multiprocessing; use single process"
    with pytest.raises(MPGraphExecutorError, match=words):
        executor.execute(graph)


def test_a_butler_that_cannot_write_is_refused(bench: Bench) -> None:
    with Butler.from_config(bench.root) as butler, pytest.raises(InputError, match="writeable"):
        RapidGraphExecutor(butler)
