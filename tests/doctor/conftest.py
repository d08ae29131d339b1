"""A repository that is ready for the night, and what the doctor finds in it."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import astropy.time
import astropy.units as u
import pytest
from lsst.daf.butler import Butler, DatasetType, Timespan

from lsst.ctrl.rapid.doctor import CHECKS, Finding, Place, diagnose
from lsst.ctrl.rapid.ingest import make_repository
from lsst.ctrl.rapid.instruments import repository_config
from lsst.ctrl.rapid.service import RunSettings
from support.processes import SUMMIT

CAMERA = "LSSTCamSim"
DETECTORS = (90, 91, 92, 93)


def hours(begin: float | None, end: float | None) -> Timespan:
    """Return a time span in hours from now; `None` is without a limit."""
    now = astropy.time.Time(time.time(), format="unix")
    return Timespan(*(None if h is None else now + h * u.hour for h in (begin, end)))


def fill(root: str) -> None:
    """Register a camera and all that ``summit.yaml`` needs; nobody reads the calibrations."""
    make_repository(root, [CAMERA])
    with Butler.from_config(root, writeable=True) as butler:
        registry = butler.registry
        registry.syncDimensionData("physical_filter", {"instrument": CAMERA, "name": "r_57", "band": "r"})
        butler.collections.register("made")
        for name, storage_class, more in (
            ("bias", "ImageV2", {}),
            ("dark", "ImageV2", {}),
            ("flat", "ImageV2", {"physical_filter": "r_57"}),
            ("amplifier_gain", "StructuredDataDict", {}),
        ):
            dimensions = butler.dimensions.conform(["instrument", "detector", *more])
            registry.registerDatasetType(DatasetType(name, dimensions, storage_class, isCalibration=True))
            data_ids = [{"instrument": CAMERA, "detector": number, **more} for number in DETECTORS]
            refs = registry.insertDatasets(name, data_ids, run="made")
            registry.certify(f"{CAMERA}/calib", refs, hours(None, None))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("doctor") / "repo"
    Butler.makeRepo(str(root), config=repository_config())
    fill(str(root))
    return root


@dataclasses.dataclass
class Patient:
    """A place that a test makes ill."""

    folder: Path
    repository: str
    changes: dict[str, Any] = dataclasses.field(default_factory=dict)

    def certify(self, name: str, detectors: Iterable[int], when: Timespan) -> None:
        """Have calibrations of these detectors hold only then."""
        with Butler.from_config(self.repository, writeable=True) as butler:
            data_ids = [{"instrument": CAMERA, "detector": number} for number in detectors]
            butler.registry.decertify(f"{CAMERA}/calib", name, hours(None, None), dataIds=data_ids)
            refs = [
                ref
                for ref in butler.query_datasets(name, "made", find_first=False)
                if ref.dataId["detector"] in set(detectors)
            ]
            if when:
                butler.registry.certify(f"{CAMERA}/calib", refs, when)

    def settings(self, **changes: Any) -> RunSettings:
        told = {
            "repository": self.repository,
            "pipeline": SUMMIT,
            "work_dir": self.folder / "work",
            "watch": (self.folder / "landing",),
            "detectors": DETECTORS,
            **changes,
        }
        return RunSettings(**told)

    def findings(self, *names: str, **changes: Any) -> list[Finding]:
        """Return what these checks find, or all."""
        place = Place(self.settings(**changes))
        return list(diagnose(place, [check for check in CHECKS if not names or check.name in names]))

    def lines(self, *names: str, **changes: Any) -> list[str]:
        """Return the lines of what these checks find that is not as it must be."""
        return [str(finding) for finding in self.findings(*names, **changes) if finding.level != "ok"]


@pytest.fixture
def patient(template: Path, tmp_path: Path) -> Patient:
    shutil.copytree(template, tmp_path / "repo")
    for name in ("work", "landing"):
        (tmp_path / name).mkdir()
    return Patient(tmp_path, str(tmp_path / "repo"))


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A function that mounts a small file system; a test is skipped where that is not allowed."""
    mounted: list[Path] = []

    def begin(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        words = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
        if subprocess.run(words, capture_output=True, check=False).returncode:
            pytest.skip("file systems cannot be mounted here")
        mounted.append(folder)
        return folder

    yield begin
    for folder in reversed(mounted):
        subprocess.run(["umount", "-l", str(folder)], check=True)
