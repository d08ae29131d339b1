"""Translations and records compared with those that the full stack made (``data/stack``)."""

from __future__ import annotations

import datetime
import json
import math
from pathlib import Path
from typing import Any

import astropy.units as u
import pytest
import yaml
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time, TimeDelta
from lsst.daf.butler import Butler, DimensionUniverse, Timespan

from lsst.ctrl.rapid.ingest import make_repository
from lsst.ctrl.rapid.instruments import camera_names, exposure_records, identify, make_visit, translate

HEADERS = [
    "comCam-CC_C_20190530_000001_R22_S00.yaml",
    "comCam-CC_O_20241108_000266_R22_S00.yaml",
    "latiss-AT_C_20220426_000004_R00_S00.yaml",
    "latiss-AT_O_20230705_000379_R00_S00.json",
    "latiss-AT_O_20240624_000106_R00_S00.yaml",
    "lsstCam-MC_C_20190319_000001_R10_S02.yaml",
    "lsstCam-MC_O_20250422_000250_R01_S01.yaml",
    "lsstCam-MC_O_20251121_000156_R44_SW0.json",
    "lsstCam-MC_O_20260315_000051_R01_S01.yaml",
    "lsstCamSim-MC_S_20240321_000720_R22_S11.yaml",
]


def load_header(shared_data: Path, name: str) -> dict[str, Any]:
    text = (shared_data / "headers" / name).read_text()
    header: dict[str, Any] = yaml.safe_load(text) if name.endswith(".yaml") else json.loads(text)
    return header


def expected_of(shared_data: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared_data / "stack" / "observations.json").read_text())[name]
    return found


def plain(value: Any, like: Any) -> Any:
    """Return a value as the export writes it; ``like`` gives the unit."""
    match value:
        case Time():
            return {"isot_tai": value.tai.isot, "mjd_tai": value.tai.mjd}
        case TimeDelta():
            # Where it is Pacific time, the export has it as hours.
            seconds = float(value.to_value(u.s))
            return str(datetime.timedelta(seconds=seconds)) if ":" in like else str(seconds)
        case AltAz():
            return {"alt_deg": value.alt.deg, "az_deg": value.az.deg}
        case SkyCoord():
            return {"ra_deg": value.icrs.ra.deg, "dec_deg": value.icrs.dec.deg}
        case EarthLocation():
            return [float(axis.to_value(u.m)) for axis in value.geocentric]
        case u.Quantity():
            return {"unit": like["unit"], "value": float(value.to_value(like["unit"]))}
        case Timespan():
            return {"begin": plain(value.begin, None), "end": plain(value.end, None)}
        case _:
            return value


def assert_equal(got: Any, expected: Any, what: str) -> None:
    match expected:
        case dict():
            assert set(got) == set(expected), what
            for key, value in expected.items():
                # The text of a time is rounded to milliseconds in one of them.
                if key != "isot_tai":
                    assert_equal(got[key], value, f"{what}.{key}")
        case list():
            assert got == pytest.approx(expected, abs=0.001), what
        case float() if math.isnan(expected):
            assert math.isnan(got), what
        case float():
            assert got == pytest.approx(expected, rel=1e-12, abs=1e-12), what
        case _:
            assert got == expected, what


def test_every_exported_header_is_compared(shared_data: Path) -> None:
    assert sorted(json.loads((shared_data / "stack" / "observations.json").read_text())) == HEADERS


@pytest.mark.parametrize("name", HEADERS)
def test_every_property_is_what_the_stack_has(shared_data: Path, name: str) -> None:
    header, expected = load_header(shared_data, name), expected_of(shared_data, name)["observation_info"]
    info = translate(header, name)
    for key, value in expected.items():
        assert_equal(plain(getattr(info, key), value), value, key)
    assert not {key for key in info.all_properties if key not in expected and getattr(info, key) is not None}
    identity = identify(header)
    assert (identity.instrument, identity.exposure_id, identity.detector, identity.obs_id) == tuple(
        expected[key] for key in ("instrument", "exposure_id", "detector_num", "observation_id")
    )


@pytest.mark.parametrize("name", HEADERS)
def test_coordinates_have_time_and_place(shared_data: Path, name: str) -> None:
    radec = translate(load_header(shared_data, name), name).tracking_radec
    expected = expected_of(shared_data, name)["observation_info"]
    assert (radec is None) == (expected["tracking_radec"] is None)
    if radec is not None:
        assert_equal(plain(radec.obstime, None), expected["datetime_begin"], "time")
        assert_equal(plain(radec.location, None), expected["location"], "place")


@pytest.mark.parametrize("name", HEADERS)
def test_the_exposure_record_is_the_one_of_the_stack(shared_data: Path, name: str) -> None:
    universe = DimensionUniverse()
    records = exposure_records(translate(load_header(shared_data, name), name), universe)
    expected = expected_of(shared_data, name)
    record = records["exposure"].toDict()
    assert set(record) == set(expected["exposure_record"])
    for key, value in expected["exposure_record"].items():
        assert_equal(plain(record[key], value), value, key)
    visit = make_visit(records["exposure"], universe)
    assert (visit is not None) == ("pixel_to_sky" in expected)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("registered") / "repo"
    make_repository(root, list(camera_names()))
    return root


@pytest.mark.parametrize("instrument", camera_names())
@pytest.mark.parametrize("element", ["instrument", "detector", "physical_filter"])
def test_registered_records_are_those_of_the_stack(
    shared_data: Path, repository: Path, instrument: str, element: str
) -> None:
    expected = json.loads((shared_data / "stack" / f"{instrument}-records.json").read_text())[element]
    with Butler.from_config(repository) as butler:
        found = [record.toDict() for record in butler.query_dimension_records(element, instrument=instrument)]
    if element == "instrument":
        # The class is the one that reads raws without afw.
        assert found[0].pop("class_name") == f"lsst.ctrl.rapid.instruments.{stack_class(expected[0])}"
        del expected[0]["class_name"]

    def key(record: dict[str, Any]) -> str:
        return str(record.get("id", record.get("name")))

    assert sorted(found, key=key) == sorted(expected, key=key)


def stack_class(record: dict[str, Any]) -> str:
    return str(record["class_name"]).rpartition(".")[2]
