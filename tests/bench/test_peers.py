"""Each way of processing images gives what ours gives, and an observer that is not deceived."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.bench import _suite_burst, _suite_overhead
from lsst.ctrl.rapid.bench._cpu import cpu_seconds
from lsst.ctrl.rapid.bench._raws import TinyRaw, expected_mean, science_detectors
from lsst.ctrl.rapid.bench._trial import Trial, open_trial
from support.compare import differences

pytestmark = pytest.mark.slow

DETECTORS = science_detectors()[:2]
WITHOUT_CALIBRATION = science_detectors()[2]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with open_trial(tmp_path_factory.mktemp("bench") / "trial", "sqlite", "bcde", 1, DETECTORS) as trial:
        yield trial


@pytest.fixture(scope="module")
def raws(trial: Trial) -> list[TinyRaw]:
    return trial.camera.take(DETECTORS)


@pytest.fixture(scope="module")
def runs(trial: Trial, raws: list[TinyRaw]) -> dict[str, str]:
    """The RUN of each peer, after it has processed the exposure and the observer has found it right."""
    runs = {}
    for letter in "bcde":
        peer = trial.peers[letter]
        measured = trial.measure(letter, raws)
        assert measured.detectors == len(DETECTORS)
        assert measured.seconds > 0
        assert measured.cpu_seconds > 0
        with Butler.from_config(str(peer.repository.root)) as butler:
            [run] = {
                ref.run
                for ref in butler.query_datasets("tiny_statistics", "*", find_first=False, explain=False)
            }
        runs[letter] = run
    return runs


@pytest.mark.parametrize("letter", ["b", "c", "d"])
def test_a_peer_makes_what_the_executor_makes(
    trial: Trial, runs: dict[str, str], raws: list[TinyRaw], letter: str
) -> None:
    theirs, ours = (trial.peers[one].repository for one in (letter, "e"))
    # In one repository, so that they can be compared: the other's products are brought into ours.
    with (
        Butler.from_config(str(ours.root), writeable=True) as butler,
        Butler.from_config(str(theirs.root)) as other,
    ):
        refs = other.query_all_datasets(runs[letter], find_first=False, limit=None)
        moved = [ref for ref in refs if ref.datasetType.name != "packages"]
        butler.transfer_from(other, moved, transfer="copy", register_dataset_types=True)
        assert len(moved) == 6 * len(raws) + 2
        # Upstream's cache does not count what it serves.
        ignored = {"tinyStatistics_metadata"} if letter == "c" else ()
        assert differences(butler, runs["e"], runs[letter], ignored) == []
        means = {
            int(ref.dataId["detector"]): butler.get(ref)["mean"]
            for ref in butler.query_datasets("tiny_statistics", runs[letter], find_first=False)
        }
    assert means == {raw.detector: expected_mean(raw) for raw in raws}


def test_the_observer_tells_what_is_missing(trial: Trial, runs: dict[str, str], raws: list[TinyRaw]) -> None:
    repository = trial.peers["d"].repository
    with Butler.from_config(str(repository.root), writeable=True) as butler:
        [ref] = butler.query_datasets(
            "tinyStatistics_log", runs["d"], find_first=False, detector=DETECTORS[0], instrument="LSSTCam"
        )
        butler.pruneDatasets([ref], purge=True, unstore=True, disassociate=True)
    with pytest.raises(RuntimeError, match=rf"no tinyStatistics_log .* detectors \[{DETECTORS[0]}\]"):
        trial.observer.read(repository, runs["d"], raws)


def with_peer(trial: Trial, letter: str, instead: str) -> Trial:
    """Have a quick peer stand for one that starts a process each time."""
    return Trial(trial.site, trial.camera, {**trial.peers, letter: trial.peers[instead]}, trial.observer)


def test_overhead_compares_what_it_measured(trial: Trial) -> None:
    trial = with_peer(trial, "a", instead="b")
    found = _suite_overhead.compare(
        [trial], dataclasses.replace(_suite_overhead.QUICK, stream=2, idle=2), print
    )
    rows = {row.what: row.columns for row in found.rows}
    peers = [rows[trial.peers[letter].name]["per detector"].median for letter in "acde"]
    ratios = [goal.value for goal in found.goals if "per detector" in goal.name]
    assert ratios == [pytest.approx(one / peers[3]) for one in (peers[1], peers[2], peers[0])]
    starts = rows["(e), idle worker"]
    p50, p99 = (starts[f"file closed to task start, p{percent}"].median for percent in (50, 99))
    assert 0 < p50 <= p99
    assert all(row.where == "SQLite" for row in found.rows[:-1])


def test_burst_compares_what_it_measured(trial: Trial) -> None:
    trial = with_peer(trial, "b", instead="d")
    found = _suite_burst.compare([trial], DETECTORS, 2, 1, print)
    peers = {row.what[:3]: row.columns["all readable"] for row in found.rows}
    assert {letter: len(series.values) for letter, series in peers.items()} == {"(d)": 1, "(c)": 2, "(e)": 2}
    assert [goal.value for goal in found.goals] == [
        pytest.approx(peers[other].median / peers["(e)"].median) for other in ("(c)", "(d)")
    ]


@pytest.mark.parametrize("letter", ["c", "e"])
def test_a_peer_that_fails_says_so(trial: Trial, runs: dict[str, str], letter: str) -> None:
    with pytest.raises(RuntimeError, match="tiny_bias"):
        trial.measure(letter, trial.camera.take([WITHOUT_CALIBRATION]))


def test_cpu_of_children_that_have_ended_counts() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    start = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])"
    code = f"{start}\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert cpu_seconds([parent.pid]) >= 0.3
        parent.communicate("\n")
    assert cpu_seconds([parent.pid]) == 0
