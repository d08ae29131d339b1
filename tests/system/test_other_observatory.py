"""A night of another observatory's instrument, by the real command."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lsst.daf.butler import Butler, MissingDatasetTypeError
from lsst.daf.butler.registry import MissingCollectionError
from lsst.sphgeom import ConvexPolygon, UnitVector3d

from lsst.ctrl.rapid.check import check_balance
from lsst.ctrl.rapid.model import observing_day
from support.other_observatory import write_raw
from support.processes import Running, rapid_here

PIPELINE = """
description: Levels of HillCam.
tasks:
  level: support.other_observatory.tasks.LevelTask
  gather: support.other_observatory.tasks.GatherTask
subsets:
  step1a: [level]
  step1b: [gather]
steps:
  - {label: step1a, dimensions: [exposure, detector]}
  - {label: step1b, dimensions: [exposure]}
"""
VISIT_PIPELINE = """
description: Levels of the visits of HillCam.
tasks:
  level: support.other_observatory.tasks.LevelTask
  visitLevel: support.other_observatory.tasks.VisitLevelTask
"""
SITE = """
detector_patterns:
  HillCam:
    ends: [[Chip0, Chip5]]
    halves: [[0..2], [3..5]]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a repository that also has the camera of a package that is not here, and a pipeline."""
    rapid_here("init-repo", tmp_path / "repo", "--instrument", "support.other_observatory.HillCam")
    with Butler.from_config(tmp_path / "repo", writeable=True) as butler:
        butler.registry.insertDimensionData(
            "instrument",
            {"name": "Absent", "class_name": "nowhere.Absent", "detector_max": 1, "exposure_max": 1,
             "visit_max": 1},
        )  # fmt: skip
    (tmp_path / "hill.yaml").write_text(PIPELINE)
    (tmp_path / "site.yaml").write_text(SITE)
    (tmp_path / "landing").mkdir()
    return tmp_path


def totals(root: Path, output: str = "rapid") -> dict[int, tuple[float, int]]:
    """Return the gathered level of each exposure, and of how many chips."""
    with Butler.from_config(root) as butler:
        try:
            refs = butler.query_datasets("hill_total", output, explain=False)
        except (MissingCollectionError, MissingDatasetTypeError):  # the run has only begun
            return {}
        found = {int(ref.dataId["exposure"]): butler.get(ref) for ref in refs}
    return {exposure: (one["total"], one["n"]) for exposure, one in found.items()}


def expected(frame: int, *chips: int) -> tuple[float, int]:
    return float(sum(100 * frame + chip for chip in chips)), len(chips)


def define_visit(root: Path, exposure: int, number: int) -> None:
    """Define a visit, as 'butler define-visits' would with the geometry of the camera."""
    with Butler.from_config(root, writeable=True) as butler:
        [record] = butler.query_dimension_records("exposure", exposure=exposure, instrument="HillCam")
        key = {"instrument": "HillCam", "visit": number}
        region = ConvexPolygon([UnitVector3d(1, 0, 0), UnitVector3d(0, 1, 0), UnitVector3d(0, 0, 1)])
        insert = butler.registry.insertDimensionData
        insert(
            "visit",
            {"instrument": "HillCam", "id": number, "name": f"visit of {record.obs_id}",
             "physical_filter": record.physical_filter, "day_obs": record.day_obs,
             "timespan": record.timespan, "region": region},
        )  # fmt: skip
        insert("visit_definition", {**key, "exposure": exposure})
        insert("visit_detector_region", *({**key, "detector": chip, "region": region} for chip in range(6)))


def test_a_night_is_reduced_and_gathered(start_run: Callable[..., Running], folder: Path) -> None:
    """Raws that land in a folder: whole exposures, one by a pattern, one of another instrument."""
    root, landing = folder / "repo", folder / "landing"
    for frame in (11, 12):
        for chip in range(6):
            write_raw(landing, frame, chip, compressed=frame == 12)
    write_raw(landing, 13, 0, INSTRUME="HILL-2")
    run = start_run(
        *("-b", root, "--watch", landing, "--workers", 2, "--until-idle", 3), pipeline=folder / "hill.yaml"
    )
    assert run.end() == 0, run.log.read_text()
    log = run.log.read_text()
    assert "Raws of Absent are not taken: class nowhere.Absent cannot be imported here" in log
    assert "INSTRUME is 'HILL-2', and no metadata translator recognises its instrument" in log
    assert totals(root) == {frame: expected(frame, *range(6)) for frame in (11, 12)}
    assert (run.report.summary.refused_files, run.report.summary.missing) == (1, 0)
    # A day of the hill begins at 20:00.
    with Butler.from_config(root) as butler:
        assert butler.collections.query("rapid/20260315/*")
        assert not butler.collections.query("rapid/20260316/*")
    found = check_balance(str(root), "rapid", landing=[landing], ledgers=[folder / "work" / "ledger.jsonl"])
    assert (found.sent, found.done, found.refused, found.balanced) == (13, 12, 1, True)


def test_what_others_register_is_reduced(start_run: Callable[..., Running], folder: Path) -> None:
    """Raws in the repository, then selected ones, with a pattern of the site."""
    root, raws = folder / "repo", folder / "raws"
    today, yesterday = (observing_day(time.time(), before=n, offset=20 * 3600) for n in (0, 1))

    def register(frame: int, day: int) -> None:
        begin = f"{day // 10000}-{day // 100 % 100:02}-{day % 100:02}T21:00:00"
        paths = [write_raw(raws, frame, chip, begin=begin) for chip in (0, 1, 5)]
        rapid_here("ingest-raws", "-b", root, *paths)

    register(21, yesterday)
    named = ("-b", root, "--instrument", "HillCam", "--site", folder / "site.yaml", "--workers", 1)
    watching = start_run(*named, "--pattern", "ends", "--watch", "butler", pipeline=folder / "hill.yaml")
    watching.wait_for_log("is warm")
    assert f"since day_obs {yesterday} " in watching.log.read_text()
    register(22, today)
    watching.wait_for(lambda: totals(root).keys() == {21, 22}, "both exposures were gathered")
    watching.process.terminate()
    assert watching.end() == 0, watching.log.read_text()
    assert totals(root) == {frame: expected(frame, 0, 5) for frame in (21, 22)}
    define_visit(root, 22, number=7022)
    (folder / "visits.yaml").write_text(VISIT_PIPELINE)
    selected = start_run(*named, "-d", "exposure = 22", "-o", "selected", pipeline=folder / "visits.yaml")
    assert selected.end() == 0, selected.log.read_text()
    with Butler.from_config(root) as butler:
        refs = butler.query_datasets("hill_visit_level", "selected")
        levels = {(ref.dataId["visit"], ref.dataId["detector"]): butler.get(ref) for ref in refs}
    assert levels == {(7022, chip): {"level": 2200.0 + chip} for chip in (0, 1, 5)}
