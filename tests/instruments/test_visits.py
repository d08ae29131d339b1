"""Which exposures are visits, what their records say, and where their detectors look."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from lsst.daf.butler import DimensionConfig, DimensionRecord, DimensionUniverse
from lsst.sphgeom import LonLat, UnitVector3d

from lsst.ctrl.rapid.instruments import (
    Visit,
    camera_names,
    exposure_records,
    focal_plane_to_sky,
    load_camera,
    make_visit,
    read_primary_header,
    translate,
)

UNIVERSE = DimensionUniverse()
MOSAIC = "LSSTCam"
PIXEL = 0.20005867576692737
"""Side of a pixel of LSSTCam on the axis, arcsec, by lsst/obs_lsst's cameraTransforms.yaml."""


def exposure_of(header: dict[str, Any]) -> DimensionRecord:
    return exposure_records(translate(header), UNIVERSE)["exposure"]


def visit_of(header: dict[str, Any]) -> Visit:
    visit = make_visit(exposure_of(header), UNIVERSE)
    assert visit is not None
    return visit


def with_fields(record: DimensionRecord, **fields: Any) -> DimensionRecord:
    return record.definition.RecordClass(**{**record.toDict(), **fields})


def position(vector: np.ndarray) -> SkyCoord:
    x, y, z = vector
    return SkyCoord(math.degrees(math.atan2(y, x)), math.degrees(math.asin(z)), unit="deg")


def point(sky: SkyCoord) -> UnitVector3d:
    return UnitVector3d(LonLat.fromDegrees(float(sky.ra.deg), float(sky.dec.deg)))


def tangent_plane(
    ra: float, dec: float, rotation: float, scale: float = 20.0, *, mirrored: bool = False
) -> WCS:
    """Return a FITS WCS of the focal plane in millimetres, made without our code."""
    angle = math.radians(rotation)
    west = 1.0 if mirrored else -1.0
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [1.0, 1.0]  # zero for positions that count from zero
    wcs.wcs.cd = (scale / 3600.0) * np.array(
        [[west * math.cos(angle), math.sin(angle)], [-west * math.sin(angle), math.cos(angle)]]
    )
    return wcs


def test_a_visit_says_what_its_exposure_says(header: Callable[..., dict[str, Any]]) -> None:
    exposure = exposure_of(header(REASON="night"))
    visit = make_visit(exposure, UNIVERSE)
    assert visit is not None
    fields = visit.visit.toDict()
    region = fields.pop("region")
    assert fields == {
        "instrument": MOSAIC,
        "id": 2026050100123,
        "name": "MC_O_20260501_000123",
        "day_obs": 20260501,
        "physical_filter": "r_57",
        "seq_num": 123,
        "exposure_time": 30.0,
        "target_name": "field",
        "observation_reason": "night",
        "science_program": "BLOCK-365",
        "azimuth": exposure.azimuth,
        "zenith_angle": pytest.approx(30.0),
        "timespan": exposure.timespan,
    }
    assert region.contains(point(SkyCoord(10.0, -20.0, unit="deg")))
    assert visit.definition.toDict() == {
        "instrument": MOSAIC,
        "exposure": 2026050100123,
        "visit": 2026050100123,
    }
    assert [(s.id, s.name) for s in visit.systems] == [(0, "one-to-one")]


@pytest.mark.parametrize(
    "cards",
    [{}, {"CURINDEX": 1, "MAXINDEX": 1}, {"CURINDEX": 1, "MAXINDEX": 2}, {"CURINDEX": 2, "MAXINDEX": 2}],
    ids=["alone", "one of one", "first of two", "second of two"],
)
def test_every_exposure_is_a_visit_of_its_own(
    header: Callable[..., dict[str, Any]], cards: dict[str, int]
) -> None:
    visit = visit_of(header(**cards))
    assert (visit.visit.id, visit.visit.name) == (2026050100123, "MC_O_20260501_000123")
    assert [(m.visit_system, m.visit) for m in visit.memberships] == [(0, 2026050100123)]
    assert (visit.definition.visit, visit.definition.exposure) == (2026050100123, 2026050100123)
    assert {r.visit for r in visit.detector_regions.values()} == {2026050100123}


@pytest.mark.parametrize(
    "cards",
    [
        {"IMGTYPE": "BIAS"},
        {"IMGTYPE": "DARK"},
        {"IMGTYPE": "FLAT", "VIGN_MIN": "FULLY"},
        {"IMGTYPE": "FLAT", "VIGN_MIN": None},
        {"IMGTYPE": "FLAT", "TRACKSYS": "LOCAL"},
        {"IMGTYPE": "FLAT"},
        {"VIGN_MIN": "FULLY"},
        {"TRACKSYS": "LOCAL"},
        {"RA": None, "DEC": None},
        {"ROTPA": None},
        {"ROTCOORD": "mount"},
    ],
    ids=str,
)
def test_what_is_not_of_the_sky_is_no_visit(
    header: Callable[..., dict[str, Any]], cards: dict[str, Any]
) -> None:
    assert make_visit(exposure_of(header(**cards)), UNIVERSE) is None


@pytest.mark.parametrize(
    "cards", [{"VIGN_MIN": None}, {"IMGTYPE": "ENGTEST"}, {"IMGTYPE": "DOME", "VIGN_MIN": None}], ids=str
)
def test_what_may_see_the_sky_is_a_visit(
    header: Callable[..., dict[str, Any]], cards: dict[str, Any]
) -> None:
    assert make_visit(exposure_of(header(**cards)), UNIVERSE) is not None


def test_older_repositories_have_visits_too(header: Callable[..., dict[str, Any]]) -> None:
    folder = "resource://lsst.daf.butler/configs/old_dimensions"
    universe = DimensionUniverse(DimensionConfig(f"{folder}/daf_butler_universe6.yaml"))
    for kind, visits in (("OBJECT", 1), ("DARK", 0)):
        exposure = exposure_records(translate(header(IMGTYPE=kind)), universe)["exposure"]
        assert not hasattr(exposure, "can_see_sky")
        assert (make_visit(exposure, universe) is not None) == visits


def test_reasons_that_are_not_known_are_various(header: Callable[..., dict[str, Any]]) -> None:
    visit = make_visit(with_fields(exposure_of(header()), observation_reason=None), UNIVERSE)
    assert visit is not None
    assert visit.visit.observation_reason == "various"


def test_corners_are_where_hand_and_sky_say(header: Callable[..., dict[str, Any]]) -> None:
    """R22_S11 is centred on the boresight; at rotation 0 columns run along declination."""
    region = visit_of(header(ROTPA=0.0)).detector_regions[94].region
    centre = SkyCoord(10.0, -20.0, unit="deg")
    half_width, half_height = (4096 / 2 + 250) * PIXEL, (4004 / 2 + 250) * PIXEL
    for side, angle in ((half_width, 270.0), (half_width, 90.0), (half_height, 0.0), (half_height, 180.0)):
        inside, outside = (
            centre.directional_offset_by(angle * u.deg, (side + step) * u.arcsec) for step in (-0.05, 0.05)
        )
        assert region.contains(point(inside)), angle
        assert not region.contains(point(outside)), angle


def test_regions_of_latiss_are_wide(header: Callable[..., dict[str, Any]]) -> None:
    """``config/latiss/defineVisits.py`` of lsst/obs_lsst: 4000 pixels, of 0.0957 arcsec."""
    latiss = header(INSTRUME="LATISS", ROTPA=0.0, GRATING="empty_1")
    region = visit_of(latiss).detector_regions[0].region
    centre = SkyCoord(10.0, -20.0, unit="deg")
    for angle in (0.0, 90.0, 180.0, 270.0):
        inside, outside = (
            centre.directional_offset_by(angle * u.deg, side * u.arcsec) for side in (560.0, 590.0)
        )
        assert region.contains(point(inside)), angle
        assert not region.contains(point(outside)), angle


@pytest.mark.parametrize("rotation", [0.0, 45.0, 200.0])
def test_regions_lie_as_the_rotation_says(header: Callable[..., dict[str, Any]], rotation: float) -> None:
    visit = visit_of(header(ROTPA=rotation))
    wcs = tangent_plane(10.0, -20.0, rotation)
    camera = load_camera(MOSAIC)
    assert set(visit.detector_regions) == set(camera)
    centres = {n: point(wcs.pixel_to_world(d.x_mm, d.y_mm)) for n, d in camera.items()}
    for number, record in visit.detector_regions.items():
        # Padding makes neighbours overlap, but no region reaches the centre of another detector.
        assert {n for n, centre in centres.items() if record.region.contains(centre)} == {number}
        assert visit.visit.region.contains(centres[number])


@pytest.mark.parametrize("instrument", camera_names())
def test_pixels_look_where_a_wcs_says(instrument: str) -> None:
    camera = load_camera(instrument)
    # Scale on the axis, and whether x runs to the east, from the camera definitions of lsst/obs_lsst.
    scale = {"LATISS": 9.5695, "LSSTComCam": 20.018130891688713, "LSSTComCamSim": 20.018130891688713}
    wcs = tangent_plane(
        200.0, -60.0, 111.0, scale.get(instrument, PIXEL * 100), mirrored=instrument == "LATISS"
    )
    for number in camera.science[:: max(1, len(camera.science) // 20)]:
        x_mm, y_mm = camera[number].to_focal_plane(np.array([100.0]), np.array([3000.0]))
        [vector] = focal_plane_to_sky(instrument, x_mm, y_mm, ra=200.0, dec=-60.0, rotation=111.0)
        square = x_mm**2 + y_mm**2
        cubic, quintic = {
            "LATISS": (0.0, 0.0),
            "LSSTComCam": (9.27930280e-08, 2.41770368e-13),
            "LSSTComCamSim": (9.27930280e-08, 2.41770368e-13),
        }.get(instrument, (-8.33713991e-09, -1.41389858e-15))
        stretch = 1.0 + cubic * square + quintic * square**2
        expected = wcs.pixel_to_world(x_mm * stretch, y_mm * stretch)[0]
        assert position(vector).separation(expected).arcsec < 1e-6


def test_the_sky_of_a_real_raw_is_that_of_its_own_wcs(shared_data) -> None:
    """A simulation by others (imSim), with their WCS in the header of its segments."""
    path = shared_data / "raws" / "7024032100720-R22-S11-det094.fits.fz"
    exposure = exposure_of(read_primary_header(path))
    visit = make_visit(exposure, UNIVERSE)
    assert visit is not None
    detector = load_camera("LSSTCamSim")[94]
    wcs = WCS(fits.getheader(path, 1))
    for column, row in ((1, 1), (512, 1), (512, 2002), (1, 2002)):  # of the data of Segment10
        theirs = wcs.pixel_to_world(column - 1, row - 1)
        # DETSEC of these files is in the frame of cameraGeom: [512:1,4004:2003].
        x_mm, y_mm = detector.to_focal_plane(512.0 - column, 4004.0 - row)
        vector = focal_plane_to_sky(
            "LSSTCamSim",
            np.array(x_mm),
            np.array(y_mm),
            ra=exposure.tracking_ra,
            dec=exposure.tracking_dec,
            rotation=exposure.sky_angle,
        )
        assert position(vector).separation(theirs).arcsec < 2.0
        holding = {n for n, r in visit.detector_regions.items() if r.region.contains(point(theirs))}
        assert 94 in holding


def test_an_instrument_without_optics_is_told() -> None:
    with pytest.raises(LookupError, match="OtherCam"):
        focal_plane_to_sky("OtherCam", np.zeros(1), np.zeros(1), ra=0.0, dec=0.0, rotation=0.0)
