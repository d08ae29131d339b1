"""Visits of simulated raws, from ``rapid-exec ingest-raws`` to the butler."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from lsst.daf.butler import Butler
from lsst.sphgeom import UnitVector3d

from lsst.ctrl.rapid.ingest import Ingestor, RawReady, make_repository, open_raw
from lsst.ctrl.rapid.instruments import focal_plane_to_sky, load_camera, read_primary_header
from lsst.ctrl.rapid.model import Arrival
from lsst.ctrl.rapid.plan import RecordStore, record_to_json
from lsst.ctrl.rapid.simulator import SentRaw, SimulationConfig, simulate
from support.processes import rapid_here

CAMERA = "LSSTCamSim"
DETECTORS = (29, 98, 191)


@dataclasses.dataclass
class Night:
    """A repository with a science exposure, a bias and a flat."""

    folder: Path
    butler: Butler
    sent: list[SentRaw]

    def ready(self, kind: str = "science") -> list[RawReady]:
        """Return what an ingestor says of the raws of one kind, asking no database."""
        store = RecordStore.from_butler(self.butler, [CAMERA])
        ingestor = Ingestor(open_raw(self.butler), store)
        return [
            ingestor.read(Arrival(raw.path, 0.0, 0.0)) for raw in self.sent if raw.observation_type == kind
        ]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("night")
    make_repository(folder / "repo", [CAMERA])
    config = SimulationConfig(
        exposures=3,
        sequence="science,bias,flat",
        detectors=DETECTORS,
        scale="1/16",
        start="2026-03-16T03:00:00",
    )
    sent = list(simulate(config, folder / "landing"))
    printed = rapid_here("ingest-raws", "-b", folder / "repo", *(raw.path for raw in sent))
    assert "9 of 9 file(s) are registered" in printed
    with Butler.from_config(folder / "repo") as butler:
        yield Night(folder, butler, sent)


def test_exposures_of_the_sky_are_visits(night: Night) -> None:
    [science] = {raw.exposure for raw in night.sent if raw.observation_type == "science"}
    [visit] = night.butler.query_dimension_records("visit")
    assert visit.id == science
    assert len(night.butler.query_dimension_records("visit_detector_region")) == 205
    assert len(night.butler.query_dimension_records("exposure")) == 3


def test_calibrations_give_no_visit(night: Night) -> None:
    for kind in ("bias", "flat"):
        for raw in night.ready(kind):
            elements = [record.definition.name for record in raw.to_register]
            assert sorted(elements) == ["day_obs", "exposure", "group", "physical_filter"]
            assert raw.records == raw.to_register


def test_a_point_finds_visit_and_detector(night: Night) -> None:
    """In the middle of each detector, as the header and the camera place it."""
    camera = load_camera(CAMERA)
    for raw in night.sent:
        if raw.observation_type != "science":
            continue
        header = read_primary_header(raw.path)
        detector = camera[raw.detector]
        x, y, z = focal_plane_to_sky(
            CAMERA,
            np.array(detector.x_mm),
            np.array(detector.y_mm),
            ra=header["RA"],
            dec=header["DEC"],
            rotation=header["ROTPA"],
        )
        ra, dec = np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arcsin(z))
        found = night.butler.query_dimension_records(
            "visit_detector_region", where=f"visit_detector_region.region OVERLAPS POINT({ra}, {dec})"
        )
        assert [(r.visit, r.detector) for r in found] == [(raw.exposure, raw.detector)]


def test_simulated_stars_are_in_the_region_of_their_detector(night: Night) -> None:
    [raw, *_] = [raw for raw in night.sent if raw.observation_type == "science"]
    header = read_primary_header(raw.path)
    stars = Table.read(night.folder / "landing" / "truth" / f"{raw.obs_id}.ecsv")
    camera = load_camera(CAMERA)
    regions = {r.detector: r.region for r in night.butler.query_dimension_records("visit_detector_region")}
    for number in DETECTORS:
        own = stars[stars["detector"] == number]
        assert len(own)
        detector = camera[number]
        shape = (round(detector.rows / 16), round(detector.columns / 16))
        x_mm, y_mm = detector.to_focal_plane(np.array(own["x"]), np.array(own["y"]), shape=shape)
        sky = focal_plane_to_sky(
            CAMERA, x_mm, y_mm, ra=header["RA"], dec=header["DEC"], rotation=header["ROTPA"]
        )
        for star in map(UnitVector3d, *sky.T):
            # The detectors are cropped around their middle, which no neighbour's margin reaches.
            assert {n for n, region in regions.items() if region.contains(star)} == {number}


@pytest.mark.parametrize(
    "names",
    [["visit"], ["visit", "detector"], ["exposure", "visit"], ["exposure", "visit", "detector"]],
    ids=", ".join,
)
def test_data_ids_are_expanded_from_memory(night: Night, names: list[str]) -> None:
    dimensions = night.butler.dimensions.conform(names)
    for raw in night.ready():
        store = RecordStore.from_butler(night.butler, [CAMERA])
        store.add(raw.records)
        values = {
            "instrument": CAMERA,
            "exposure": raw.exposure,
            "visit": raw.exposure,
            "detector": raw.detector,
        }
        required = {name: values[name] for name in dimensions.required}
        ours = store.expand(dimensions, **required)
        theirs = night.butler.registry.expandDataId(required, dimensions=dimensions)
        assert ours == theirs
        assert dict(ours.mapping) == dict(theirs.mapping)
        for element in dimensions.elements:
            assert ours.records[element] == theirs.records[element], element
        assert ours.region == theirs.region
        assert ours.timespan == theirs.timespan


def test_what_goes_to_a_worker_is_small(night: Night) -> None:
    first, *others = night.ready()
    regions = [r for r in first.records if r.definition.name == "visit_detector_region"]
    assert [r.detector for r in regions] == [first.detector]
    assert sum(len(record_to_json(record)) for record in first.records) < 6000
    assert all(other.to_register is first.to_register for other in others)
    assert set(map(id, first.records)) < set(map(id, first.to_register))


def test_detectors_that_the_repository_has_not_are_left_out(night: Night) -> None:
    known = RecordStore.from_butler(night.butler, [CAMERA]).static()
    store = RecordStore(
        night.butler.dimensions, [r for r in known if r.definition.name != "detector" or r.id < 189]
    )
    raw = Ingestor(open_raw(night.butler), store).read(Arrival(night.sent[0].path, 0.0, 0.0))
    registered = {r.detector for r in raw.to_register if r.definition.name == "visit_detector_region"}
    assert registered == set(range(189))
