from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lsst.ctrl.rapid.instruments import RawImage, load_camera, read_raw


def assemble(raw: RawImage) -> np.ndarray:
    """Return the trimmed detector, -1 where no amplifier lies."""
    image = np.full(raw.bbox.shape, -1)
    for segment in raw.segments:
        box = segment.amplifier.bbox
        data = segment.section(segment.amplifier.unassembled_raw_geometry.data_bbox)
        assert (image[box.y.start : box.y.stop, box.x.start : box.x.stop] == -1).all()
        image[box.y.start : box.y.stop, box.x.start : box.x.stop] = segment.oriented(data)
    return image


@pytest.mark.parametrize(
    ("vendor", "half", "detector", "shape", "count"),
    [
        ("E2V", False, 94, (40, 256), 16),
        ("ITL", False, 0, (36, 248), 16),
        ("ITL", True, 203, (18, 248), 8),
    ],
)
def test_geometry_is_the_headers(write_raw, vendor, half, detector, shape, count) -> None:
    raw = read_raw(write_raw(vendor=vendor, half=half), instrument="LSSTCam", detector=detector)
    assert raw.bbox.shape == shape
    assert raw.bbox.y.start == raw.bbox.x.start == 0
    assert len(raw.segments) == count
    assert raw.header["SEQNUM"] == 123
    assert (raw.instrument, raw.detector) == ("LSSTCam", detector)
    assert (assemble(raw) >= 0).all()


@pytest.mark.parametrize(("vendor", "prescan", "columns"), [("E2V", 10, 32), ("ITL", 3, 31)])
def test_pixels_lie_where_detsec_says(write_raw, vendor: str, prescan: int, columns: int) -> None:
    raw = read_raw(write_raw(vendor=vendor), instrument="LSSTCam", detector=94)
    image = assemble(raw)
    # Segment10 is the first of the file and read out from the right: columns fall from left to right.
    assert image[0, :columns].tolist() == [prescan + i for i in range(columns)][::-1]
    # Segment00 is the last; E2V reads the upper half from the left, ITL from the right.
    top = [15000 + prescan + i for i in range(columns)]
    assert image[-1, :columns].tolist() == (top if vendor == "E2V" else top[::-1])
    by_name = {segment.amplifier.name: segment.amplifier for segment in raw.segments}
    assert list(by_name)[:2] == ["C10", "C11"]
    assert by_name["C10"].readout_corner == "LR"
    assert by_name["C00"].readout_corner == ("UL" if vendor == "E2V" else "UR")


def test_overscans_surround_the_data(write_raw) -> None:
    segment = read_raw(write_raw(), instrument="LSSTCam", detector=94).segments[0]
    geometry = segment.amplifier.unassembled_raw_geometry
    assert segment.section(geometry.prescan_bbox).shape == (20, 10)
    assert segment.section(geometry.data_bbox).shape == (20, 32)
    assert segment.section(geometry.serial_overscan_bbox).shape == (20, 22)
    assert segment.section(geometry.parallel_overscan_bbox).shape == (6, 32)
    assert segment.section(geometry.serial_overscan_bbox)[0, 0] == 42
    assert segment.section(geometry.prescan_bbox)[0, 0] == 0
    assert segment.array.dtype == np.int32
    assert segment.array.dtype.isnative


def test_nominal_calibrations_differ_by_vendor(write_raw) -> None:
    path = write_raw()
    e2v = read_raw(path, instrument="LSSTCam", detector=94).segments[0].amplifier.nominal_calibrations
    itl = read_raw(path, instrument="LSSTCam", detector=0).segments[0].amplifier.nominal_calibrations
    assert 1.0 < e2v.gain < itl.gain < 2.0
    assert 4.0 < e2v.read_noise < itl.read_noise < 9.0
    assert e2v.saturation * e2v.gain == pytest.approx(itl.saturation * itl.gain)


def drop(card: str):
    def edit(hdus: list) -> None:
        for hdu in hdus[1:17]:
            del hdu.header[card]

    return edit


def change(at: int, card: str, value: str):
    def edit(hdus: list) -> None:
        hdus[at].header[card] = value

    return edit


def test_detsize_may_be_missing(write_raw) -> None:
    raw = read_raw(write_raw(edit=drop("DETSIZE")), instrument="LSSTCam", detector=94)
    assert raw.bbox.shape == (40, 256)


def test_a_wavefront_half_may_have_the_detsize_of_the_pair(write_raw) -> None:
    def edit(hdus: list) -> None:
        for at, hdu in enumerate(hdus[1:9]):
            hdu.header["DETSIZE"] = "[1:248,1:36]"
            hdu.header["DETSEC"] = f"[{31 * at + 31}:{31 * at + 1},36:19]"

    path = write_raw(vendor="ITL", half=True, edit=edit)
    assert read_raw(path, instrument="LSSTCam", detector=203).bbox.shape == (18, 248)
    with pytest.raises(ValueError, match="segments are missing"):
        read_raw(path, instrument="LSSTCam", detector=0)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (change(3, "DATASEC", "nonsense"), r"HDU 3 \(Segment12\): DATASEC is 'nonsense'"),
        (drop("DATASEC"), r"HDU 1 \(Segment10\) has no DATASEC card"),
        (drop("DETSEC"), r"HDU 1 \(Segment10\) has no DETSEC card"),
        (change(2, "DATASEC", "[11:99,1:20]"), r"HDU 2 \(Segment11\): DATASEC \[11:99,1:20\] is not within"),
        (change(2, "DETSEC", "[64:34,1:20]"), r"HDU 2 \(Segment11\): DETSEC .* is not of the size"),
        (change(2, "DETSEC", "[32:1,1:20]"), "overlap or leave gaps"),
        (change(2, "DETSIZE", "[1:512,1:40]"), "DETSIZE is 512 x 40"),
        (change(1, "DATASEC", "[33:64,1:20]"), "leaves no overscan"),
        (lambda hdus: hdus.__delitem__(slice(9, 17)), "segments are missing"),
        (lambda hdus: hdus.__delitem__(5), "overlap or leave gaps"),
        (lambda hdus: hdus.__delitem__(slice(1, 17)), "not the raw of a detector"),
        (lambda hdus: setattr(hdus[1], "data", hdus[1].data + 0.5), "whole numbers"),
    ],
)
def test_wrong_geometry_is_an_error_that_names_the_card(write_raw, edit, message: str) -> None:
    path = write_raw("bad.fits", edit=edit)
    with pytest.raises(ValueError, match=message) as caught:
        read_raw(path, instrument="LSSTCam", detector=94)
    assert "bad.fits" in str(caught.value)


def test_an_unknown_detector_is_an_error(write_raw) -> None:
    with pytest.raises(ValueError, match="no detector 999 of instrument 'LSSTCam'"):
        read_raw(write_raw(), instrument="LSSTCam", detector=999)


def test_other_hdus_are_ignored(write_raw) -> None:
    def edit(hdus: list) -> None:
        hdus.insert(1, fits.ImageHDU(np.zeros((5, 5)), name="THUMBNAIL"))

    assert len(read_raw(write_raw(edit=edit), instrument="LSSTCam", detector=94).segments) == 16


def test_compressed_and_plain_files_are_the_same(write_raw, tmp_path: Path) -> None:
    path = write_raw()
    tiled, zipped = tmp_path / "tiled.fits.fz", tmp_path / "zipped.fits"
    with fits.open(path) as hdus:
        fits.HDUList(
            [
                hdus[0],
                *(fits.CompImageHDU(hdu.data, hdu.header, name=hdu.name) for hdu in hdus[1:17]),
                hdus[17],
            ]
        ).writeto(tiled)
    zipped.write_bytes(gzip.compress(path.read_bytes(), 1))
    plain = read_raw(path, instrument="LSSTCam", detector=94)
    for other in (
        read_raw(tiled, instrument="LSSTCam", detector=94),
        read_raw(zipped, instrument="LSSTCam", detector=94),
    ):
        for one, two in zip(plain.segments, other.segments, strict=True):
            assert np.array_equal(one.array, two.array)
            assert one.amplifier == two.amplifier


def test_unsigned_pixels_are_read(write_raw) -> None:
    def edit(hdus: list) -> None:
        for hdu in hdus[1:17]:
            hdu.data = hdu.data.astype(np.uint16) + np.uint16(40000)

    segment = read_raw(write_raw(edit=edit), instrument="LSSTCam", detector=94).segments[0]
    assert segment.array.dtype == np.int32
    assert segment.array[0, 5] == 40005


@pytest.mark.parametrize(
    ("name", "instrument", "detector"),
    [
        ("30211212000310-R22-S22-det098.fits", "LSSTCam", 98),
        ("3019031900001-R10-S02-det029.fits", "LSSTCam", 29),
        ("7024032100720-R22-S11-det094.fits.fz", "LSSTCamSim", 94),
    ],
)
def test_real_raws_are_read(shared_data: Path, name: str, instrument: str, detector: int) -> None:
    raw = read_raw(shared_data / "raws" / name, instrument=instrument, detector=detector)
    known = load_camera(instrument)[detector]
    assert raw.bbox.shape == (known.rows, known.columns)
    assert len(raw.segments) == 16
    assert (assemble(raw) != -1).all()
