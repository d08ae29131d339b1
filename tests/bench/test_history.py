"""A registry that was filled in SQL is one that a butler has filled."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from lsst.daf.butler import Butler, CollectionType, DatasetType

from lsst.ctrl.rapid.bench._history import EXPOSURES_A_DAY, count_datasets, day_before, fill
from lsst.ctrl.rapid.service._ended_before import EndedBefore
from support.registered import INSTRUMENT, OtherIngest, make_registry

pytestmark = pytest.mark.slow

DAY = 20260301
EXPOSURE = DAY * 100_000 + 1
DETECTORS = (4, 5, 6)
RUN = f"out/{DAY}/p-h"
CLONES = 2 * EXPOSURES_A_DAY - 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one exposure: raws, products, a visit, and something of the RUN."""
    folder = tmp_path_factory.mktemp("history")
    other = OtherIngest(make_registry(folder))
    other.raws(EXPOSURE, DETECTORS, day_obs=DAY)
    other.visit(EXPOSURE, DETECTORS)
    butler = other.butler
    butler.collections.register(RUN)
    butler.collections.register(f"out/{DAY}", CollectionType.CHAINED)
    for name, dimensions in (("level", ["exposure", "detector"]), ("total", ["visit"]), ("config", [])):
        of = butler.dimensions.conform(dimensions)
        butler.registry.registerDatasetType(DatasetType(name, of, "StructuredDataDict"))
    butler.put({"c": 1}, "config", run=RUN)
    butler.put({"t": 2}, "total", run=RUN, instrument=INSTRUMENT, visit=EXPOSURE)
    for detector in DETECTORS:
        butler.put(
            {"d": detector}, "level", run=RUN, instrument=INSTRUMENT, exposure=EXPOSURE, detector=detector
        )
    butler.close()
    return folder


@pytest.fixture(scope="module")
def butler(folder: Path) -> Iterator[Butler]:
    shutil.copytree(folder / "repo", folder / "filled")
    root = str(folder / "filled")
    told: list[str] = []
    each = 2 * len(DETECTORS) + 1
    there = each + 1
    assert fill(root, INSTRUMENT, EXPOSURE, "out", there + each * CLONES, told.append) == CLONES
    assert fill(root, INSTRUMENT, EXPOSURE, "out", there + each * CLONES, told.append) == 0
    assert len(told) == 1
    with Butler.from_config(root) as butler:
        yield butler


def test_a_clone_has_the_datasets_of_its_model_in_runs_of_its_day(butler: Butler) -> None:
    yesterday = day_before(DAY)
    assert yesterday == 20260228
    runs = butler.collections.query("out/*", collection_types=CollectionType.RUN)
    assert set(runs) == {f"out/{day_before(DAY, back)}/p-h" for back in range(3)}
    clone = yesterday * 100_000 + 2
    for detector in DETECTORS:
        data_id = {"instrument": INSTRUMENT, "exposure": clone, "detector": detector}
        ref = butler.find_dataset("level", data_id, collections=f"out/{yesterday}")
        assert ref is not None
        assert (ref.run, butler.get(ref)) == (f"out/{yesterday}/p-h", {"d": detector})
        assert butler.find_dataset("raw", data_id, collections=f"{INSTRUMENT}/raw/all") is not None
    assert butler.get("total", instrument=INSTRUMENT, visit=clone, collections=f"out/{yesterday}") == {"t": 2}
    assert butler.get("config", collections=f"out/{yesterday}") == {"c": 1}


def test_queries_find_each_clone_once(butler: Butler) -> None:
    found = butler.query_datasets("level", "out/*", find_first=False, with_dimension_records=True, limit=None)
    assert len({ref.id for ref in found}) == len(found) == len(DETECTORS) * (CLONES + 1)
    spans = {ref.dataId.timespan for ref in found}
    assert len(spans) == CLONES + 1
    for ref in found:
        assert ref.dataId["day_obs"] == int(ref.dataId["exposure"]) // 100_000
    regions = butler.query_dimension_records("visit_detector_region", instrument=INSTRUMENT, limit=None)
    assert len(regions) == len(DETECTORS) * (CLONES + 1)


def test_no_key_leads_nowhere(butler: Butler, folder: Path) -> None:
    with sqlite3.connect(folder / "filled" / "gen3.sqlite3") as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert count_datasets(butler) > len(DETECTORS) * CLONES


def test_what_ended_before_knows_the_clones(butler: Butler) -> None:
    assert EndedBefore(butler, [INSTRUMENT], [], "out").days == 3
