from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lsst.ctrl.rapid.instruments import RawImage, RefusedError, _reader, load_camera, read_raw


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


def test_overscans_of_other_widths_are_told_apart(write_raw) -> None:
    def widen(hdus: list) -> None:
        for hdu in hdus[1:17]:
            hdu.data = np.pad(hdu.data, ((0, 2), (0, 5)))

    plain, wide = (
        read_raw(path, instrument="LSSTCam", detector=94).segments[0]
        for path in (write_raw(), write_raw("wide.fits", edit=widen))
    )
    for segment, width in ((plain, 22), (wide, 27)):
        geometry = segment.amplifier.unassembled_raw_geometry
        assert geometry.bbox.shape == segment.array.shape
        assert segment.section(geometry.serial_overscan_bbox).shape == (20, width)


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


@pytest.mark.parametrize(
    ("dtype", "first", "step"),
    [
        (np.int32, -70_000, 3),  # as the cameras write
        (np.uint16, 65_000, 1),  # BITPIX 16 with BZERO
        (np.int16, -100, 7),
        (np.uint8, 3, 1),
        (np.int64, 200_000, -5),
        (np.uint32, 250_000, 1),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_whole_numbers_of_every_size_are_read(write_raw, tmp_path: Path, dtype, first, step, zipped) -> None:
    def edit(hdus: list) -> None:
        for at, hdu in enumerate(hdus[1:17]):
            ramp = np.arange(hdu.data.shape[1]) * step
            hdu.data = np.broadcast_to(first + at + ramp, hdu.data.shape).astype(dtype)

    path = write_raw(edit=edit)
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
    raw = read_raw(path, instrument="LSSTCam", detector=94)
    for at, segment in enumerate(raw.segments):
        expected = (first + at + np.arange(segment.array.shape[1]) * step).astype(dtype)
        assert segment.array.dtype == np.int32
        assert segment.array.dtype.isnative
        assert (segment.array == expected).all()


def test_segments_larger_than_what_is_read_at_a_time(write_raw) -> None:
    random = np.random.default_rng(5)
    pixels = random.integers(-(2**17), 2**17, (8, 1200, 450), dtype=np.int32)

    def edit(hdus: list) -> None:
        for at, hdu in enumerate(hdus[1:9]):
            hdu.data = pixels[at]
            hdu.header["DATASEC"] = "[11:410,1:1150]"
            hdu.header["DETSEC"] = f"[{400 * at + 400}:{400 * at + 1},1:1150]"
            hdu.header["DETSIZE"] = "[1:3200,1:1150]"

    raw = read_raw(write_raw(half=True, edit=edit), instrument="LSSTCam", detector=203)
    for segment, expected in zip(raw.segments, pixels, strict=True):
        assert (segment.array == expected).all()


@pytest.mark.parametrize("zipped", [False, True])
def test_scaled_pixels_are_refused(write_raw, zipped: bool) -> None:
    path = write_raw("scaled.fits")
    content = path.read_bytes()
    # In place of a card that may be missing, since astropy does not write scales that it is told.
    at = content.index(b"DETSIZE ", content.index(b"Segment13"))
    content = content[:at] + b"BSCALE  =                  0.5".ljust(80) + content[at + 80 :]
    path.write_bytes(gzip.compress(content, 1) if zipped else content)
    with pytest.raises(ValueError, match=r"scaled.fits, HDU 4: its pixels are float.* whole numbers"):
        read_raw(path, instrument="LSSTCam", detector=94)


def test_a_file_that_is_cut_while_it_is_read_is_refused(write_raw, monkeypatch) -> None:
    path = write_raw("cut.fits")
    scan = _reader.scan_hdus

    def scan_and_cut(path: Path) -> list:
        hdus = scan(path)
        os.truncate(path, hdus[9].data_start + 100)
        return hdus

    monkeypatch.setattr(_reader, "scan_hdus", scan_and_cut)
    with pytest.raises(RefusedError, match=r"cut.fits is cut short: it ends within .*HDU 9 \(Segment07\)"):
        read_raw(path, instrument="LSSTCam", detector=94)


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


def test_names_with_marks_of_the_library_are_read(shared_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "raw[1](x).fits.fz"
    path.symlink_to(shared_data / "raws" / "7024032100720-R22-S11-det094.fits.fz")
    assert len(read_raw(path, instrument="LSSTCamSim", detector=94).segments) == 16
