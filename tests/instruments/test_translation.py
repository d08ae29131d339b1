from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import astropy.units as u
import pytest
import yaml

from lsst.ctrl.rapid.instruments import (
    RawIdentity,
    RefusedError,
    compute_exposure_id,
    exposure_cards,
    filter_band,
    identify,
    read_primary_header,
    translate,
)

UNITS = {"boresight_rotation_angle": u.deg, "focus_z": u.mm}
RAWS = [
    ("30211212000310-R22-S22-det098.fits", "LSSTCam", 3021121200310, 98, "flat", "SDSSi"),
    ("3019031900001-R10-S02-det029.fits", "LSSTCam", 3019031900001, 29, "bias", "unknown"),
    ("3019053000001-R22-S00-det000.fits", "LSSTComCam", 3019053000001, 0, "bias", "unknown"),
    ("3018092000065-det000.fits", "LATISS", 3018092000065, 0, "unknown", "unknown~unknown"),
    ("7024032100720-R22-S11-det094.fits.fz", "LSSTCamSim", 7024032100720, 94, "science", "r_57"),
]
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


def load_header(path: Path) -> dict[str, Any]:
    text = path.read_text()
    return yaml.safe_load(text) if path.suffix == ".yaml" else json.loads(text)


@pytest.mark.parametrize(("name", "instrument", "exposure", "detector", "kind", "physical_filter"), RAWS)
def test_real_raws_are_translated(
    shared_data: Path, caplog, name, instrument, exposure, detector, kind, physical_filter
) -> None:
    header = read_primary_header(shared_data / "raws" / name)
    assert identify(header) == RawIdentity(instrument, exposure, detector, header["OBSID"])
    with caplog.at_level(logging.INFO):
        info = translate(header, name)
    assert not caplog.records
    assert (info.instrument, info.exposure_id, info.detector_num) == (instrument, exposure, detector)
    assert (info.observation_type, info.physical_filter) == (kind, physical_filter)


@pytest.mark.parametrize("name", HEADERS)
def test_headers_are_translated_as_the_observatory_does(shared_data: Path, caplog, name: str) -> None:
    header = load_header(shared_data / "headers" / name)
    before = dict(header)
    expected = json.loads((shared_data / "headers" / "expected.json").read_text())[name]
    with caplog.at_level(logging.INFO):
        info = translate(header, name)
    assert not caplog.records
    assert header == before
    for key, value in expected.items():
        got = getattr(info, key)
        if isinstance(got, u.Quantity):
            got = got.to_value(UNITS.get(key, u.s))
        assert got == (pytest.approx(value, abs=1e-6) if isinstance(value, float) else value), key
    identity = identify(header)
    assert identity.exposure_id == expected["exposure_id"]
    assert identity.detector == expected["detector_num"]


def test_every_expected_header_is_tested(shared_data: Path) -> None:
    assert sorted(json.loads((shared_data / "headers" / "expected.json").read_text())) == HEADERS


@pytest.mark.parametrize(
    ("day_obs", "controller", "exposure"),
    [
        (20251121, "O", 2025112100156),
        (20251121, None, 2025112100156),
        (20231004, "C", 3023100400156),
        (20231005, "C", 2023100500156),
        (20240101, "H", 4024010100156),
        (20250417, "P", 5025041700156),
        (20250418, "P", 2025041800156),
        (20250417, "Q", 6025041700156),
        (20250417, "S", 7025041700156),
        (20250418, "S", 2025041800156),
        (20250418, "H", 4025041800156),
    ],
)
def test_exposure_ids_follow_the_controller(day_obs: int, controller: str | None, exposure: int) -> None:
    assert compute_exposure_id(day_obs, 156, controller) == exposure


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        ({"INSTRUME": None}, "no INSTRUME"),
        ({"INSTRUME": "HSC"}, "INSTRUME is 'HSC'"),
        ({"RAFTBAY": None}, "no RAFTBAY and CCDSLOT"),
        ({"RAFTBAY": "R99"}, "R99_S11, which LSSTCam has not"),
        ({"SEQNUM": 100000}, "SEQNUM is 100000"),
        ({"SEQNUM": -1}, "SEQNUM is -1"),
        ({"SEQNUM": "many"}, "SEQNUM is 'many'"),
        ({"SEQNUM": None}, "no SEQNUM"),
        ({"DAYOBS": None}, "no DAYOBS"),
        ({"DAYOBS": "20261301"}, "DAYOBS is '20261301'"),
        ({"CONTRLLR": "X"}, "CONTRLLR is 'X'"),
        ({"OBSID": None}, "no OBSID"),
        ({"RAFTBAY": "R00", "CCDSLOT": "SG0", "N_STAMPS": 102}, "R00_SG0 is a guider: its file holds stamps"),
        ({"FILENAME": "MC_O_20260501_000123_R00_SG0_guider.fits"}, "its file holds stamps"),
        ({"INSTRUME": "ComCam", "TELESCOP": "Subaru"}, "TELESCOP is 'Subaru'"),
        ({"CALIB_ID": "raftName=R22"}, "CALIB_ID card: the file is a calibration"),
    ],
)
def test_headers_of_no_raw_that_we_handle_are_refused(header, cards: dict[str, Any], reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        identify(header(**cards))
    with pytest.raises(RefusedError, match=reason):
        translate(header(**cards))


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        ({"DATE_BEG": None}, "datetime_begin|none of the cards"),
        ({"DATE_BEG": "yesterday"}, "cannot be translated"),
        ({"DATE_BEG": "1970-01-01T00:00:00.000"}, "began at MJD 40587.00000"),
        ({"DATE_END": "2026-99-02T03:04:40"}, "datetime_end"),
        ({"DEC": -100.0}, "DEC is -100, which cannot be"),
        ({"RA": "here"}, "RA is 'here', which is no number"),
        ({"EXPTIME": -30.0, "SHUTTIME": None}, "exposure time of -30.0 s"),
        ({"EXPTIME": 1e9, "SHUTTIME": None}, "exposure time of 1000000000.0 s"),
        ({"FILTER": "r" * 33}, "more than 32 characters"),
    ],
)
def test_impossible_values_are_refused(header, cards: dict[str, Any], reason: str) -> None:
    with pytest.raises(RefusedError, match=reason) as caught:
        translate(header(**cards))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cards", "physical_filter", "band"),
    [
        ({"FILTER": "i_39"}, "i_39", "i"),
        ({"FILTER": None}, "unknown", "unknown"),
        ({"FILTER": None, "FILTER2": "ND_OD0.1"}, "unknown", "unknown"),
        ({"FILTER": "NONE"}, "none", "white"),
        ({"FILTER": "SDSSg", "FILTER2": "empty"}, "SDSSg", "g"),
        ({"FILTER": "SDSSg", "FILTER2": "ND_OD0.1"}, "SDSSg~ND_OD0.1", "g~nd"),
        ({"FILTER": "brand_new"}, "brand_new", "unknown"),
        ({"INSTRUME": "LATISS", "FILTER": "empty_1", "GRATING": "holo4_003"}, "empty~holo4_003", "white"),
        ({"INSTRUME": "LATISS", "FILTER": "SDSSr_65mm", "GRATING": "empty_2"}, "SDSSr_65mm~empty", "r"),
        ({"INSTRUME": "LATISS", "FILTER": "empty_1", "GRATING": "SDSSz_65mm"}, "empty~SDSSz_65mm", "z"),
        ({"INSTRUME": "LATISS", "FILTER": None}, "unknown~unknown", "unknown"),
        ({"INSTRUME": "ComCam", "FILTER": "g_01"}, "g_01", "g"),
    ],
)
def test_filters_are_named_and_have_bands(
    header, cards: dict[str, Any], physical_filter: str, band: str
) -> None:
    info = translate(header(**cards))
    assert info.physical_filter == physical_filter
    assert filter_band(info.instrument, physical_filter) == band


@pytest.mark.parametrize(
    ("cards", "kind"),
    [
        ({"IMGTYPE": "SKYEXP"}, "science"),
        ({"IMGTYPE": "CWFS"}, "cwfs"),
        ({"IMGTYPE": None}, "unknown"),
        ({"IMGTYPE": None, "EXPTIME": 0.0, "SHUTTIME": 0.0}, "bias"),
        ({"INSTRUME": "LATISS", "OBSTYPE": "FLAT"}, "flat"),
        (
            {"INSTRUME": "LATISS", "DATE_BEG": "2019-05-02T03:04:10", "DATE_END": None, "OBSTYPE": "OBJECT"},
            "labobject",
        ),
    ],
)
def test_observation_types(header, cards: dict[str, Any], kind: str) -> None:
    assert translate(header(**cards)).observation_type == kind


def test_an_end_before_the_begin_becomes_the_begin(header) -> None:
    info = translate(header(DATE_END="2026-05-01T00:00:00"))
    assert info.datetime_end == info.datetime_begin


def test_the_end_follows_from_the_exposure_time(header) -> None:
    info = translate(header(DATE_END=None))
    assert (info.datetime_end - info.datetime_begin).to_value(u.s) == pytest.approx(30.01)


def test_group_is_the_exposure_where_the_header_has_none(header) -> None:
    assert translate(header(GROUPID=None)).exposure_group == "2026050100123"


def test_simulations_share_the_sequence_but_not_the_instrument(header) -> None:
    cards = {"CONTRLLR": "S", "OBSID": "MC_S_20260501_000123"}
    real, simulated = identify(header(**cards)), identify(header(**cards, INSTRUME="LSSTCamSim"))
    assert real.exposure_id == simulated.exposure_id == 2026050100123
    assert (real.instrument, simulated.instrument) == ("LSSTCam", "LSSTCamSim")
    assert translate(header(**cards, INSTRUME="LSSTCamSim")).has_simulated_content


def test_corrections_of_a_site_are_applied(header, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "LSSTCam-MC_O_20260501_000123.yaml").write_text("OBJECT: corrected\n")
    monkeypatch.setenv("METADATA_CORRECTIONS_PATH", str(tmp_path))
    assert translate(header()).object == "corrected"


def test_detectors_of_an_exposure_agree_on_its_cards(header) -> None:
    one, two = exposure_cards(header()), exposure_cards(header(CCDSLOT="S22", DATE="2026-05-02T03:04:44"))
    assert one == two
    assert exposure_cards(header(DAYOBS=20260501)) == one
    assert "OBJECT" not in exposure_cards(header(OBJECT=None))


@pytest.mark.parametrize(
    "cards",
    [{"EXPTIME": 15.0}, {"FILTER": "g_6"}, {"IMGTYPE": "BIAS"}, {"OBJECT": "x"}, {"DATE_BEG": "2026"}],
)
def test_contradictions_show_in_the_exposure_cards(header, cards: dict[str, Any]) -> None:
    assert exposure_cards(header()) != exposure_cards(header(**cards))


@pytest.mark.parametrize(
    ("cards", "sees"),
    [
        ({}, True),
        ({"VIGN_MIN": "FULLY"}, False),
        ({"VIGN_MIN": "PARTIALLY"}, True),
        ({"SHUTTIME": 0.0}, False),
        ({"VIGN_MIN": None}, None),
        ({"VIGN_MIN": None, "INSTRUME": "LSSTCamSim"}, True),
        ({"VIGN_MIN": None, "INSTRUME": "LSSTCamSim", "IMGTYPE": "BIAS"}, False),
        ({"DATE_BEG": "2024-05-02T03:04:10", "DATE_END": None}, False),
    ],
)
def test_whether_the_sky_was_seen(header, cards: dict[str, Any], sees: bool | None) -> None:
    assert translate(header(**cards)).can_see_sky is sees
