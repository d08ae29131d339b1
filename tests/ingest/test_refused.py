"""What is refused, and why: one line that names the fault, soon, whatever the file is."""

from __future__ import annotations

import errno
import gzip
import os
import re
import shutil
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.ingest import Door, Ingestor, _visits, make_repository, open_raw
from lsst.ctrl.rapid.instruments import RefusedError
from lsst.ctrl.rapid.model import Arrival
from lsst.ctrl.rapid.plan import RecordStore
from support.small_raws import set_card, write_small_raw

BLOCK = 2880

type Make = Callable[[Path], Path]


class Case:
    """A landing folder, a good raw outside it, and what reads."""

    def __init__(self, butler: Butler, folder: Path, good: Path) -> None:
        self.landing = folder / "landing"
        self.landing.mkdir()
        self.raw = self.landing / "raw.fits"
        shutil.copy(good, self.raw)
        self._butler = butler
        self._folder = folder
        self.ingestor = self.start()

    def start(self, *targets: Path) -> Ingestor:
        """Return a new ingestor, which has read nothing."""
        store = RecordStore.from_butler(self._butler, ["LSSTCam"])
        return Ingestor(open_raw(self._butler), store, Door([self.landing], targets, in_place=True))

    def read(self, path: Path) -> Any:
        return self.ingestor.read(Arrival(path, 0.0, 0.0))

    def refusal(self, path: Path) -> str:
        """Return why a file is refused."""
        with pytest.raises(RefusedError) as caught:
            self.read(path)
        assert caught.value.reason.isprintable()
        return caught.value.reason


@pytest.fixture(scope="module")
def butler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Butler]:
    root = tmp_path_factory.mktemp("refused") / "repo"
    make_repository(root, ["LSSTCam"])
    with Butler.from_config(str(root)) as butler:
        yield butler


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_raw(tmp_path_factory.mktemp("good") / "good.fits")


@pytest.fixture
def case(butler: Butler, good: Path, tmp_path: Path) -> Case:
    return Case(butler, tmp_path, good)


def test_a_good_raw_is_taken(case: Case) -> None:
    raw = case.read(case.raw)
    assert (raw.exposure, raw.detector) == (2026050100123, 94)


def cards(*pairs: tuple[str, str]) -> bytes:
    """Return a header of one block or more."""
    header = b"".join(f"{keyword:8}= {value:>20}".ljust(80).encode() for keyword, value in pairs)
    header += b"END".ljust(80)
    return header.ljust(-(-len(header) // BLOCK) * BLOCK)


PRIMARY = (("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "0"))


def header_of(path: Path, *pairs: tuple[str, str]) -> Path:
    """Put another HDU after the good ones: a header without data."""
    with path.open("ab") as stream:
        stream.write(cards(("XTENSION", "'IMAGE   '"), *pairs))
    return path


def huge_segments(path: Path) -> Path:
    """Have sixteen headers say that they are of compressed images, whose pixels are not there."""
    with fits.open(path) as hdus:
        primary = path.read_bytes()[: hdus[1].fileinfo()["hdrLoc"]]
    names = [f"1{i}" for i in range(8)] + [f"0{i}" for i in range(8)]
    image = (("ZIMAGE", "T"), ("ZNAXIS", "2"), ("ZNAXIS1", "1000000"), ("ZNAXIS2", "1000000"))
    path.write_bytes(primary)
    for name in names:
        header_of(
            path, ("BITPIX", "8"), ("NAXIS", "2"), ("NAXIS1", "0"), ("NAXIS2", "0"),
            ("EXTNAME", f"'Segment{name}'"), *image,
        )  # fmt: skip
    return path


def cut(size: Callable[[int], int]) -> Make:
    def make(path: Path) -> Path:
        os.truncate(path, size(path.stat().st_size))
        return path

    return make


def written(content: bytes) -> Make:
    def make(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return make


def unpacked(content: bytes) -> Make:
    return written(gzip.compress(content, mtime=0))


def long_header(path: Path) -> Path:
    content = path.read_bytes()
    end = content.index(b"END".ljust(80))
    more = b"".join(f"HIERARCH CARD {i} = {i}".ljust(80).encode() for i in range(100_000))
    path.write_bytes(content[:end] + more.ljust(-(-len(more) // BLOCK) * BLOCK) + content[end:])
    return path


def many_hdus(path: Path) -> Path:
    one = cards(("XTENSION", "'IMAGE   '"), ("BITPIX", "8"), ("NAXIS", "0"))
    with path.open("ab") as stream:
        stream.write(one * 1000)
        # The rest of 100,000 takes no room on disk.
        stream.truncate(stream.tell() + 99_000 * BLOCK)
    return path


def endless_name(_: Path) -> bytes:
    return b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * 300_000 + struct.pack("<II", 0, BLOCK)


CONTENTS: dict[str, tuple[Make, str]] = {
    "empty": (cut(lambda _: 0), "is empty"),
    "cut in the primary header": (cut(lambda _: 1000), "is cut short: its 1000 bytes"),
    "cut after the primary header": (cut(lambda _: BLOCK), "has 0 image HDUs where R22_S11"),
    "cut in an extension": (cut(lambda size: size // 2 // BLOCK * BLOCK), r"HDU \d+ \(Segment\d\d\) ends"),
    "cut in the last block": (cut(lambda size: size - 100), "not a whole number of FITS blocks"),
    "cut by a block": (cut(lambda size: size - BLOCK), r"HDU 16 \(Segment00\) ends at byte"),
    "garbage": (written(os.urandom(10 * BLOCK)), "is not a FITS file"),
    "zeros": (written(bytes(10 * BLOCK)), "is not a FITS file"),
    "text": (written(b"This is a letter.\n" * 400), "is not a FITS file"),
    "a page": (written(b"<html>Not found</html>"), "is not a FITS file"),
    "a folder of files in one": (written(b"PK\x03\x04" + bytes(BLOCK)), "is not a FITS file"),
    "gzip of text": (unpacked(b"This is a letter." * 400), "is not a FITS file"),
    "gzip cut short": (written(gzip.compress(bytes(BLOCK))[:20]), "is cut short"),
    "gzip that says it is huge": (
        written(gzip.compress(b"x" * BLOCK)[:-4] + struct.pack("<I", 2**32 - 1)),
        "has 4294967295 bytes when it is decompressed",
    ),
    "gzip with a name that does not end": (lambda p: written(endless_name(p))(p), "do not come to an end"),
    "a header alone": (written(cards(*PRIMARY)), "no INSTRUME card"),
    "100,000 cards": (long_header, "has no END card in its first 576000 bytes"),
    "100,000 HDUs": (many_hdus, "has more than 200 HDUs"),
    "2**60 pixels": (
        lambda p: header_of(p, ("BITPIX", "8"), ("NAXIS", "1"), ("NAXIS1", str(2**60))),
        r"HDU 17 ends at byte 11529215046\d+, the file at byte",
    ),
    "data that begin before the file": (
        lambda p: header_of(p, ("BITPIX", "8"), ("NAXIS", "1"), ("NAXIS1", "1"), ("PCOUNT", "-50000")),
        "HDU 17 does not say how large its data are",
    ),
    "a billion axes": (
        lambda p: header_of(p, ("BITPIX", "8"), ("NAXIS", "1000000000")),
        "HDU 17 does not say how large its data are",
    ),
    "pixels of no kind": (
        lambda p: header_of(p, ("BITPIX", "3"), ("NAXIS", "0")),
        "HDU 17 does not say how large its data are",
    ),
    "segments that claim to be huge": (
        huge_segments,
        r"Segment10\): no amplifier has 1000000 x 1000000 pixels",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "reason"), CONTENTS.values(), ids=CONTENTS)
# A hang is a failure, and so is a minute's work for one file.
@pytest.mark.timeout(60)
def test_what_is_no_raw_is_refused(case: Case, make: Make, reason: str) -> None:
    path = make(case.raw)
    refusal = case.refusal(path)
    assert_matches(reason, refusal)


def assert_matches(pattern: str, text: str) -> None:
    assert re.search(pattern, text), text


CARDS: list[tuple[str, str, str]] = [
    ("INSTRUME", "'XCam'", "INSTRUME is 'XCam', and no metadata translator .*; raws of LSSTCam are taken"),
    ("INSTRUME", "'DECam'", r"it is of DECam, which this repository does not have \(it has LSSTCam\)"),
    ("INSTRUME", "'LATISS'", "it is of LATISS, which this repository does not have"),
    ("RAFTBAY", "'R99'", "R99_S11, which LSSTCam has not"),
    ("CCDSLOT", "'SG0'", "R22_SG0, which LSSTCam has not"),
    ("DAYOBS", "99999999", "DAYOBS is '99999999'; it must be a date"),
    ("DAYOBS", "'20260230'", "DAYOBS is '20260230'; it must be a date"),
    ("SEQNUM", "-1", "SEQNUM is -1"),
    ("SEQNUM", "100000", "SEQNUM is 100000"),
    ("SEQNUM", "9" * 60, "SEQNUM is 9999"),
    ("SEQNUM", "1.5", "SEQNUM is 1.5; it must be a whole number"),
    ("CONTRLLR", "'X'", "CONTRLLR is 'X'"),
    ("DATE-BEG", "'1858-11-17T00:00:00'", "MJD 0.00000, which cannot be"),
    ("DATE-BEG", "'2200-01-01T00:00:00'", "which cannot be"),
    ("DATE-BEG", "'yesterday'", "Time yesterday does not match"),
    ("DATE-END", "'2096-01-01T00:00:00'", "says that it ended at 2096-01-01"),
    ("EXPTIME", "NaN", "card 'EXPTIME = NaN' of the primary header cannot be parsed"),
    ("EXPTIME", "'nan'", "EXPTIME is nan, which cannot be"),
    ("EXPTIME", "1E400", "EXPTIME is inf, which cannot be"),
    ("SHUTTIME", "1E9", "gives an exposure time of 1000000000.0 s"),
    ("DARKTIME", "'nan'", "DARKTIME is nan"),
    ("RA", "1E400", "RA is inf"),
    ("RA", "1E20", r"RA is 1e\+20"),
    ("DEC", "100.0", "DEC is 100, which cannot be"),
    ("DEC", "'nan'", "DEC is nan"),
    ("ROTPA", "'-inf'", "ROTPA is -inf"),
    ("FILTER", "'r/../../etc'", "FILTER is 'r/../../etc'; a name has no such characters"),
    ("FILTER", "'..'", "FILTER is '..'; a name has no such characters"),
    ("GROUPID", "'gr\xfcn'", "GROUPID is 'grün'; a name has no such characters"),
    ("OBSID", "'MC\x00'", r"OBSID is 'MC\\x00'; a name has no such characters"),
    ("OBJECT", "'a\x1b[31m'", r"OBJECT is 'a\\x1b\[31m', which is no text"),
]


@pytest.mark.filterwarnings("ignore:ERFA function")
@pytest.mark.parametrize(("card", "value", "reason"), CARDS, ids=[f"{c[0]}={c[1][:20]!a}" for c in CARDS])
def test_impossible_values_are_refused(case: Case, card: str, value: str, reason: str) -> None:
    assert_matches(reason, case.refusal(set_card(case.raw, card, value)))


@pytest.mark.parametrize(
    ("card", "value"),
    [("FILTER", "'new_filter'"), ("OBJECT", "'fi\xe9ld'"), ("ELSTART", "500.0"), ("DAYOBS", "'20260502'")],
)
def test_what_is_odd_and_possible_is_taken(case: Case, card: str, value: str) -> None:
    assert case.read(set_card(case.raw, card, value)).detector == 94


@pytest.mark.parametrize(
    ("card", "value"),
    [("FILTER", "'g_6'"), ("EXPTIME", "15.0"), ("OBJECT", "'another'"), ("GROUPID", "'another'")],
)
def test_headers_of_one_exposure_that_contradict_each_other(case: Case, card: str, value: str) -> None:
    case.read(case.raw)
    other = write_small_raw(case.landing / "other.fits", CCDSLOT="S12")
    refusal = case.refusal(set_card(other, card, value))
    assert_matches(rf"contradicts that of raw\.fits of the same exposure: {card} is ", refusal)
    # The first one counts, and those that agree with it.
    assert case.read(write_small_raw(case.landing / "third.fits", CCDSLOT="S10")).detector == 93


def test_others_are_not_measured_by_a_header_that_nobody_understands(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object) -> None:
        raise ZeroDivisionError("float division by zero")

    with monkeypatch.context() as patched:
        patched.setattr(_visits.ReaderVisits, "define", stumble)
        refusal = case.refusal(set_card(case.raw, "FILTER", "'g_6'"))
    assert refusal == "its header cannot be understood: ZeroDivisionError: float division by zero"
    assert case.read(write_small_raw(case.landing / "other.fits", CCDSLOT="S12")).detector == 95


def link_out(raw: Path) -> Path:
    outside = raw.parent.parent / "archive.fits"
    raw.rename(outside)
    raw.symlink_to(outside)
    return raw


def link_in_a_circle(raw: Path) -> Path:
    other = raw.with_name("other.fits")
    raw.unlink()
    raw.symlink_to(other)
    other.symlink_to(raw)
    return raw


def link_to_nothing(raw: Path) -> Path:
    raw.unlink()
    raw.symlink_to("/nowhere/raw.fits")
    return raw


def link_to_a_folder(raw: Path) -> Path:
    raw.unlink()
    raw.symlink_to(raw.parent)
    return raw


def replaced(make: Callable[[Path], object]) -> Make:
    def made(raw: Path) -> Path:
        raw.unlink()
        make(raw)
        return raw

    return made


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)  # its address has room for 107 characters
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


def renamed(name: str | bytes) -> Make:
    def make(raw: Path) -> Path:
        return raw.rename(raw.with_name(os.fsdecode(name)))

    return make


PLACES: dict[str, tuple[Make, str]] = {
    "a link out": (link_out, r"symbolic link to .*/archive\.fits, outside the watched folders"),
    "a link in a circle": (link_in_a_circle, "leads in a circle"),
    "a link to nothing": (link_to_nothing, r"symbolic link to /nowhere/raw\.fits, which is not there"),
    "a link to a folder": (link_to_a_folder, r"raw\.fits is a folder, not a file"),
    "a folder": (replaced(Path.mkdir), "is a folder, not a file"),
    "a pipe": (replaced(os.mkfifo), r"is a pipe \(FIFO\), not a file"),
    "a socket": (replaced(a_socket), "is a socket, not a file"),
    "gone": (replaced(lambda _: None), "it was gone before it could be read"),
    "a newline in the name": (renamed("a\nb.fits"), "its name has control characters"),
    "a name that is no text": (renamed(b"a\xff.fits"), "its name is not UTF-8"),
    "a hash in the name": (renamed("a#b.fits"), "its path has '#'"),
    "an escape in the name": (renamed("a%20b.fits"), "its path has '%20'"),
    "a long name": (renamed("é" * 120 + ".fits"), r"its path has \d+ characters as the repository"),
}


@pytest.mark.parametrize(("make", "reason"), PLACES.values(), ids=PLACES)
@pytest.mark.timeout(60)
def test_what_is_not_a_file_of_the_folder_is_refused(case: Case, make: Make, reason: str) -> None:
    assert_matches(reason, case.refusal(make(case.raw)))


def test_a_device_is_refused(case: Case) -> None:
    try:
        os.mknod(case.raw.with_name("null.fits"), 0o20666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")
    assert "is a device, not a file" in case.refusal(case.raw.with_name("null.fits"))


def test_a_file_that_may_not_be_read_is_refused(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:  # who reads everything

        def deny(*_: object) -> int:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(os, "open", deny)
    else:
        case.raw.chmod(0)
    assert case.refusal(case.raw) == "it cannot be read: Permission denied"


@pytest.mark.parametrize(
    "name",
    [
        "with space.fits", "-dash.fits", "100%.fits", "ques?tion=1.fits", "brack[1].fits", "a" * 90 + ".fits",
        "é.fits", "e\u0301.fits", "semi;colon.fits", "quo'te\".fits", "{instrument}.fits", "$(x)`y`.fits",
        "s3:bucket.fits", "back\\slash.fits",
    ],
)  # fmt: skip
def test_odd_names_are_taken(case: Case, name: str) -> None:
    assert case.read(renamed(name)(case.raw)).arrival.path.name == name


def test_a_link_within_the_folders_that_were_named_is_followed(case: Case, tmp_path: Path) -> None:
    inside = case.landing / "link.fits"
    inside.symlink_to("raw.fits")
    assert case.read(inside).detector == 94
    outside = link_out(case.raw)
    assert "'link_targets'" in case.refusal(outside)
    case.ingestor = case.start(tmp_path)
    assert case.read(outside).detector == 94


def test_a_landing_folder_may_itself_be_a_link(butler: Butler, case: Case, tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to(case.landing)
    (case.landing / "link.fits").symlink_to("raw.fits")
    store = RecordStore.from_butler(butler, ["LSSTCam"])
    ingestor = Ingestor(open_raw(butler), store, Door([tmp_path / "here"], in_place=True))
    assert ingestor.read(Arrival(tmp_path / "here" / "link.fits", 0.0, 0.0)).detector == 94
