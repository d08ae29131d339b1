"""What headers of some nights and years had otherwise, and what the observatory's package makes of it.

Each test names the rule in ``lsst.obs.lsst.translators`` (lsst/obs_lsst) whose limits and values it states.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import pytest
import yaml
from astro_metadata_translator import ObservationInfo
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time

from lsst.ctrl.rapid.instruments import RefusedError, exposure_cards, identify, translate

type Headers = Callable[..., dict[str, Any]]

LATISS = "latiss-AT_O_20230705_000379_R00_S00.json"
COMCAM = "comCam-CC_O_20241108_000266_R22_S00.yaml"
COMCAM_LAB = "comCam-CC_C_20190530_000001_R22_S00.yaml"
LSSTCAM = "lsstCam-MC_O_20250422_000250_R01_S01.yaml"
LSSTCAM_LAB = "lsstCam-MC_C_20190319_000001_R10_S02.yaml"
SIMULATION = "lsstCamSim-MC_S_20240321_000720_R22_S11.yaml"
ABSENT = object()
"""As the value of a card: it is not there."""


@pytest.fixture
def headers(shared_data: Path) -> Headers:
    """Return a function that returns a given header with cards changed."""

    def make(name: str, begin: str | None = None, **cards: Any) -> dict[str, Any]:
        text = (shared_data / "headers" / name).read_text()
        header = yaml.safe_load(text) if name.endswith(".yaml") else json.loads(text)
        if begin is not None:
            moment = Time(begin, scale="tai")
            header |= {"DATE-OBS": moment.isot, "MJD-OBS": moment.mjd, "DATE-BEG": None, "MJD-BEG": None}
            header |= {"DATE": (moment + 60 * u.s).isot, "MJD": (moment + 60 * u.s).mjd, "DATE-END": None}
        cards = {
            key.replace("_", "-") if key.startswith(("DATE_", "MJD_")) else key: value
            for key, value in cards.items()
        }
        return {key: value for key, value in {**header, **cards}.items() if value is not ABSENT}

    return make


def of_night(headers: Headers, name: str, day: int, seq_num: int, **cards: Any) -> ObservationInfo:
    text = str(day)
    begin = f"{text[:4]}-{text[4:6]}-{text[6:]}T23:30:00"
    obs_id = f"MC_O_{day}_{seq_num:06d}"
    return translate(headers(name, begin, DAYOBS=text, SEQNUM=seq_num, OBSID=obs_id, **cards))


# --- LsstCamTranslator


@pytest.mark.parametrize("day", [20231107, 20231108, 20241015, 20241016])
def test_the_pinhole_filter_has_one_name(headers: Headers, day: int) -> None:
    """``LsstCamTranslator.fix_header``: ``ph_05`` is ``ph_5`` on these days."""
    assert of_night(headers, LSSTCAM, day, 1, FILTER="ph_05").physical_filter == "ph_5"
    assert of_night(headers, LSSTCAM, day, 1, FILTER="r_57").physical_filter == "r_57"
    assert of_night(headers, LSSTCAM, 20241017, 1, FILTER="ph_05").physical_filter == "ph_05"


@pytest.mark.parametrize(
    ("day", "first", "last"),
    [
        (20250703, 743, 745),
        (20250704, 832, 834),
        (20250705, 1, 736),
        (20250707, 744, 823),
        (20250707, 864, 943),
        (20250714, 258, 781),
        (20250715, 205, 1218),
        (20250819, 4, 1052),
    ],
)
def test_the_dome_was_closed(headers: Headers, day: int, first: int, last: int) -> None:
    """``LsstCamTranslator.fix_header``: DM-51847, DM-52249."""
    for seq_num, sees in ((first - 1, True), (first, False), (last, False), (last + 1, True)):
        assert of_night(headers, LSSTCAM, day, seq_num, VIGN_MIN="NO").can_see_sky is sees, seq_num
    assert of_night(headers, LSSTCAM, day, first, VIGN_MIN=ABSENT).can_see_sky is None


def test_the_dome_was_closed_a_whole_night(headers: Headers) -> None:
    """``LsstCamTranslator.fix_header``: all of 20250518."""
    for day, sees in ((20250517, True), (20250518, False), (20250519, True)):
        assert of_night(headers, LSSTCAM, day, 77, VIGN_MIN="PARTIALLY").can_see_sky is sees


@pytest.mark.parametrize(
    ("day", "first", "last", "physical_filter"),
    [(20250609, 76, 578, "z_20"), (20260315, 49, 109, "i_39")],
)
def test_another_filter_was_in_the_beam(
    headers: Headers, day: int, first: int, last: int, physical_filter: str
) -> None:
    """``LsstCamTranslator.fix_header``: DM-52711, and the night of 2026-03-15."""
    for seq_num in (first, last):
        assert of_night(headers, LSSTCAM, day, seq_num, FILTER="g_6").physical_filter == physical_filter
    for seq_num in (first - 1, last + 1):
        assert of_night(headers, LSSTCAM, day, seq_num, FILTER="g_6").physical_filter == "g_6"


@pytest.mark.parametrize("day", [20250415, 20250425, 20250503, 20250524, 20250828])
def test_a_program_had_another_number(headers: Headers, day: int) -> None:
    """``LsstCamTranslator.fix_header``: DM-53949."""
    assert of_night(headers, LSSTCAM, day, 1, PROGRAM="BLOCK-417").science_program == "BLOCK-T417"
    assert of_night(headers, LSSTCAM, day, 1, PROGRAM="BLOCK-365").science_program == "BLOCK-365"
    assert of_night(headers, LSSTCAM, 20250902, 1, PROGRAM="BLOCK-417").science_program == "BLOCK-417"


@pytest.mark.parametrize(
    ("day", "seq_num", "degrees"),
    [
        (20250301, 1, 30.0),
        (20250302, 1, -60.0),
        (20250421, 1, -60.0),
        (20250422, 250, -150.0),
        (20250422, 251, 30.0),
        (20250423, 1, 30.0),
    ],
)
def test_the_rotator_had_another_zero_point(headers: Headers, day: int, seq_num: int, degrees: float) -> None:
    """``LsstCamTranslator.fix_header``: by 90 degrees in the first weeks, by 180 in half a night."""
    info = of_night(headers, LSSTCAM, day, seq_num, ROTPA=30.0)
    assert info.boresight_rotation_angle.deg == pytest.approx(degrees)


def test_a_neutral_density_without_a_filter_says_nothing(headers: Headers) -> None:
    """``LsstCamTranslator.fix_header``: FILTER2 counts only beside FILTER."""
    cards = {"FILTER": ABSENT, "FILTER1": ABSENT, "FILTER2": "ND_OD0.1"}
    assert translate(headers(LSSTCAM_LAB, **cards)).physical_filter == "unknown"
    assert translate(headers(LSSTCAM_LAB, **{**cards, "FILTER": "SDSSi"})).physical_filter == "SDSSi~ND_OD0.1"
    assert translate(headers(LSSTCAM_LAB, **{**cards, "FILTER": "empty"})).physical_filter == "empty~ND_OD0.1"


@pytest.mark.parametrize(
    ("vignetting", "sees"), [("FULLY", False), ("PARTIALLY", True), ("NO", True), ("UNKNOWN", None)]
)
def test_vignetting_says_whether_the_sky_is_seen(
    headers: Headers, vignetting: str, sees: bool | None
) -> None:
    """``LsstBaseTranslator.to_can_see_sky``."""
    for name in (LSSTCAM, LATISS):
        assert translate(headers(name, VIGN_MIN=vignetting, SHUTTIME=30.0)).can_see_sky is sees


@pytest.mark.parametrize(
    ("begin", "hours"),
    [
        ("2023-11-05T08:00:00", 7),
        ("2023-11-05T12:00:00", 8),
        ("2024-04-30T12:00:00", 7),
        ("2024-05-01T00:00:00", 12),
    ],
)
def test_days_of_the_laboratory_are_pacific(headers: Headers, begin: str, hours: int) -> None:
    """``LsstCamTranslator.observing_date_to_offset``, with daylight saving; simulations never were there."""
    offset = translate(headers(LSSTCAM, begin)).observing_day_offset
    assert offset is not None
    assert offset.to_value(u.hour) == pytest.approx(hours)
    simulated = translate(headers(SIMULATION, begin)).observing_day_offset
    assert simulated is not None
    assert simulated.to_value(u.hour) == pytest.approx(12)


@pytest.mark.parametrize(
    ("group", "visit"),
    [
        ("123", 123),
        # lsst/obs_lsst, tests/test_translator.py, has the visits of these two groups.
        ("2025-04-16T00:53:10.143", 3246943901430000),
        ("2025-04-16T07:03:14.565#1", 3247165945650001),
    ],
)
def test_numbers_of_visits_come_from_groups(headers: Headers, group: str, visit: int) -> None:
    """``LsstBaseTranslator.to_visit_id``."""
    assert translate(headers(LSSTCAM, GROUPID=group)).visit_id == visit


def test_a_group_of_another_kind_has_a_number(headers: Headers) -> None:
    """``LsstBaseTranslator.to_visit_id``: 14 digits of a hash and the length, always the same."""
    first, again, other = (
        translate(headers(LSSTCAM, GROUPID=group)).visit_id for group in ("abcdef", "abcdef", "fedcba")
    )
    assert first == again != other
    assert str(first).endswith("06")


@pytest.mark.parametrize(("seq_num", "number"), [(32767, True), (32768, False)])
def test_a_number_of_detector_and_exposure_has_no_room_for_all(
    headers: Headers, seq_num: int, *, number: bool
) -> None:
    """``RubinDimensionPackerConfig.n_seq_nums``."""
    info = translate(headers(LSSTCAM, SEQNUM=seq_num))
    assert (info.detector_exposure_id is not None) == number


def test_a_science_exposure_may_lack_pointing(headers: Headers) -> None:
    """``RawIngestTask.getObservationInfoSubsets`` does not require it."""
    cards = dict.fromkeys(("RA", "DEC", "RASTART", "DECSTART", "ELSTART", "AZSTART", "AMSTART"), ABSENT)
    info = translate(headers(LSSTCAM, IMGTYPE="OBJECT", **cards))
    assert info.observation_type == "science"
    assert (info.tracking_radec, info.altaz_begin, info.boresight_airmass) == (None, None, None)


# --- phosim-style controllers


@pytest.mark.parametrize("begin", ["2010-02-17T02:14:40", "2000-02-17T02:14:40"])
def test_simulations_may_be_dated_before_the_cameras(headers: Headers, begin: str) -> None:
    """``LsstCamTranslator._is_on_mountain``: controller H always is; index 2 in ``CONTROLLERS``."""
    cards = {"CONTRLLR": "H", "DAYOBS": "20100217", "SEQNUM": 32, "OBSID": "MC_H_20100217_000032"}
    info = translate(headers(LSSTCAM, begin, **cards))
    assert (info.exposure_id, info.has_simulated_content) == (4010021700032, True)
    assert info.location is not None
    with pytest.raises(RefusedError, match="which cannot be"):
        translate(headers(LSSTCAM, begin, **{**cards, "CONTRLLR": "O"}))


# --- LsstComCamTranslator


def test_the_controller_of_the_laboratory_had_one_name_for_all_cameras(headers: Headers) -> None:
    """``LsstComCamTranslator.can_translate``: LSST_CAMERA with TELCODE CC; serials by slot."""
    cards = {"INSTRUME": "LSST_CAMERA", "TELESCOP": "LSST", "TELCODE": "CC", "LSST_NUM": ABSENT}
    info = translate(headers(COMCAM_LAB, **cards))
    assert (info.instrument, info.detector_unique_name) == ("LSSTComCam", "R22_S00")
    assert info.detector_serial == "ITL-3800C-229"
    with pytest.raises(RefusedError, match="INSTRUME is 'LSST_CAMERA'"):
        identify(headers(COMCAM_LAB, INSTRUME="LSST_CAMERA", TELCODE="MC"))


@pytest.mark.parametrize(
    ("begin", "given", "physical_filter"),
    [
        ("2020-03-12T12:00:00", "r", "r_03"),
        ("2020-03-12T12:00:00", "", "r_03"),
        ("2020-03-13T12:00:00", "r", "empty"),
        ("2020-03-13T12:00:00", None, "unknown"),
        ("2020-03-13T12:00:00", ABSENT, "unknown"),
        ("2024-11-08T12:00:00", "i_06", "i_06"),
    ],
)
def test_comcam_had_one_filter_in_the_laboratory(
    headers: Headers, begin: str, given: Any, physical_filter: str
) -> None:
    """``LsstComCamTranslator.fix_header``."""
    cards = {"FILTER": given, "FILTER1": ABSENT, "FILTER2": ABSENT}
    assert translate(headers(COMCAM_LAB, begin, **cards)).physical_filter == physical_filter


@pytest.mark.parametrize("given", [None, ABSENT, "undefined"])
def test_comcam_is_not_rotated_where_it_does_not_say(headers: Headers, given: Any) -> None:
    """``LsstComCamTranslator.fix_header``."""
    info = translate(headers(COMCAM, ROTPA=given, IMGTYPE="OBJECT"))
    assert info.boresight_rotation_angle.deg == 0.0


# --- LsstComCamSimTranslator


def comcam_sim(headers: Headers, **cards: Any) -> dict[str, Any]:
    return headers(COMCAM, "2024-03-22T03:42:41", INSTRUME="ComCamSim", CONTRLLR="S", **cards)


def test_simulations_of_comcam_have_a_name_of_their_own(headers: Headers) -> None:
    """``LsstComCamSimTranslator.can_translate``: every real one has ComCamSim."""
    header = comcam_sim(headers, DAYOBS="20240321", SEQNUM=93, OBSID="CC_S_20240321_000093")
    info = translate(header)
    assert (info.instrument, info.exposure_id) == ("LSSTComCamSim", 7024032100093)
    assert info.has_simulated_content
    with pytest.raises(RefusedError, match="TELESCOP is 'Other'"):
        identify({**header, "TELESCOP": "Other"})


def test_simulations_without_telemetry_have_coordinates(headers: Headers) -> None:
    """``LsstComCamSimTranslator.fix_header`` and ``to_altaz_begin``."""
    absent = dict.fromkeys(("RASTART", "DECSTART", "RADESYS", "ELSTART", "AZSTART"), ABSENT)
    info = translate(
        comcam_sim(headers, RA=53.2, DEC=-27.9, AMSTART=2.0, IMGTYPE="OBJECT", TRACKSYS="RADEC", **absent)
    )
    assert info.tracking_radec.icrs.ra.deg == pytest.approx(53.2)
    assert info.tracking_radec.icrs.dec.deg == pytest.approx(-27.9)
    assert (info.altaz_begin.az.deg, info.altaz_begin.alt.deg) == (0.0, pytest.approx(30.0))


def test_counters_of_simulations_without_counters_differ(headers: Headers) -> None:
    """``LsstBaseTranslator.to_group_counter_start``: else all of a day would be one group."""
    cards = {"DAYOBS": "20240117", "SEQNUM": 0, "OBSID": "IM_P_20240117_000000"}
    info = translate(comcam_sim(headers, CURINDEX=ABSENT, MAXINDEX=ABSENT, **cards))
    assert (info.group_counter_start, info.group_counter_end) == (7024011700000, 7024011700000)
    info = translate(comcam_sim(headers, CURINDEX=2, MAXINDEX=3, **{**cards, "SEQNUM": 7}))
    assert (info.group_counter_start, info.group_counter_end) == (6, 8)


# --- LatissTranslator


def test_dates_of_1970_are_those_of_writing(headers: Headers) -> None:
    """``LatissTranslator.fix_header``; ``LsstBaseTranslator.to_tracking_radec`` then trusts AZ and EL."""
    header = headers(
        LATISS,
        DATE_OBS="1970-01-01T00:00:00.000",
        DATE_BEG="1970-01-01T00:00:00.000",
        DATE_END="1970-01-01T00:00:30.000",
        MJD_OBS=40587.0,
        MJD_BEG=40587.0,
        DATE="2020-02-20T05:00:00.000",
        MJD=58899.208333333336,
        ELSTART=60.0,
        AZSTART=120.0,
        EXPTIME=30.0,
        TRACKSYS="RADEC",
        **{"OBSGEO-X": None},
    )
    info = translate(header)
    assert info.datetime_begin.isot == "2020-02-20T05:00:00.000"
    assert (info.datetime_end - info.datetime_begin).to_value(u.s) == pytest.approx(30.0, abs=1e-3)
    place = EarthLocation.from_geodetic(-70.747698, -30.244728, 2663.0)
    frame = AltAz(obstime=Time("2020-02-20T05:00:00", scale="tai"), location=place)
    sky = SkyCoord(120.0 * u.deg, 60.0 * u.deg, frame=frame).icrs
    assert info.tracking_radec.separation(sky).arcsec < 0.01
    assert exposure_cards(header)["DATE-OBS"].startswith("1970")


@pytest.mark.parametrize(
    "cards",
    [
        {"DAYOBS": ABSENT, "SEQNUM": ABSENT},
        {"DAYOBS": ABSENT, "SEQNUM": ABSENT, "OBSID": ABSENT, "IMGNAME": "AT_O_20190306_000014"},
        {"DAYOBS": ABSENT, "SEQNUM": 14, "OBSID": "AT_O_x_14", "OBS-NITE": "20190306"},
    ],
    ids=["OBSID", "IMGNAME", "OBS-NITE"],
)
def test_day_and_number_follow_from_the_name(headers: Headers, cards: dict[str, Any]) -> None:
    """``LatissTranslator.fix_header``; every raw is identified in the same way."""
    header = headers(LATISS, "2019-03-06T20:00:00", **{"OBSID": "AT_O_20190306_000014", **cards})
    info, identity = translate(header), identify(header)
    assert (info.observing_day, info.observation_counter) == (20190306, 14)
    assert identity.exposure_id == info.exposure_id == 2019030600014
    assert identity.obs_id == info.observation_id


@pytest.mark.parametrize(
    ("group", "kind", "exposure_group"),
    [
        ("FLAT", "flat", "2023070500379"),
        ("dark_0001_0002", "dark", "dark_0001_0002"),
        ("FOCUS12", "focus", "FOCUS12"),
        ("FOCUS", "focus", "2023070500379"),
        ("test_17", "unknown", "test_17"),
        ("OBJECT", "engtest", "2023070500379"),
    ],
)
def test_group_and_type_were_one_card(headers: Headers, group: str, kind: str, exposure_group: str) -> None:
    """``LatissTranslator.fix_header``: before 2019-11-07."""
    cards = {"GROUPID": group, "IMGTYPE": None, "OBSTYPE": ABSENT}
    info = translate(headers(LATISS, "2019-11-06T23:00:00", **cards))
    assert (info.observation_type, info.exposure_group) == (kind, exposure_group)
    info = translate(headers(LATISS, "2019-11-07T01:00:00", **cards))
    assert (info.observation_type, info.exposure_group) == ("unknown", group)


@pytest.mark.parametrize(
    ("begin", "cards", "kind"),
    [
        ("2020-01-27T19:00:00", {"IMGTYPE": "OBJECT", "OBSTYPE": ABSENT}, "engtest"),
        ("2020-01-27T21:00:00", {"IMGTYPE": "OBJECT", "OBSTYPE": ABSENT}, "science"),
        ("2019-12-31T23:00:00", {"OBSTYPE": "OBJECT"}, "labobject"),
        ("2020-01-01T01:00:00", {"OBSTYPE": "OBJECT"}, "science"),
    ],
)
def test_objects_were_tests_at_first(headers: Headers, begin: str, cards: dict[str, Any], kind: str) -> None:
    """``LatissTranslator.fix_header`` and ``to_observation_type``."""
    assert translate(headers(LATISS, begin, **cards)).observation_type == kind


@pytest.mark.parametrize(
    ("begin", "ra", "dec"),
    [
        # RA and DEC in radians before 2020-01-28T22:00; RASTART is not used before 2020-05-01.
        ("2020-01-28T21:00:00", 57.29577951308232, -28.64788975654116),
        ("2020-01-28T23:00:00", 1.0, -0.5),
        ("2020-04-30T23:00:00", 1.0, -0.5),
        # RASTART in hours before 2021-02-11T18:45, and 37 s of sidereal time off until the end of that day.
        ("2020-05-01T01:00:00", 30.0 + 37.0 / 240.0, -30.0),
        ("2021-02-11T18:00:00", 30.0 + 37.0 / 240.0, -30.0),
        ("2021-02-11T19:00:00", 2.0 + 37.0 / 240.0, -30.0),
        ("2021-02-12T01:00:00", 2.0, -30.0),
    ],
)
def test_right_ascension_was_in_other_units(headers: Headers, begin: str, ra: float, dec: float) -> None:
    """``LatissTranslator.fix_header``."""
    cards = {"RA": 1.0, "DEC": -0.5, "RASTART": 2.0, "DECSTART": -30.0, "RAEND": 2.0, "DECEND": -30.0}
    info = translate(headers(LATISS, begin, RADESYS="ICRS", TRACKSYS="RADEC", **cards))
    assert info.tracking_radec.icrs.ra.deg == pytest.approx(ra, abs=1e-9)
    assert info.tracking_radec.icrs.dec.deg == pytest.approx(dec, abs=1e-9)


def test_coordinates_that_cannot_be_cost_no_raw(headers: Headers) -> None:
    """``RawIngestTask.getObservationInfoSubsets`` does not require ``tracking_radec``."""
    info = translate(headers(LATISS, "2020-01-28T21:00:00", RA=272.1, DEC=-21.3, TRACKSYS="RADEC"))
    assert info.tracking_radec is None


@pytest.mark.parametrize(
    ("tracking", "tracks"),
    [("RADEC", True), ("SIDEREAL", True), ("", True), (None, True), ("AZEL", False), ("LOCAL", False)],
)
def test_tracking_systems(headers: Headers, tracking: str | None, tracks: bool) -> None:
    """``LatissTranslator.fix_header`` and ``LsstBaseTranslator.to_tracking_radec``."""
    assert (translate(headers(LATISS, TRACKSYS=tracking)).tracking_radec is not None) == tracks


def test_an_empty_system_of_coordinates_is_icrs(headers: Headers) -> None:
    """``LatissTranslator.fix_header``."""
    assert translate(headers(LATISS, RADESYS="")).tracking_radec.frame.name == "icrs"


@pytest.mark.parametrize(
    ("begin", "degrees"),
    [
        ("2020-11-18T23:00:00", 200.0),
        ("2020-11-19T01:00:00", 20.0),
        ("2021-10-28T23:00:00", 20.0),
        ("2021-10-29T01:00:00", 200.0),
    ],
)
def test_rotation_was_counted_from_the_other_side(headers: Headers, begin: str, degrees: float) -> None:
    """``LatissTranslator.fix_header``: ``ROTPA_CONVENTION_180_SWITCH1`` and ``2``."""
    cards = {"RASTART": 1.0, "RAEND": 1.0}
    info = translate(headers(LATISS, begin, ROTPA=200.0, **cards))
    assert info.boresight_rotation_angle.deg == pytest.approx(degrees)


@pytest.mark.parametrize(
    ("begin", "target"), [("2022-07-09T23:00:00", "HD1"), ("2022-07-10T01:00:00", "spec:HD1")]
)
def test_targets_had_a_prefix(headers: Headers, begin: str, target: str) -> None:
    """``LatissTranslator.fix_header``: ``TARGET_STARTS_SPECCOLON``."""
    assert translate(headers(LATISS, begin, OBJECT="spec:HD1")).object == target


@pytest.mark.parametrize(
    ("begin", "serial"),
    [("2019-06-23T23:00:00", "ITL-3800C-098"), ("2019-06-24T01:00:00", "ITL-3800C-068")],
)
def test_the_detector_was_changed(headers: Headers, begin: str, serial: str) -> None:
    """``LatissTranslator.fix_header``: ``DETECTOR_068_DATE``."""
    assert translate(headers(LATISS, begin, LSST_NUM="ITL-3800C-098")).detector_serial == serial


@pytest.mark.parametrize(("begin", "seconds"), [("2020-01-31T23:00:00", 30.0), ("2020-02-01T01:00:00", 90.0)])
def test_the_end_was_not_to_be_trusted(headers: Headers, begin: str, seconds: float) -> None:
    """``LatissTranslator.fix_header``: ``DATE_END_IS_BAD``."""
    end = (Time(begin, scale="tai") + 90 * u.s).isot
    info = translate(headers(LATISS, begin, DATE_END=end, TIMESYS="TAI", EXPTIME=30.0))
    assert (info.datetime_end - info.datetime_begin).to_value(u.s) == pytest.approx(seconds, abs=1e-3)


def test_the_shutter_of_latiss_says_nothing(headers: Headers) -> None:
    """``LatissTranslator.fix_header``: ``SHUTTIME`` is cleared; what was requested counts."""
    assert translate(headers(LATISS, SHUTTIME=12.0, EXPTIME=30.0)).exposure_time.to_value(u.s) == 30.0


@pytest.mark.parametrize(
    ("cards", "name"),
    [
        ({"IMGTYPE": "OBJECT", "OBSTYPE": "OBJECT"}, "NOTSET"),
        ({"IMGTYPE": "FLAT", "OBSTYPE": "FLAT"}, "UNKNOWN"),
    ],
)
def test_an_object_without_a_name(headers: Headers, cards: dict[str, Any], name: str) -> None:
    """``LatissTranslator.fix_header``."""
    assert translate(headers(LATISS, OBJECT=ABSENT, **cards)).object == name


@pytest.mark.parametrize("z", [3195172.08, -3195172.08])
def test_the_telescope_is_in_the_south(headers: Headers, z: float) -> None:
    """``LatissTranslator.fix_header``: OBSGEO-Z had the wrong sign."""
    cards = {"OBSGEO-X": 1818938.94, "OBSGEO-Y": -5208470.95, "OBSGEO-Z": z}
    place = translate(headers(LATISS, **cards)).location
    assert place.geocentric[2].to_value(u.m) == pytest.approx(-3195172.08)


@pytest.mark.parametrize(
    ("name", "geodetic"),
    [(LATISS, (-70.747698, -30.244728, 2663.0)), (LSSTCAM, (-70.749417, -30.244639, 2663.0))],
)
def test_the_place_is_known_without_cards(
    headers: Headers, name: str, geodetic: tuple[float, float, float]
) -> None:
    """``AUXTEL_LOCATION``, ``SIMONYI_LOCATION``."""
    place = translate(headers(name, **{"OBSGEO-X": None, "OBSGEO-Y": ABSENT})).location
    expected = EarthLocation.from_geodetic(*geodetic)
    assert place.lon.deg == pytest.approx(expected.lon.deg)
    assert place.lat.deg == pytest.approx(expected.lat.deg)


# --- guiders


def test_a_guider_that_was_read_whole_is_a_raw(headers: Headers) -> None:
    """``RawIngestTask`` takes it; ``ingest_guider`` takes files whose names end in ``_guider.fits``."""
    header = headers(LSSTCAM, RAFTBAY="R00", CCDSLOT="SG0", FILENAME="MC_O_20250422_000250_R00_SG0.fits")
    assert identify(header).detector == translate(header).detector_num == 189
    for cards in (
        {"FILENAME": "MC_O_20250422_000250_R00_SG0_guider.fits"},
        {"N_STAMPS": 102},
        {"STAMPCLS": "lsst.meas.algorithms.Stamps"},
    ):
        with pytest.raises(RefusedError, match="R00_SG0 is a guider: its file holds stamps"):
            identify({**header, **cards})
