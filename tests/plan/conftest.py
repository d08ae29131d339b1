"""A small camera's repository, and pipelines written for a test."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import astropy.time
import pytest
import yaml
from lsst.daf.butler import Butler, CollectionType, DatasetRef, DatasetType, Timespan

from lsst.ctrl.rapid.plan import PipelineSource

CAMERA = "ToyCam"
DETECTORS = range(4)
MIDNIGHT = astropy.time.Time("2026-05-01T00:00:00", scale="tai")


def hours(begin: float | None, end: float | None) -> Timespan:
    """Return a time span in hours after midnight; `None` is without a limit."""
    bounds = [
        None if h is None else MIDNIGHT + astropy.time.TimeDelta(3600 * h, format="sec") for h in (begin, end)
    ]
    return Timespan(*bounds)


@pytest.fixture(scope="session", autouse=True)
def _tasks() -> Iterator[None]:
    """Let pipelines import the tasks beside this file."""
    folder = str(Path(__file__).parent)
    sys.path.insert(0, folder)
    yield
    sys.path.remove(folder)


def add_exposure(butler: Butler, number: int, **values: Any) -> None:
    """Add an exposure; it begins ``number`` hours after midnight unless a time span is given."""
    group = values.pop("group", f"g{number}")
    day_obs = values.pop("day_obs", 20260501)
    if day_obs is not None:
        butler.registry.syncDimensionData("day_obs", {"instrument": CAMERA, "id": day_obs})
    butler.registry.syncDimensionData("group", {"instrument": CAMERA, "name": group})
    record = {
        "instrument": CAMERA,
        "id": number,
        "obs_id": f"E{number}",
        "physical_filter": "r_57",
        "group": group,
        "day_obs": day_obs,
        "timespan": hours(number, number + 0.01),
        **values,
    }
    butler.registry.insertDimensionData("exposure", record)


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with an instrument, calibration types and the collections that are searched."""
    root = tmp_path_factory.mktemp("template") / "repo"
    Butler.makeRepo(str(root))
    with Butler.from_config(str(root), writeable=True) as butler:
        sync = butler.registry.syncDimensionData
        sync(
            "instrument",
            {
                "name": CAMERA,
                "detector_max": 100,
                "visit_max": 10**10,
                "exposure_max": 10**10,
                "class_name": "rapid_plan_tasks.ToyCam",
            },
        )
        for number in DETECTORS:
            sync(
                "detector",
                {"instrument": CAMERA, "id": number, "full_name": f"R00_S0{number}", "purpose": "SCIENCE"},
            )
        for name, band in (("r_57", "r"), ("g_6", "g"), ("empty", "unknown")):
            sync("physical_filter", {"instrument": CAMERA, "name": name, "band": band})
        universe = butler.dimensions
        for name, dimensions, calibration in (
            ("raw", ("instrument", "exposure", "detector"), False),
            ("bias", ("instrument", "detector"), True),
            ("flat", ("instrument", "detector", "physical_filter"), True),
            ("camera", ("instrument",), True),
        ):
            butler.registry.registerDatasetType(
                DatasetType(name, dimensions, "NumpyArray", universe=universe, isCalibration=calibration)
            )
        for name, kind in (
            ("raw/all", CollectionType.RUN),
            ("made", CollectionType.RUN),
            ("calib", CollectionType.CALIBRATION),
            ("newer", CollectionType.CALIBRATION),
            ("defaults", CollectionType.CHAINED),
        ):
            butler.collections.register(name, kind)
        butler.collections.redefine_chain("defaults", ["raw/all", "newer", "calib"])
    return root


@dataclasses.dataclass
class Repository:
    """A repository whose datasets are known to the registry alone: nothing is read."""

    butler: Butler
    root: Path

    def calibration(self, name: str, run: str = "made", **data_id: Any) -> DatasetRef:
        """Register a calibration in a RUN of its own, so that there may be several of a data ID."""
        self.butler.collections.register(run, CollectionType.RUN)
        [ref] = self.butler.registry.insertDatasets(name, [{"instrument": CAMERA, **data_id}], run=run)
        return ref

    def certify(self, collection: str, begin: float | None, end: float | None, *refs: DatasetRef) -> None:
        self.butler.registry.certify(collection, refs, hours(begin, end))

    def biases(self) -> list[DatasetRef]:
        refs = [self.calibration("bias", detector=number) for number in DETECTORS]
        self.certify("calib", None, None, *refs)
        return refs

    def raws(self, exposure: int, detectors: Sequence[int] = DETECTORS) -> list[DatasetRef]:
        data_ids = [{"instrument": CAMERA, "exposure": exposure, "detector": number} for number in detectors]
        return self.butler.registry.insertDatasets("raw", data_ids, run="raw/all")


@contextlib.contextmanager
def _copied(template: Path, root: Path) -> Iterator[Repository]:
    shutil.copytree(template, root)
    with Butler.from_config(str(root), writeable=True) as butler:
        add_exposure(butler, 1)
        add_exposure(butler, 2, physical_filter="g_6")
        yield Repository(butler, root)


@pytest.fixture
def repository(_template: Path, tmp_path: Path) -> Iterator[Repository]:
    """A repository of a test's own, with exposures 1 and 2 of two filters."""
    with _copied(_template, tmp_path / "repo") as repository:
        yield repository


@pytest.fixture(scope="module")
def make_repository(
    _template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Repository]]:
    """A function that makes a repository for all tests of a module that only read it."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(_copied(_template, tmp_path_factory.mktemp("module") / "repo"))


@pytest.fixture
def pipeline(tmp_path: Path) -> Callable[..., PipelineSource]:
    """A function that writes a pipeline of tasks by label, and of steps by their dimensions and labels."""

    def write(
        tasks: Mapping[str, str | Mapping[str, Any]],
        steps: Mapping[str, tuple[Sequence[str], Sequence[str]]] | None = None,
        name: str = "toy",
        description: str = "A pipeline of a test.",
    ) -> PipelineSource:
        content: dict[str, Any] = {"description": description, "tasks": {}}
        for label, task in tasks.items():
            given = {"class": task} if isinstance(task, str) else dict(task)
            content["tasks"][label] = {**given, "class": f"rapid_plan_tasks.{given['class']}"}
        if steps:
            content["subsets"] = {label: {"subset": list(members)} for label, (_, members) in steps.items()}
            content["steps"] = [
                {"label": label, "dimensions": list(dimensions)} for label, (dimensions, _) in steps.items()
            ]
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return PipelineSource(path)

    return write


@pytest.fixture(scope="session")
def add() -> Callable[..., None]:
    """The function that adds an exposure to a repository."""
    return add_exposure
