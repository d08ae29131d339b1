"""Raws that somebody else has registered: watched for, and selected by an expression."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.model import Outcome, Report, observing_day
from lsst.ctrl.rapid.simulator import SimulationConfig, simulate
from support.processes import Running, rapid_here
from support.registered import INSTRUMENT, PIPELINE, OtherIngest, make_registry

DETECTORS = (90, 91, 93)
EXPOSURES = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a repository, a raw's file and a pipeline."""
    folder = tmp_path_factory.mktemp("registered")
    make_registry(folder)
    (folder / "toy.yaml").write_text(PIPELINE)
    [raw] = simulate(SimulationConfig(detectors=DETECTORS[:1], scale="1/16"), folder / "landing")
    raw.path.rename(folder / "raw.fits")
    (folder / "incoming").mkdir()
    return folder


@pytest.fixture(scope="module")
def other(folder: Path) -> Iterator[OtherIngest]:
    other = OtherIngest(str(folder / "repo"))
    yield other
    other.butler.close()


def test_each_raw_is_one_set_of_shards_across_a_restart(
    start_run: Callable[..., Running], folder: Path, other: OtherIngest
) -> None:
    """Exposures of tonight and of long ago, out of order, in bursts, before, between and in two runs.

    One more is a file in a watched folder, which the run registers itself.
    """
    tonight = observing_day(time.time())
    days = (tonight, 20250304)
    numbers = [days[n % 2] * 100_000 + n + 1001 for n in range(EXPOSURES)]
    for number in numbers:
        other.exposure(number, number // 100_000)
    raws = [(number, detector) for number in numbers for detector in DETECTORS]
    random.Random(3).shuffle(raws)
    quarters = [raws[first::4] for first in range(4)]

    def ingest(part: list[tuple[int, int]]) -> None:
        other.files(part, folder / "raw.fits")

    def start() -> Running:
        return start_run(
            *("-b", folder / "repo", "--watch", "butler", "--watch", folder / "incoming", "--workers", 2),
            *("--detectors", ",".join(map(str, DETECTORS))),
            pipeline=folder / "toy.yaml",
        )

    def count(step: str = "step1a") -> int:
        with Butler.from_config(str(folder / "repo")) as butler:
            outcomes = butler.query_datasets(
                f"rapid_{step}_outcome", "rapid/*", find_first=False, explain=False
            )
            return len(outcomes)

    ingest(quarters[0])
    first = start()
    first.wait_for_log("is warm")
    shutil.copy(folder / "raw.fits", folder / "incoming" / "raw.fits")
    ingest(quarters[1])
    first.wait_for(lambda: count() == len(raws) // 2 + 1, "half of the raws were done")
    first.process.terminate()
    assert first.end() == 0, first.log.read_text()
    ended_first = ended(first.report)
    ingest(quarters[2])
    second = start()
    second.wait_for_log("is warm")
    ingest(quarters[3])
    second.wait_for(lambda: count() == len(raws) + 1, "all raws were done")
    second.wait_for(lambda: count("step1b_gather") == EXPOSURES, "all exposures were gathered")
    second.process.terminate()
    assert second.end() == 0, second.log.read_text()
    both = ended_first + ended(second.report)
    [landed] = {exposure for exposure, _ in both} - set(numbers)
    assert both == Counter({*raws, *((number, None) for number in numbers), (landed, DETECTORS[0])})
    for log in (first.log.read_text(), second.log.read_text()):
        assert "is refused" not in log


def test_what_an_expression_selects_is_done_and_the_run_ends(
    start_run: Callable[..., Running], folder: Path, other: OtherIngest
) -> None:
    """An exposure of which an earlier run did one detector, and one of which not all are selected."""
    number = 2024010100001
    for exposure in (number, number + 1):
        other.exposure(exposure, 20240101)
        other.files([(exposure, detector) for detector in (0, *DETECTORS)], folder / "raw.fits")
    one = start_run(
        *("-b", folder / "repo", "-o", "selected", "--workers", 1),
        *("-d", f"exposure = {number} AND detector = 90"),
        pipeline=folder / "toy.yaml",
    )
    assert one.end() == 0, one.log.read_text()
    assert ended(one.report) == Counter([(number, 90), (number, None)])
    rest = start_run(
        *("-b", folder / "repo", "-o", "selected", "--workers", 1),
        *("-d", "day_obs = 20240101 AND detector IN (90, 91)"),
        pipeline=folder / "toy.yaml",
    )
    assert rest.end() == 0, rest.log.read_text()
    assert "4 raw(s) of 2 exposure(s) are selected; 1 of them ended" in rest.log.read_text()
    assert ended(rest.report) == Counter(
        [(number, 91), (number, None), (number + 1, 90), (number + 1, 91), (number + 1, None)]
    )
    assert rest.report.summary.missing == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-d", "exposure = 7"], "selects no raw"),
        (["-d", "exposur = 7"], "exposur"),
        (["-d", " "], "empty"),
        (["-d", "True", "--watch", "butler"], "--watch"),
        (["-d", "True", "--simulate", "1"], "--simulate"),
        (["--since", "20261122"], "--watch butler"),
        (["--watch", "butler", "--since", "20261322"], "not a day"),
        (["--watch", "./butler"], "no such folder"),
    ],
)
def test_what_cannot_be_is_refused(
    folder: Path, tmp_path: Path, arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    output = rapid_here("run", folder / "toy.yaml", "-b", folder / "repo", *arguments, code=2)
    assert told in output
    assert "Traceback" not in output


def test_an_instrument_whose_class_is_not_here_is_refused(tmp_path: Path) -> None:
    root = make_registry(tmp_path)
    (tmp_path / "toy.yaml").write_text(PIPELINE)
    with Butler.from_config(root, writeable=True) as butler:
        butler.registry.insertDimensionData(
            "instrument",
            {"name": "Other", "class_name": "nowhere.Camera", "detector_max": 1, "exposure_max": 1,
             "visit_max": 1},
        )  # fmt: skip
    arguments = ["-b", root, "-i", f"{INSTRUMENT}/defaults", "--work-dir", tmp_path / "work"]
    output = rapid_here("run", tmp_path / "toy.yaml", *arguments, "--watch", "butler", code=2)
    assert "nowhere.Camera" in output
    assert "--instrument" in output


def ended(report: Report) -> Counter[tuple[int, int | None]]:
    """Count how often each exposure and detector was done."""
    assert report.summary.shards[Outcome.FAILED] == 0
    return Counter(
        (shard.data_id["exposure"], shard.data_id.get("detector"))
        for shard in report.shards
        if shard.outcome is Outcome.DONE
    )
