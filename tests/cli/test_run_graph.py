"""``rapid-exec run-graph``: a graph from a file into its RUN, and what it says when that cannot be."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from lsst.daf.butler import Butler
from lsst.pipe.base.all_dimensions_quantum_graph_builder import AllDimensionsQuantumGraphBuilder
from lsst.pipe.base.quantum_graph import ProvenanceQuantumGraph
from lsst.pipe.base.tests.mocks import DirectButlerRepo, DynamicTestPipelineTaskConfig

from lsst.ctrl.rapid.ingest import make_repository
from support.processes import pipetask, rapid_here


@dataclasses.dataclass
class Bench:
    """A repository with a pipeline of two mock tasks, of which the second fails for detector 2."""

    butler: Butler
    root: str
    repo: DirectButlerRepo
    folder: Path

    def graph(self, run: str) -> Path:
        """Write a graph into a file."""
        builder = AllDimensionsQuantumGraphBuilder(
            self.repo.pipeline_graph, self.butler, input_collections=["input_chain"], output_run=run
        )
        path = self.folder / f"{run}.qg"
        builder.finish(output="chain", attach_datastore_records=False).write(str(path))
        return path


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with DirectButlerRepo.make_temporary("base.yaml") as (repo, root):
        repo.add_task(dimensions=["detector"])
        repo.add_task(
            dimensions=["detector"], config=DynamicTestPipelineTaskConfig(fail_condition="detector=2")
        )
        repo.make_quantum_graph_builder(register_output_dataset_types=False)
        yield Bench(repo.butler, root, repo, tmp_path_factory.mktemp("graphs"))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another repository, of the same dimensions."""
    root = tmp_path_factory.mktemp("other") / "repo"
    make_repository(root, ["LATISS"])
    return root


def test_types_that_are_not_registered_are_told(bench: Bench) -> None:
    output = rapid_here("run-graph", bench.graph("run0"), "-b", bench.root, code=2)
    assert "--register-dataset-types" in output
    assert not bench.butler.collections.query("run0*")


def test_failures_are_named_and_the_rest_is_done(bench: Bench, tmp_path: Path) -> None:
    """Then the same graph again: what was done is skipped, what was in the way is removed."""
    graph = bench.graph("run1")
    output = rapid_here(
        "run-graph", graph, "-b", bench.root, "--workers", 1, "--register-dataset-types",
        "--summary", tmp_path / "summary.json", "--provenance", tmp_path / "provenance.qg", code=1,
    )  # fmt: skip
    assert (
        "Task <task_auto2 dataId={instrument: 'Cam1', detector: 2}> failed, exit code=1: ValueError" in output
    )
    assert "7 of 8 quanta are done, 1 failed, 0 were not run." in output
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["status"] == "failure"
    assert len(summary["quantaReports"]) == 8
    with ProvenanceQuantumGraph.from_args(str(tmp_path / "provenance.qg")) as (provenance, _):
        assert len(provenance.quantum_only_xgraph) == 8
    assert bench.butler.collections.get_info("chain").children[0] == "run1"
    assert len(bench.butler.query_datasets("dataset_auto2", collections="chain")) == 3
    assert bench.butler.query_datasets("packages", collections="run1")

    assert "RUN run1 exists already" in rapid_here("run-graph", graph, "-b", bench.root, code=2)

    again = rapid_here(
        "run-graph", graph, "-b", bench.root, "--workers", 1, "--skip-existing", "--clobber-outputs",
        "--fail-fast", code=1,
    )  # fmt: skip
    assert "Simulated failure" in again


@pytest.mark.parametrize(
    "options", [[], ["--raise-on-partial-outputs"], ["--no-raise-on-partial-outputs"]], ids=" ".join
)
def test_partial_outputs_are_what_pipetask_takes_them_for(options: list[str], tmp_path: Path) -> None:
    config = DynamicTestPipelineTaskConfig(
        fail_condition="detector=2", fail_exception="lsst.pipe.base.AnnotatedPartialOutputsError"
    )
    with DirectButlerRepo.make_temporary("base.yaml") as (repo, root):
        repo.add_task(dimensions=["detector"], config=config)
        repo.make_quantum_graph_builder(register_output_dataset_types=False)
        bench = Bench(repo.butler, root, repo, tmp_path)
        ours, theirs = bench.graph("ours"), bench.graph("theirs")
        plain = pipetask(
            "run", "-b", root, "-g", theirs, "--register-dataset-types", "--summary", "theirs.json", *options,
            cwd=tmp_path,
        )  # fmt: skip
        fails = options != ["--no-raise-on-partial-outputs"]
        assert bool(plain.returncode) == fails, plain.stderr
        rapid_here(
            "run-graph", ours, "-b", root, "-j", 1, "--summary", tmp_path / "ours.json", *options,
            code=int(fails),
        )  # fmt: skip
        for kind in ("metadata", "log", "config"):
            counts = [
                len(repo.butler.query_datasets(f"task_auto1_{kind}", run, explain=False))
                for run in ("ours", "theirs")
            ]
            assert counts[0] == counts[1]
        reports = [json.loads((tmp_path / f"{run}.json").read_text()) for run in ("ours", "theirs")]
        statuses = [
            sorted((str(one["dataId"]), one["status"]) for one in report["quantaReports"])
            for report in reports
        ]
        assert statuses[0] == statuses[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing.qg", "-b", "{root}"], "no such file"),
        (["{garbage}", "-b", "{root}"], "cannot be read as a quantum graph"),
        (["{text}", "-b", "{root}"], "cannot be read as a quantum graph"),
        (["{graph}", "-b", "nowhere"], "nowhere: the repository cannot be opened"),
        (["{graph}", "-b", "{elsewhere}"], "made from another repository"),
        (["{graph}", "-b", "{root}", "--summary", "no/folder/x.json"], "no/folder"),
        (["{graph}", "-b", "{root}", "--workers", "0"], "--workers"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    arguments: list[str], told: str, bench: Bench, elsewhere: Path, tmp_path: Path
) -> None:
    for name in ("garbage.qg", "text.txt"):
        (tmp_path / name).write_text("this is no graph")
    known = {
        "root": bench.root,
        "graph": bench.graph("run2"),
        "elsewhere": elsewhere,
        "garbage": tmp_path / "garbage.qg",
        "text": tmp_path / "text.txt",
    }
    output = rapid_here("run-graph", *(a.format(**known) for a in arguments), code=2)
    assert told in " ".join(output.split())
    assert "Traceback" not in output
    assert not bench.butler.collections.query("run2*")
