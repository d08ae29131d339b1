"""Scratch dataset types: read by a later step, never registered, gone when nothing reads them any more."""

from __future__ import annotations

import re
import signal
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.model import InputError, Outcome, Shard
from lsst.ctrl.rapid.service._compiled import compile_run
from lsst.ctrl.rapid.service._repeat import repeat_command
from lsst.ctrl.rapid.service._settings import RunSettings
from support.processes import Running, pipetask, rapid_here
from support.registered import INSTRUMENT, OtherIngest, make_registry
from support.steered_tasks import look_pipeline

DAY = 20250304
EXPOSURE = DAY * 100_000 + 7
DETECTORS = (90, 91, 93)


class Bench:
    """A repository with the raws of one exposure, and a pipeline with scratch dataset types on it."""

    def __init__(self, folder: Path, start_run: Callable[..., Running] | None = None) -> None:
        self.root = Path(make_registry(folder))
        self.orders = folder / "orders"
        self.orders.mkdir()
        self.pipeline = folder / "steered.yaml"
        self.pipeline.write_text(look_pipeline(self.orders))
        (folder / "steered.rapid.yaml").write_text("scratch: [look_next, look_first]\n")
        (folder / "raw.fits").write_text("nobody reads this")
        other = OtherIngest(str(self.root))
        other.exposure(EXPOSURE, DAY)
        other.files([(EXPOSURE, detector) for detector in DETECTORS], folder / "raw.fits")
        other.butler.close()
        self._start = start_run

    def said(self) -> str:
        """What the tasks said."""
        file = self.orders / "said"
        return file.read_text() if file.exists() else ""

    def start(self) -> Running:
        assert self._start is not None
        return self._start(
            *("-b", self.root, "-d", f"exposure = {EXPOSURE}", "--workers", 2), pipeline=self.pipeline
        )

    def settings(self, rapid: str, *labels: str) -> RunSettings:
        """Settings of a run with other facts of the pipeline."""
        self.pipeline.with_name("steered.rapid.yaml").write_text(rapid)
        return RunSettings(
            repository=str(self.root), pipeline=self.pipeline, labels=labels, work_dir=self.root.parent
        )

    @property
    def scratch(self) -> set[str]:
        """Types of the scratch files that are there."""
        files = (file for file in (self.root / "rapid_scratch").rglob("*") if file.is_file())
        return {"_".join(file.name.split("_")[:2]) for file in files}

    def registered(self) -> dict[str, int]:
        """How many datasets of each type are in the RUNs; all of them have their files."""
        counts: dict[str, int] = {}
        with Butler.from_config(str(self.root), writeable=False) as butler:
            for run in self.runs(butler):
                for ref in butler.query_all_datasets(run, find_first=False):
                    assert butler.stored(ref)
                    counts[ref.datasetType.name] = counts.get(ref.datasetType.name, 0) + 1
        return counts

    @staticmethod
    def runs(butler: Butler) -> list[str]:
        return [run for run in butler.collections.query("rapid/*") if run.count("/") == 2]

    def total(self) -> list[list[str]]:
        with Butler.from_config(str(self.root), writeable=False) as butler:
            data_id = {"instrument": INSTRUMENT, "exposure": EXPOSURE}
            paths: list[list[str]] = butler.get("look_total", data_id, collections="rapid")["paths"]
            return paths


@pytest.fixture
def bench(tmp_path: Path, start_run: Callable[..., Running]) -> Bench:
    return Bench(tmp_path, start_run)


def test_scratch_is_read_by_the_gather_and_kept_by_nobody(bench: Bench, tmp_path: Path) -> None:
    run = bench.start()
    assert run.end() == 0, run.log.read_text()
    assert run.report.summary.shards[Outcome.DONE] == 4, run.log.read_text()
    assert bench.total() == [["first", "next"]] * 3
    assert not bench.scratch
    registered = bench.registered()
    assert not registered.keys() & {"look_first", "look_next"}
    assert (registered["look_other"], registered["look_total"], registered["next_metadata"]) == (3, 1, 3)

    [name] = run.report.runs
    for step in ("step1b", "step1a,step1b"):
        done = pipetask(
            *("run", "-b", bench.root, "-p", f"{bench.pipeline}#{step}"),
            *("-i", f"{name},{INSTRUMENT}/defaults", "--output-run", name, "--extend-run", "--skip-existing"),
            *("-d", f"instrument='{INSTRUMENT}' and exposure={EXPOSURE}"),
            cwd=tmp_path,
        )
        assert "QuantumGraph contains no quanta" in done.stderr, done.stderr
        assert ("previously succeeded and skipped" in done.stderr) == (step != "step1b"), done.stderr
    rapid_here("export-graph", name, "-b", bench.root, "-o", tmp_path / "run.qg")
    report = ("report", bench.root, tmp_path / "run.qg", "--full-output-filename", tmp_path / "report.yaml")
    told = pipetask(*report, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    summary = yaml.safe_load((tmp_path / "report.yaml").read_text())
    assert {label: task["n_succeeded"] for label, task in summary.items()} == {
        "first": 3, "middle": 3, "next": 3, "all": 1,
    }  # fmt: skip


def test_a_killed_head_leaves_what_is_still_read_and_the_next_removes_the_rest(bench: Bench) -> None:
    (bench.orders / "all").write_text("hang")
    first = bench.start()
    first.wait_for(lambda: "begin all" in bench.said(), "the gather began")
    first.wait_for(lambda: bench.registered().get("next_metadata") == 3, "the detectors were registered")
    assert bench.scratch == {"look_next"}
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    [folder] = {file.parent for file in (bench.root / "rapid_scratch").rglob("look_next_*")}
    orphan = folder / f"look_next_{uuid.uuid4()}.yaml"
    orphan.write_text("of a shard that nobody knows")
    another = bench.root / "rapid_scratch" / "rapid" / "another" / "20250304" / "p-x" / orphan.name
    another.parent.mkdir(parents=True)
    another.write_text("of an executor with another output")
    (bench.orders / "all").unlink()

    second = bench.start()
    assert second.end() == 0, second.log.read_text()
    assert "Of 4 scratch file(s)" in second.log.read_text()
    assert "nothing reads 1" in second.log.read_text()
    assert bench.said().count("begin first") == 3
    assert bench.total() == [["first", "next"]] * 3
    assert not orphan.exists()
    another.unlink()
    assert not bench.scratch


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("door"))


@pytest.mark.parametrize(
    ("rapid", "message"),
    [
        ("scratch: [look_nxt]", "no task of steered makes it; did you mean 'look_next'?"),
        ("scratch: [next_metadata]", "no task of steered makes it"),
        ("scratch: [look_other]", "no task of steered reads it"),
        ("scratch: [look_next]\npublish: [look_next]", "'look_next' is under 'publish'"),
    ],
)
def test_what_cannot_be_scratch_is_refused_at_the_door(door: Bench, rapid: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        compile_run(door.settings(rapid))


def test_a_type_whose_reader_is_left_out_is_kept(door: Bench) -> None:
    rapid = "scratch: [look_first, look_next]"
    assert compile_run(door.settings(rapid)).scratch == {"look_first", "look_next"}
    assert compile_run(door.settings(rapid, "step1a")).scratch == {"look_first"}


def test_a_gather_that_failed_is_repeated_with_what_made_its_scratch(door: Bench) -> None:
    settings = door.settings("scratch: [look_next]")
    compiled = compile_run(settings)
    [pipeline] = compiled.pipelines.values()
    gather = Shard("steered", "step1b", INSTRUMENT, EXPOSURE)
    told = repeat_command(settings, pipeline, gather, "rapid/x", compiled.inputs, compiled.scratch)
    assert "steered.yaml#step1a,step1b" in told
    assert "steered.yaml#step1b" in repeat_command(
        settings, pipeline, gather, "rapid/x", compiled.inputs, frozenset()
    )
