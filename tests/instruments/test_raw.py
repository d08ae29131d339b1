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


def drop(card: str):
    def edit(hdus: list) -> None:
        for hdu in hdus[1:17]:
            del hdu.header[card]

    return edit


# Detectors of LSSTCam: one of each vendor, a guider and a half of a wavefront sensor.
E2V, ITL, GUIDER, WAVEFRONT = 94, 0, 189, 203


@pytest.mark.parametrize(
    ("vendor", "half", "detector", "shape", "count"),
    [
        ("E2V", False, E2V, (80, 80), 16),
        ("ITL", False, ITL, (80, 80), 16),
        ("ITL", False, GUIDER, (80, 80), 16),
        ("ITL", True, WAVEFRONT, (40, 80), 8),
    ],
)
def test_a_raw_has_the_amplifiers_of_its_detector(write_raw, vendor, half, detector, shape, count) -> None:
    raw = read_raw(write_raw(vendor=vendor, half=half), instrument="LSSTCam", detector=detector)
    assert raw.bbox.shape == shape
    assert raw.bbox.y.start == raw.bbox.x.start == 0
    assert len(raw.segments) == count
    assert raw.header["SEQNUM"] == 123
    assert (raw.instrument, raw.detector) == ("LSSTCam", detector)
    assert (assemble(raw) >= 0).all()


def as_cards_of_the_sky(hdus: list) -> None:
    """Give DETSEC the frame of cameraGeom, as raws of the 2024 simulation have it: rows the other way."""
    for hdu in hdus[1:17]:
        x, y = hdu.header["DETSEC"].strip("[]").split(",")
        first, last = (81 - int(limit) for limit in y.split(":"))
        hdu.header["DETSEC"] = f"[{x},{first}:{last}]"


@pytest.mark.parametrize(
    "edit", [None, as_cards_of_the_sky, drop("DETSEC"), drop("DETSIZE"), drop("DATASEC")]
)
@pytest.mark.parametrize("vendor", ["E2V", "ITL"])
def test_pixels_lie_as_in_camera_geom(write_raw, vendor: str, edit) -> None:
    """C10 is the upper left amplifier, read from its upper right corner; DETSEC does not matter."""
    raw = read_raw(
        write_raw(vendor=vendor, edit=edit), instrument="LSSTCam", detector=E2V if vendor == "E2V" else ITL
    )
    image = assemble(raw)
    prescan = 10 if vendor == "E2V" else 3
    # A pixel is 1000 * place in the file + column; Segment10 is the first of the file, Segment00 the last.
    assert image[-1, :10].tolist() == [prescan + i for i in range(10)][::-1]
    bottom = [15000 + prescan + i for i in range(10)]
    assert image[0, :10].tolist() == (bottom if vendor == "E2V" else bottom[::-1])
    by_name = {segment.amplifier.name: segment.amplifier for segment in raw.segments}
    assert list(by_name) == [f"C1{i}" for i in range(8)] + [f"C0{i}" for i in range(7, -1, -1)]
    assert by_name["C10"].readout_corner == "UR"
    assert by_name["C00"].readout_corner == ("LL" if vendor == "E2V" else "LR")


def test_rows_are_turned_with_their_amplifier(write_raw) -> None:
    def number_rows(hdus: list) -> None:
        for hdu in hdus[1:17]:
            hdu.data[...] = np.arange(hdu.data.shape[0], dtype=np.int32)[:, None]

    image = assemble(read_raw(write_raw(edit=number_rows), instrument="LSSTCam", detector=E2V))
    assert image[:, 0].tolist() == [*range(40), *reversed(range(40))]


def test_overscans_surround_the_data(write_raw) -> None:
    segment = read_raw(write_raw(), instrument="LSSTCam", detector=E2V).segments[0]
    geometry = segment.amplifier.unassembled_raw_geometry
    assert segment.section(geometry.prescan_bbox).shape == (40, 10)
    assert segment.section(geometry.data_bbox).shape == (40, 10)
    assert segment.section(geometry.serial_overscan_bbox).shape == (40, 22)
    assert segment.section(geometry.parallel_overscan_bbox).shape == (6, 10)
    assert segment.section(geometry.serial_overscan_bbox)[0, 0] == 20
    assert segment.section(geometry.prescan_bbox)[0, 0] == 0
    assert segment.array.dtype == np.int32
    assert segment.array.dtype.isnative


def test_overscans_follow_from_the_size_of_the_segments(write_raw) -> None:
    def widen(hdus: list) -> None:
        for hdu in hdus[1:17]:
            hdu.data = np.pad(hdu.data, ((0, 2), (0, 5)))

    plain, wide = (
        read_raw(path, instrument="LSSTCam", detector=E2V).segments[-1]
        for path in (write_raw(), write_raw("wide.fits", edit=widen))
    )
    for segment, (rows, columns) in ((plain, (46, 42)), (wide, (48, 47))):
        geometry = segment.amplifier.unassembled_raw_geometry
        assert geometry.bbox.shape == segment.array.shape == (rows, columns)
        assert segment.section(geometry.serial_overscan_bbox).shape == (40, columns - 20)
        assert segment.section(geometry.parallel_overscan_bbox).shape == (rows - 40, 10)


def change(at: int, card: str, value: object):
    def edit(hdus: list) -> None:
        hdus[at].header[card] = value

    return edit


def crop(rows: int, columns: int):
    def edit(hdus: list) -> None:
        for hdu in hdus[1:17]:
            del hdu.header["DATASEC"]
            hdu.data = np.ascontiguousarray(hdu.data[:rows, :columns])

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (change(3, "DATASEC", "nonsense"), r"HDU 3 \(Segment12\): DATASEC is 'nonsense'"),
        (change(2, "DATASEC", "[11:99,1:40]"), r"HDU 2 \(Segment11\): DATASEC \[11:99,1:40\] .* 10 x 40"),
        (change(2, "DATASEC", "[4:12,1:40]"), r"HDU 2 .* 10 x 40 pixels of amplifier C11 of R22_S11"),
        (change(0, "SIMSCALE", 1.0), r"HDU 1 .* DATASEC .* is not of the 512 x 2002 pixels"),
        (change(0, "SIMSCALE", 0.0), r"SIMSCALE is 0.0; it must be a number above 0"),
        (change(0, "SIMSCALE", "half"), r"SIMSCALE is 'half *'; it must be a number"),
        (crop(40, 42), "overscan beyond both"),
        (crop(46, 20), "overscan beyond both"),
        (crop(30, 42), "HDU 1 .* has 42 x 30 pixels; amplifier C10 of R22_S11 has 10 prescan and 10 data"),
        (lambda hdus: hdus.__delitem__(slice(9, 18)), "8 image HDUs where R22_S11 of LSSTCam has 16 amp"),
        (lambda hdus: hdus.__delitem__(5), "15 image HDUs .* segments are missing"),
        (lambda hdus: hdus.__delitem__(slice(1, 17)), "not the raw of a detector"),
        (lambda hdus: setattr(hdus[1], "data", hdus[1].data + 0.5), "whole numbers"),
    ],
)
def test_another_size_than_the_detectors_is_refused(write_raw, edit, message: str) -> None:
    path = write_raw("bad.fits", edit=edit)
    with pytest.raises(ValueError, match=message) as caught:
        read_raw(path, instrument="LSSTCam", detector=E2V)
    assert "bad.fits" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_extname_only_warns(write_raw, caplog) -> None:
    path = write_raw("named.fits", edit=change(3, "EXTNAME", "Segment07"))
    raw = read_raw(path, instrument="LSSTCam", detector=E2V)
    assert raw.segments[2].amplifier.name == "C12"
    assert raw.segments[2].array[0, 0] == 2000
    [message] = [record.getMessage() for record in caplog.records]
    assert "named.fits, HDU 3 (Segment07): amplifier C12 of R22_S11 is expected here" in message


def test_an_unknown_detector_is_an_error(write_raw) -> None:
    with pytest.raises(ValueError, match="no detector 999 of instrument 'LSSTCam'"):
        read_raw(write_raw(), instrument="LSSTCam", detector=999)


def test_hdus_after_the_segments_are_ignored(write_raw) -> None:
    def edit(hdus: list) -> None:
        hdus.append(fits.ImageHDU(np.zeros((5, 5)), name="THUMBNAIL"))

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
        for hdu in hdus[9:17]:
            hdu.data = pixels[0]
        drop("DATASEC")(hdus)
        hdus[0].header["SIMSCALE"] = 0.5

    raw = read_raw(write_raw(edit=edit), instrument="LSSTCam", detector=E2V)
    for segment, expected in zip(raw.segments, pixels, strict=False):
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
