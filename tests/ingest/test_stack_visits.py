"""Visits where the stack is installed: the same, whether ``butler define-visits`` came before or after."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from astropy.time import Time
from lsst.daf.butler import Butler, CollectionType, DatasetType, Timespan

from lsst.ctrl.rapid.ingest import make_repository
from support import stand_in_obs_base
from support.other_observatory import write_raw
from support.processes import rapid_here
from support.stand_in_obs_base import defineVisits

CLASS = "support.other_observatory.stack.HillCamWithCamera"
INPUTS = ["HillCam/defaults"]


@pytest.fixture(autouse=True)
def _stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lsst.obs", ModuleType("lsst.obs"))
    monkeypatch.setitem(sys.modules, "lsst.obs.base", stand_in_obs_base)
    monkeypatch.setitem(sys.modules, "lsst.obs.base.defineVisits", defineVisits)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_repository(tmp_path / "repo", [CLASS])
    return tmp_path / "repo"


def certify(butler: Butler, size: float, begin: str, end: str) -> None:
    """Certify a camera whose detectors have a size (deg), in the instrument's calibrations."""
    camera = DatasetType(
        "camera", butler.dimensions.conform(["instrument"]), "StructuredDataDict", isCalibration=True
    )
    butler.registry.registerDatasetType(camera)
    run = f"HillCam/camera/{begin}"
    butler.collections.register(run)
    content = {"size": size, "detectors": {str(n): (0.1 * n, 0.01) for n in range(6)}}
    ref = butler.put(content, camera, instrument="HillCam", run=run)
    butler.collections.register("HillCam/calib", CollectionType.CALIBRATION)
    butler.registry.certify(
        "HillCam/calib", [ref], Timespan(Time(begin, scale="tai"), Time(end, scale="tai"))
    )


@pytest.fixture(params=["nominal camera", "cameras of the repository"])
def cameras(request: pytest.FixtureRequest, root: Path) -> set[float]:
    """Return the sizes of the cameras of two nights."""
    if request.param == "nominal camera":
        return {0.07}
    with Butler.from_config(root, writeable=True) as butler:
        certify(butler, 0.04, "2026-01-01", "2026-03-20")
        certify(butler, 0.06, "2026-03-20", "2027-01-01")
    return {0.06, 0.08}


def raws(folder: Path) -> list[Path]:
    return [
        *(write_raw(folder, 1, chip, begin="2026-03-16T23:00:00") for chip in (0, 1)),
        write_raw(folder, 2, 0, begin="2026-03-28T23:00:00"),
        write_raw(folder, 3, 0, OBJECT="ZERO"),
    ]


def visits(root: Path) -> dict[int, float]:
    """Return the height of a detector's region, with its margin, of each visit."""
    with Butler.from_config(root) as butler:
        assert len(butler.query_dimension_records("visit")) == 2
        regions = butler.query_dimension_records("visit_detector_region", detector=3, instrument="HillCam")
        return {r.visit: round(r.region.getBoundingBox().getHeight().asDegrees() / 2, 3) for r in regions}


def test_define_visits_afterwards_finds_the_same(root: Path, tmp_path: Path, cameras: set[float]) -> None:
    rapid_here("ingest-raws", "-b", root, *raws(tmp_path / "raws"))
    assert set(visits(root).values()) == cameras
    with Butler.from_config(root, writeable=True) as butler:
        assert len(butler.query_dimension_records("visit_detector_region")) == 12
        assert {r.visit_system for r in butler.query_dimension_records("visit_system_membership")} == {0}
        assert defineVisits.define_visits(butler, "HillCam", INPUTS) == 0


@pytest.mark.usefixtures("cameras")
def test_visits_that_were_defined_before_are_the_same(root: Path, tmp_path: Path) -> None:
    paths = raws(tmp_path / "raws")
    rapid_here("ingest-raws", "-b", root, "--no-define-visits", *paths)
    with Butler.from_config(root, writeable=True) as butler:
        assert not butler.query_dimension_records("visit", explain=False)
        assert defineVisits.define_visits(butler, "HillCam", INPUTS) == 2
    printed = rapid_here("ingest-raws", "-b", root, *paths)
    assert len(visits(root)) == 2
    assert "Visit " not in printed


def test_a_camera_that_cannot_be_made_costs_the_visit_alone(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise OSError("no policy file")

    from support.other_observatory.stack import HillCamWithCamera

    monkeypatch.setattr(HillCamWithCamera, "getCamera", fail)
    printed = rapid_here("ingest-raws", "-b", root, *raws(tmp_path / "raws"))
    assert "4 of 4 file(s) are registered" in printed
    assert printed.count("No visit is defined for exposure") == 2
    assert printed.count("OSError: no policy file") == 2


@pytest.mark.parametrize("make", [lambda: "LSSTComCamSim", lambda: "support.other_observatory.HillCam"])
def test_other_classes_have_the_visits_of_their_reader(tmp_path: Path, make: Callable[[], str]) -> None:
    """A class that is none of upstream's, which ``butler define-visits`` would refuse."""
    from lsst.ctrl.rapid.ingest import make_visit_definer
    from lsst.ctrl.rapid.instruments import RawReaders

    [name] = make_repository(tmp_path / "repo", [make()])
    with Butler.from_config(tmp_path / "repo") as butler:
        readers = RawReaders.from_butler(butler)
    definer = make_visit_definer(str(tmp_path / "repo"), [f"{name}/defaults"])
    definer.prepare(readers.readers.values())
    assert readers.readers.keys() == {name}
