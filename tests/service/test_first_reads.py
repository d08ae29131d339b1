"""What workers are given to read while they are warmed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from astropy.time import Time
from lsst.daf.butler import Butler, CollectionType, DatasetType, Timespan

from lsst.ctrl.rapid.engine import FirstReads
from lsst.ctrl.rapid.plan import RecordStore
from lsst.ctrl.rapid.service._first_reads import first_reads
from lsst.ctrl.rapid.service._inputs import CalibrationTable
from support.registered import INSTRUMENT, RAWS, OtherIngest, make_registry

CALIB = f"{INSTRUMENT}/calib"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(make_registry(tmp_path_factory.mktemp("first")))


@pytest.fixture
def butler(empty: Path, tmp_path: Path) -> Iterator[Butler]:
    """A repository with two plans of the instrument, one for now, and with maps of a detector."""
    with Butler.from_config(str(shutil.copytree(empty, tmp_path / "repo")), writeable=True) as found:
        then = Time("2026-11-01T00:00:00", scale="tai")
        for run, valid in (("old", Timespan(None, then)), ("new", Timespan(then, None))):
            found.collections.register(run, CollectionType.RUN)
            for name, dimensions in (("plan", {}), ("map", {"detector": 94})):
                dataset_type = DatasetType(
                    name, {"instrument", *dimensions}, "StructuredDataDict", universe=found.dimensions,
                    isCalibration=True,
                )  # fmt: skip
                found.registry.registerDatasetType(dataset_type)
                ref = found.put({run: name}, name, instrument=INSTRUMENT, run=run, **dimensions)
                found.registry.certify(CALIB, [ref], valid)
        yield found


def _first_reads(butler: Butler) -> FirstReads:
    types = [butler.get_dataset_type(name) for name in ("plan", "map")]
    calibrations = CalibrationTable([SimpleNamespace(calibrations=types)], [CALIB])
    calibrations.refresh(butler)
    records = RecordStore.from_butler(butler, [INSTRUMENT])
    return first_reads(butler, [INSTRUMENT], [RAWS, CALIB], calibrations, records)


def test_it_is_a_raw_of_the_newest_exposure_and_what_all_detectors_share(butler: Butler) -> None:
    others = OtherIngest("", butler)
    for number in (2026112200001, 2026112200002):
        others.raws(number, [90, 91], day_obs=20261122)
    others.exposure(2026112200003, 20261122)
    found = _first_reads(butler)
    raw, plan = found.datasets
    assert (raw.dataset_type, raw.values[-1]) == ("raw", 2026112200002)
    assert (plan.dataset_type, plan.run) == ("plan", "new")
    assert found.dimension_records
    assert {str(plan.id)} == {i for data in found.datastore_records.values() for i in data["dataset_ids"]}


def test_a_repository_without_raws_is_as_good(butler: Butler) -> None:
    [plan] = _first_reads(butler).datasets
    assert plan.dataset_type == "plan"
