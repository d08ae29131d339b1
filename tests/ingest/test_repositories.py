"""Repositories made with the stack and used without it, and the other way round."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from lsst.daf.butler import Butler, DatasetType, StorageClassFactory
from lsst.pipe.base import Instrument

from lsst.ctrl.rapid.ingest import make_repository, open_raw
from lsst.ctrl.rapid.instruments import (
    RAW_STORAGE_CLASS,
    WITHOUT_STACK,
    RawFormatter,
    RawReaders,
    family_instrument,
    has_full_stack,
    repository_config,
)
from lsst.ctrl.rapid.model import InputError
from support.processes import rapid_here
from support.small_raws import write_small_raw

THEIRS = "lsst.obs.lsst.LsstCam"


class StackFormatter:
    """What the stack's class gives."""


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Have modules in place of the stack's: its instruments, translators and images."""
    monkeypatch.delenv(WITHOUT_STACK)
    package = ModuleType("lsst.obs.lsst")

    def theirs(name: str) -> type[Instrument]:
        ours = type(family_instrument(name))

        class Theirs(Instrument):
            @classmethod
            def getName(cls) -> str:
                return name

            def register(self, registry: Any, *, update: bool = False) -> None:
                class_name = f"lsst.obs.lsst.{ours.__name__}"
                record = {"name": name, "class_name": class_name, "detector_max": 1000, "visit_system": 2,
                          "exposure_max": 7050123199999, "visit_max": 7050123199999}  # fmt: skip
                registry.syncDimensionData("instrument", record, update=update)
                registry.syncDimensionData(
                    "detector",
                    {"instrument": name, "id": 94, "full_name": "R22_S11", "name_in_raft": "S11",
                     "raft": "R22", "purpose": "SCIENCE"},
                )  # fmt: skip

            def getRawFormatter(self, dataId: object) -> type:  # noqa: ARG002 - upstream's
                return StackFormatter

        Theirs.__name__ = Theirs.__qualname__ = ours.__name__
        Theirs.__module__ = "lsst.obs.lsst"
        return Theirs

    for name in ("LSSTCam", "LSSTCamSim", "LSSTComCam", "LSSTComCamSim", "LATISS"):
        setattr(package, type(family_instrument(name)).__name__, theirs(name))
    images = ModuleType("lsst.afw.image")
    images.Exposure = type("Exposure", (), {})
    for module in (ModuleType("lsst.obs"), package, ModuleType("lsst.obs.lsst.translators"),
                   ModuleType("lsst.afw"), images):  # fmt: skip
        module.__path__ = []
        module.__spec__ = importlib.util.spec_from_loader(module.__name__, None)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    # It remembers the class that it has imported.
    monkeypatch.setattr(StorageClassFactory().getStorageClass("Exposure"), "_pytype", None)
    has_full_stack.cache_clear()
    yield package
    has_full_stack.cache_clear()


def stack_repository(root: Path, storage_class: str | None, *, knows_ours: bool = True) -> Path:
    """Make a repository as the stack makes it."""
    Butler.makeRepo(str(root), config=repository_config() if knows_ours else None)
    with Butler.from_config(str(root), writeable=True) as butler:
        family_instrument("LSSTCam").register(butler.registry)
        [record] = butler.query_dimension_records("instrument")
        butler.registry.syncDimensionData(
            "instrument", {**record.toDict(), "class_name": THEIRS}, update=True
        )
        butler.registry.syncDimensionData(
            "physical_filter", {"instrument": "LSSTCam", "name": "r_57", "band": "red"}, update=True
        )
        butler.registry.syncDimensionData(
            "detector",
            {"instrument": "LSSTCam", "id": 94, "full_name": "R22_S11", "purpose": "FOCUS"},
            update=True,
        )
        if storage_class is not None:
            dimensions = butler.dimensions.conform(["instrument", "exposure", "detector"])
            butler.registry.registerDatasetType(DatasetType("raw", dimensions, storage_class))
    return root


@pytest.mark.stack_absent
@pytest.mark.parametrize("storage_class", [None, RAW_STORAGE_CLASS])
def test_what_the_stack_registered_stays_and_its_raws_are_read_without_it(
    tmp_path: Path, storage_class: str | None
) -> None:
    root = stack_repository(tmp_path / "repo", storage_class)
    printed = rapid_here("init-repo", root, "--instrument", "LSSTCam")
    assert "Traceback" not in printed
    lines = [line for line in printed.splitlines() if "stays as it is registered" in line]
    assert len(lines) == 3
    assert f"class_name is '{THEIRS}' in the registry, not 'lsst.ctrl.rapid.instruments" in lines[0]
    assert "purpose is 'FOCUS' in the registry, not 'SCIENCE'" in lines[1]
    assert "band is 'red' in the registry, not 'r'" in lines[2]
    raw = write_small_raw(tmp_path / "raw.fits")
    assert "1 of 1 file(s) are registered" in rapid_here("ingest-raws", "-b", root, raw)
    with Butler.from_config(root) as butler:
        assert butler.query_dimension_records("instrument")[0].class_name == THEIRS
        [ref] = butler.query_datasets("raw", "LSSTCam/raw/all")
        assert butler.get(ref).detector == 94
        [record] = butler.query_dimension_records("exposure")
        assert record.physical_filter == "r_57"


@pytest.mark.stack_absent
def test_raws_of_the_stack_are_refused_without_it_and_nothing_is_changed(tmp_path: Path) -> None:
    root = stack_repository(tmp_path / "repo", "Exposure")
    for names in (["LSSTCam"], ["LATISS"]):
        with pytest.raises(InputError, match="storage class 'Exposure', which cannot be read here"):
            make_repository(root, names)
    with Butler.from_config(root) as butler:
        assert len(butler.query_dimension_records("instrument")) == 1
        assert not butler.collections.query("*")


def test_a_repository_made_without_the_stack_is_used_with_it_as_before(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    root = tmp_path / "repo"
    make_repository(root, ["LSSTCam"])
    request.getfixturevalue("stack")
    assert make_repository(root, ["LSSTCam", "LATISS"]) == ["LSSTCam", "LATISS"]
    with Butler.from_config(root) as butler:
        classes = {r.name: r.class_name for r in butler.query_dimension_records("instrument")}
        assert all(name.startswith("lsst.ctrl.rapid.instruments") for name in classes.values())
        readers = RawReaders.from_butler(butler).readers
        assert {reader.formatter(0) for reader in readers.values()} == {RawFormatter}


@pytest.mark.usefixtures("stack")
def test_a_repository_of_the_stack_has_the_stacks_class_and_formatter(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    assert make_repository(root, ["LSSTCam", "lsst.obs.lsst.Latiss"]) == ["LSSTCam", "LATISS"]
    with Butler.from_config(root) as butler:
        assert open_raw(butler).storageClass_name == "Exposure"
        classes = {r.name: r.class_name for r in butler.query_dimension_records("instrument")}
        assert classes == {"LSSTCam": THEIRS, "LATISS": "lsst.obs.lsst.Latiss"}
        readers = RawReaders.from_butler(butler).readers
        assert {reader.formatter(0) for reader in readers.values()} == {StackFormatter}


@pytest.mark.usefixtures("stack")
def test_one_camera_of_each_kind_is_refused_for_one_repository(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"different types: raw \(Exposure\) of LSSTCam, raw \(NumpyArray\)"):
        make_repository(tmp_path / "repo", ["LSSTCam", "support.other_observatory.HillCam"])
    assert not (tmp_path / "repo").exists()


def test_dimensions_that_are_too_old_are_refused(tmp_path: Path) -> None:
    import lsst.daf.butler

    old = Path(lsst.daf.butler.__file__).with_name("configs") / "old_dimensions/daf_butler_universe5.yaml"
    Butler.makeRepo(str(tmp_path / "repo"), dimensionConfig=str(old))
    with pytest.raises(
        InputError, match="dimensions are of version 5, without day_obs and group; 'butler migr"
    ):
        make_repository(tmp_path / "repo", ["LSSTCam"])
