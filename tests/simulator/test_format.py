"""Files are as those of the real cameras."""

from __future__ import annotations

import astropy.io.fits
import numpy as np
import pytest
from astropy.time import Time

REAL = {29: "3019031900001-R10-S02-det029.fits", 98: "30211212000310-R22-S22-det098.fits"}
GEOMETRY = ("CHANNEL", "DATASEC", "DETSEC", "DETSIZE", "CCDSUM", "DTV1", "DTV2", "DTM1_1", "DTM2_2")


@pytest.mark.parametrize("detector", REAL)
@pytest.mark.parametrize("compress", [False, True])
def test_segments_at_scale_1_are_those_of_the_real_raw(
    detector, compress, shared_data, tmp_path, take_exposures
):
    night = take_exposures(tmp_path, detectors=(detector,), scale=1, sequence=("bias",), compress=compress)
    (path,) = tmp_path.rglob(f"{night.obs_ids[0]}*.fits")
    with (
        astropy.io.fits.open(path) as ours,
        astropy.io.fits.open(shared_data / "raws" / REAL[detector]) as real,
    ):
        assert [hdu.name for hdu in ours] == [hdu.name for hdu in real[:17]]
        for mine, theirs in zip(ours[1:], real[1:17], strict=True):
            assert mine.header["EXTNAME"] == theirs.header["EXTNAME"]
            assert {k: mine.header[k] for k in GEOMETRY} == {k: theirs.header[k] for k in GEOMETRY}
            assert mine.header["BITPIX"] == 32
            assert mine.shape == theirs.shape == (2048, 576)


def test_wavefront_half_has_eight_amplifiers(night):
    raw = night.raw(0, 191)
    assert [header["EXTNAME"] for header in raw.headers] == [f"Segment1{i}" for i in range(8)]
    assert raw.shape == (250, 8 * 64)
    assert raw.header["CCD_TYPE"] == "4400"
    assert raw.assembled().shape == raw.shape


def test_primary_header_of_a_science_exposure(night):
    header = night.raw(0, 98).header
    expected = {
        "INSTRUME": "LSSTCamSim",
        "TELESCOP": "Simonyi Survey Telescope",
        "OBSID": "MC_S_20260315_000001",
        "CAMCODE": "MC",
        "CONTRLLR": "S",
        "DAYOBS": "20260315",
        "SEQNUM": 1,
        "IMGTYPE": "OBJECT",
        "EXPTIME": 30.0,
        "DARKTIME": 30.0,
        "TIMESYS": "TAI",
        "FILTER": "r_57",
        "FILTBAND": "r",
        "RAFTBAY": "R22",
        "CCDSLOT": "S22",
        "CCD_MANU": "E2V",
        "CCD_TYPE": "CCD250",
        "LSST_NUM": "E2V-CCD250-370",
        "ROTCOORD": "sky",
        "FILENAME": "MC_S_20260315_000001_R22_S22.fits",
        # The shutter closes at 03:00:00 UTC, 37 leap seconds before that in TAI.
        "DATE-END": "2026-03-16T03:00:37.000",
        "DATE-BEG": "2026-03-16T03:00:07.000",
        "DATE-OBS": "2026-03-16T03:00:07.000",
    }
    assert {keyword: header[keyword] for keyword in expected} == expected
    assert Time(header["MJD-END"], format="mjd").isot == header["DATE-END"]
    assert Time(header["MJD-BEG"], format="mjd").isot == header["DATE-BEG"]
    assert header["AMSTART"] == pytest.approx(1 / np.sin(np.radians(header["ELSTART"])))
    assert header["HIERARCH SIMULATE MTMOUNT"] == 1
    assert len(header["IMAGETAG"]) == 16


def test_pointing_is_where_the_hour_angle_says(night):
    """Azimuth and elevation follow from right ascension, declination and time, with astropy's clock."""
    header = night.raw(0, 98).header
    time = Time(header["MJD-BEG"], format="mjd", scale="tai")
    # GMST needs UT1, which is UTC to within a second; a second is 15 arcsec.
    sidereal = Time(time.utc.jd, format="jd", scale="ut1").sidereal_time("mean", "greenwich").deg
    hour_angle = np.radians(sidereal + header["OBS-LONG"] - header["RA"])
    lat, dec = np.radians(header["OBS-LAT"]), np.radians(header["DEC"])
    up = np.sin(lat) * np.sin(dec) + np.cos(lat) * np.cos(dec) * np.cos(hour_angle)
    east = -np.cos(dec) * np.sin(hour_angle)
    north = np.cos(lat) * np.sin(dec) - np.sin(lat) * np.cos(dec) * np.cos(hour_angle)
    assert header["ELSTART"] == pytest.approx(np.degrees(np.arcsin(up)), abs=0.3)
    assert header["AZSTART"] == pytest.approx(np.degrees(np.arctan2(east, north)) % 360, abs=1.0)


def test_calibration_headers(night):
    kinds = [night.raw(index, 98).header for index in range(5)]
    assert [h["IMGTYPE"] for h in kinds] == ["OBJECT", "BIAS", "DARK", "FLAT", "FLAT"]
    assert [h["EXPTIME"] for h in kinds] == [30.0, 0.0, 30.0, 10.0, 10.0]
    assert [h["SEQNUM"] for h in kinds] == [1, 2, 3, 4, 5]
    assert len({h["GROUPID"] for h in kinds}) == 5
    assert kinds[1]["RA"] is None or isinstance(kinds[1]["RA"], astropy.io.fits.card.Undefined)
    begins = [Time(h["DATE-BEG"]) for h in kinds[1:]]
    assert all(begin > Time(h["DATE-END"]) for begin, h in zip(begins, kinds, strict=False))


def test_headers_of_one_exposure_differ_by_detector_alone(night):
    headers = [night.raw(0, detector).header for detector in (98, 29)]
    differ = {k for k in headers[0] if headers[0][k] != headers[1][k] and k != "COMMENT"}
    undefined = {k for k in differ if isinstance(headers[0][k], astropy.io.fits.card.Undefined)}
    assert differ - undefined == {
        "FILENAME",
        "CCD_MANU",
        "CCD_TYPE",
        "RAFTBAY",
        "CCDSLOT",
        "LSST_NUM",
        "CCD_SERN",
    }


@pytest.mark.parametrize(
    ("instrument", "instrume", "obs_id", "name"),
    [
        ("LSSTComCamSim", "ComCamSim", "CC_S_20260315_000001", "R22_S00"),
        ("LSSTComCam", "ComCam", "CC_S_20260315_000001", "R22_S00"),
        ("LSSTCam", "lsstCam", "MC_S_20260315_000001", "R01_S00"),
        ("LATISS", "LATISS", "AT_S_20260315_000001", "R00_S00"),
    ],
)
def test_other_cameras(instrument, instrume, obs_id, name, tmp_path, take_exposures, read_raw_file):
    take_exposures(tmp_path, instrument=instrument, detectors=(0,))
    raw = read_raw_file(tmp_path / "20260315" / obs_id / f"{obs_id}_{name}.fits")
    assert raw.header["INSTRUME"] == instrume
    assert f"{raw.header['RAFTBAY']}_{raw.header['CCDSLOT']}" == name


@pytest.mark.parametrize(("scale", "factor"), [("1/2", 0.5), (0.25, 0.25), ("1/8", 0.125)])
def test_scale_crops_pixels(scale, factor, tmp_path, take_exposures):
    night = take_exposures(tmp_path, scale=scale, sequence="bias", detectors=(98, 29))
    for detector, (rows, columns), prescan in ((98, (2002, 512), 10), (29, (2000, 509), 3)):
        for amplifier in night.raw(0, detector).amplifiers:
            assert amplifier.data.shape == (
                pytest.approx(rows * factor, abs=1),
                pytest.approx(columns * factor, abs=1),
            )
            assert amplifier.overscan.shape[1] >= 20
            assert amplifier.pixels.shape[0] - amplifier.data.shape[0] >= 20
            assert (
                amplifier.pixels.shape[1] == prescan + amplifier.data.shape[1] + amplifier.overscan.shape[1]
            )


def test_compressed_raws_have_the_same_pixels(tmp_path, take_exposures):
    plain = take_exposures(tmp_path / "plain", detectors=(98,))
    packed = take_exposures(tmp_path / "[packed]", detectors=(98,), compress=True)
    one, two = plain.raw(0, 98), packed.raw(0, 98)
    for a, b in zip(one.amplifiers, two.amplifiers, strict=True):
        assert a.name == b.name
        assert np.array_equal(a.pixels, b.pixels)
    with astropy.io.fits.open(two.path, disable_image_compression=True) as hdus:
        header = hdus[1].header
        tile = (header["ZTILE1"], header["ZTILE2"])
        assert (header["ZCMPTYPE"], tile) == ("RICE_1", (header["ZNAXIS1"], 1))
    assert two.path.stat().st_size < one.path.stat().st_size / 2
