from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from astropy.io import fits

from lsst.ctrl.rapid.instruments import RefusedError, read_primary_header
from lsst.ctrl.rapid.instruments import check_complete as _check_complete

BLOCK = 2880


def check_complete(path: Path, instrument: str = "LSSTCam", detector: int = 94) -> str:
    return _check_complete(path, instrument=instrument, detector=detector)


def test_header_has_the_values_that_astropy_reads(shared_data: Path) -> None:
    for path in sorted((shared_data / "raws").iterdir()):
        ours, theirs = read_primary_header(path), fits.getheader(path)
        assert {key: theirs[key] for key in ours} == ours
        assert set(theirs) - set(ours) <= {"", "COMMENT", "HISTORY"}


def test_unusual_cards_are_read(tmp_path: Path) -> None:
    header = fits.Header()
    header["HIERARCH SHUTTER OPEN SIDE"] = "PLUSX"
    header["HIERARCH STUTTER ROWS"] = 3
    header["LONG"] = "x" * 100 + "'s"
    header["QUOTE"] = "O'Neill / Sons"
    header["EMPTY"] = None
    header["NEGATIVE"] = -1.5e-7
    header["YES"] = True
    header["COMMENT"] = "not a value"
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(header=header).writeto(path)
    read = read_primary_header(path)
    assert read["SHUTTER OPEN SIDE"] == "PLUSX"
    assert read["STUTTER ROWS"] == 3
    assert read["LONG"] == "x" * 100 + "'s"
    assert read["QUOTE"] == "O'Neill / Sons"
    assert read["EMPTY"] is None
    assert read["NEGATIVE"] == -1.5e-7
    assert read["YES"] is True
    assert "COMMENT" not in read


def test_bytes_that_are_not_ascii_do_no_harm(write_raw, tmp_path: Path) -> None:
    data = write_raw().read_bytes()
    path = tmp_path / "latin.fits"
    path.write_bytes(data.replace(b"'field   '", b"'fi\xe9ld   '"[:10], 1))
    assert read_primary_header(path)["OBSID"] == "MC_O_20260501_000123"


@pytest.mark.parametrize("check", [read_primary_header, check_complete])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"hello" * 1000, "is not a FITS file"),
        (b"SIMPLE  =                    T".ljust(80), "is cut short"),
        (b"SIMPLE  =                    T".ljust(BLOCK), "has no END card"),
        (b"SIMPLE  =                    T".ljust(300 * BLOCK), "has no END card in its first"),
        (b"\x1f\x8b", "is cut short"),
        (gzip.compress(b"SIMPLE  =                    T".ljust(BLOCK), mtime=0)[:-12], "is cut short"),
    ],
    ids=["empty", "text", "card", "block", "long", "gzip-magic", "gzip-cut"],
)
def test_what_is_no_raw_is_refused_with_the_reason(
    tmp_path: Path, check, content: bytes, reason: str
) -> None:
    path = tmp_path / "broken.fits"
    path.write_bytes(content)
    with pytest.raises(RefusedError, match=reason) as caught:
        check(path)
    assert "broken.fits" in caught.value.reason
    assert "\n" not in str(caught.value)


def test_a_whole_raw_is_complete(write_raw, shared_data: Path) -> None:
    check_complete(write_raw())
    check_complete(shared_data / "raws" / "7024032100720-R22-S11-det094.fits.fz", "LSSTCamSim", 94)
    check_complete(shared_data / "raws" / "30211212000310-R22-S22-det098.fits", "LSSTCam", 98)


@pytest.mark.parametrize("blocks", range(1, 40))
def test_a_raw_cut_at_any_block_is_refused(write_raw, blocks: int) -> None:
    path = write_raw()
    whole = path.read_bytes()
    # The last block is the table of readout conditions, without which the pixels are all there.
    path.write_bytes(whole[: -BLOCK * (blocks + 1)])
    assert read_primary_header(path)["SEQNUM"] == 123
    with pytest.raises(RefusedError, match=re.compile("cut short|segments")):
        check_complete(path)


def test_the_refusal_says_where_the_file_ends(write_raw) -> None:
    path = write_raw()
    with fits.open(path) as hdus:
        info = hdus["Segment04"].fileinfo()
    whole = path.read_bytes()
    path.write_bytes(whole[: info["datLoc"] + BLOCK])
    with pytest.raises(RefusedError, match=r"Segment04\) ends at byte \d+, the file at byte \d+"):
        check_complete(path)


def test_a_damaged_gzip_file_is_refused(tmp_path: Path, write_raw) -> None:
    data = bytearray(gzip.compress(write_raw().read_bytes()))
    data[len(data) // 2] ^= 0xFF
    path = tmp_path / "damaged.fits.gz"
    path.write_bytes(data)
    with pytest.raises(RefusedError):
        check_complete(path)


def test_headers_alone_are_no_raw(tmp_path: Path) -> None:
    path = tmp_path / "empty.fits"
    fits.PrimaryHDU().writeto(path)
    with pytest.raises(RefusedError, match="not the raw of a detector"):
        check_complete(path)


def test_a_missing_file_is_no_refusal(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_primary_header(tmp_path / "absent.fits")
