"""Headers of raws read straight from the file: fast, and without touching pixels."""

from __future__ import annotations

__all__ = ("RefusedError", "read_primary_header")

import contextlib
import functools
import gzip
import io
import os
import re
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast, override

import astropy.io.fits
from astropy.io.fits.card import Undefined
from astropy.io.fits.verify import VerifyError, VerifyWarning

from ._raw import HeaderValue

BLOCK = 2880
"""Size of the blocks that FITS files are made of, bytes."""

CARD = 80
"""Size of a header card, bytes."""

MAX_HEADER = 200 * BLOCK
"""Longest header that is believed, bytes: 7200 cards, where real ones have some hundreds."""

MAX_CONTINUED = 100
"""Most cards that one value may go on over."""

MAX_UNCOMPRESSED = 1 << 30
"""Largest file that is decompressed with gzip, bytes; a raw has less than 100 MB."""

_GZIP = b"\x1f\x8b"
_GZIP_MIN = 18
_MOST_READS = 100_000
"""Calls after which a gzip file is given up: of 128 kB, or of a byte of a name in it that does not end."""
_END = b"END".ljust(CARD)
_COMMENTARY = frozenset({"", "COMMENT", "HISTORY", "END", "CONTINUE"})
_VALUE = re.compile(
    r"""\s*(?:
        '(?P<text>(?:[^']|'')*)'
        | (?P<integer>[+-]?\d+)(?=\s|/|$)
        | (?P<real>[+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?)(?=\s|/|$)
        | (?P<logical>[TF])
    )?\s*(?:/.*)?$""",
    re.VERBOSE | re.DOTALL,
)

_LONGEST_REASON = 2000
_CARDS_KEPT = 10_000
"""Cards of which it is remembered what they say: what the raws of an exposure have, and more."""


class RefusedError(ValueError):
    """A file or header is not a raw that we handle.

    Parameters
    ----------
    reason
        What is wrong, for the person who must act.  It becomes one line: what cannot be printed is escaped,
        and what is too long is cut.
    """

    def __init__(self, reason: str) -> None:
        # Names of files may be anything but text; a line of the log is.
        line = " ".join(reason.split()).encode(errors="backslashreplace").decode()
        if len(line) > _LONGEST_REASON:
            line = f"{line[:_LONGEST_REASON]}…"
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in line))

    @property
    def reason(self) -> str:
        """What is wrong, one line."""
        return str(self.args[0])


def read_primary_header(path: str | os.PathLike[str]) -> dict[str, HeaderValue]:
    """Read the primary header of a FITS file on a local file system.

    Parameters
    ----------
    path
        The file, plain or gzip-compressed (whatever its name says).

    Returns
    -------
    header
        Value of each card, in the order of the file; `None` for a card without a value.  Of cards that may
        repeat (``COMMENT``, ``HISTORY``, blank) none is kept; of others that do, the last one is.

    Raises
    ------
    RefusedError
        If the file is not FITS, is cut short, or has no believable header.
    OSError
        If the file cannot be read.

    Notes
    -----
    Only the blocks of the header are read, so this takes the same time whatever the number of pixels.
    """
    name = Path(path).name
    with open_fits(path) as (stream, size):
        check_is_fits(stream, size, name)
        text = read_header_cards(stream, 0, size, name, "the primary HDU")
    header: dict[str, HeaderValue] = {}
    for image in _card_images(text.decode("latin-1"), name):
        try:
            # A value that goes on over several cards is not kept: it may be long.
            keyword, value = _parse_card(image) if len(image) == CARD else _parse_unusual_card(image)
        except (VerifyError, ValueError):
            raise RefusedError(
                f"{name}: card {image[:30].strip()!r} of the primary header cannot be parsed."
            ) from None
        if keyword not in _COMMENTARY:
            header[keyword] = value
    return header


def check_is_fits(stream: BinaryIO, size: int, name: str) -> None:
    """Check the first bytes and the size of a file.

    Raises
    ------
    RefusedError
        If it is empty, not FITS, or not a whole number of blocks.
    """
    if size == 0:
        raise RefusedError(f"{name} is empty.")
    if not stream.read(9).startswith(b"SIMPLE  ="):
        raise RefusedError(f"{name} is not a FITS file: it does not start with a SIMPLE card.")
    if size % BLOCK:
        raise RefusedError(f"{name} is cut short: its {size} bytes are not a whole number of FITS blocks.")


def read_header_cards(stream: BinaryIO, start: int, size: int, name: str, what: str) -> bytes:
    """Return the cards of the header that starts at an offset, without ``END`` and what follows it."""
    stream.seek(start)
    header = b""
    chunk = 4 * BLOCK
    while len(header) < min(MAX_HEADER, size - start):
        more = stream.read(chunk)
        if not more:
            break
        checked = len(header)
        header += more
        if (end := _find_end(header, checked)) >= 0:
            return header[:end]
    if len(header) >= MAX_HEADER:
        raise RefusedError(f"{name}: the header of {what} has no END card in its first {MAX_HEADER} bytes.")
    raise RefusedError(f"{name} is cut short: the header of {what} has no END card.")


def _find_end(header: bytes, first: int) -> int:
    """Return the offset of the ``END`` card among the cards from an offset on, -1 where there is none."""
    at = header.find(_END, first)
    while at >= 0 and at % CARD:
        at = header.find(_END, at + 1)
    return at


def _card_images(text: str, name: str) -> Iterator[str]:
    """Yield the cards of a header, long strings with the ``CONTINUE`` cards that belong to them.

    Raises
    ------
    RefusedError
        If one goes on over more cards than is believed.
    """
    cards = [text[at : at + CARD] for at in range(0, len(text), CARD)]
    at = 0
    while at < len(cards):
        end = at + 1
        while end < len(cards) and cards[end].startswith("CONTINUE"):
            end += 1
        if end - at > MAX_CONTINUED:
            raise RefusedError(
                f"{name}: card {cards[at][:30].strip()!r} of the primary header has {end - at} cards."
            )
        yield "".join(cards[at:end])
        at = end


@functools.lru_cache(maxsize=_CARDS_KEPT)
def _parse_card(image: str) -> tuple[str, HeaderValue]:
    """Return keyword and value of a card; most cards are the same in the next raw.

    Raises
    ------
    VerifyError, ValueError
        If the card cannot be parsed.
    """
    if image[8:10] == "= " and len(image) == CARD:
        keyword, field = image[:8].rstrip(), image[10:]
    elif image.startswith("HIERARCH ") and len(image) == CARD:
        keyword, _, field = image[9:].partition("=")
        keyword = keyword.strip().upper()
    else:
        return _parse_unusual_card(image)
    if match := _VALUE.match(field):
        if (text := match["text"]) is not None:
            return keyword, text.replace("''", "'").rstrip()
        if (integer := match["integer"]) is not None:
            return keyword, int(integer)
        if (real := match["real"]) is not None:
            return keyword, float(real.upper().replace("D", "E"))
        return keyword, match["logical"] == "T" if match["logical"] else None
    return _parse_unusual_card(image)


def _parse_unusual_card(image: str) -> tuple[str, HeaderValue]:
    with warnings.catch_warnings():
        # Cards that break small rules of the standard are common in real raws and carry usable values.
        warnings.simplefilter("ignore", VerifyWarning)
        card = astropy.io.fits.Card.fromstring(image)
        keyword = card.keyword
        if keyword in _COMMENTARY:
            return keyword, None
        value = card.value
    if isinstance(value, Undefined):
        return keyword, None
    if isinstance(value, str | bool | int | float):
        return keyword, value
    raise ValueError(f"The value of {keyword} is neither text nor a real number.")


class _Patient(io.RawIOBase):
    """A file that gives up when it is read too often: what a hostile one makes of a decompressor.

    Parameters
    ----------
    file
        The file.
    name
        For messages.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._reads = 0

    @override
    def read(self, size: int = -1) -> bytes:
        self._reads += 1
        if self._reads > _MOST_READS:
            raise RefusedError(f"{self._name} is damaged: its gzip data do not come to an end.")
        return self._file.read(size)

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    @override
    def tell(self) -> int:
        return self._file.tell()


@contextlib.contextmanager
def open_fits(path: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, int]]:
    """Open a FITS file for reading; yields it and its uncompressed size in bytes.

    Raises
    ------
    RefusedError
        If it is no file but a folder, a pipe, a socket or a device (none of which is waited for), or gzip
        data that are cut short, damaged or too large.
    OSError
        If it cannot be opened.
    """
    name = Path(path).name
    with _open_file(path, name) as file:
        compressed = file.read(2) == _GZIP
        if compressed and file.seek(0, io.SEEK_END) < _GZIP_MIN:
            raise RefusedError(f"{name} is cut short: it has only the start of a gzip header.")
        # A gzip file ends with its uncompressed size modulo 2**32; no raw comes near that.
        file.seek(-4 if compressed else 0, io.SEEK_END)
        size = struct.unpack("<I", file.read(4))[0] if compressed else file.tell()
        file.seek(0)
        if not compressed:
            yield file, size
            return
        if size > MAX_UNCOMPRESSED:
            raise RefusedError(
                f"{name} is cut short, or has {size} bytes when it is decompressed, which no raw has."
            )
        try:
            # It needs read, seek and tell alone, which its annotation does not say.
            packed = cast("BinaryIO", _Patient(file, name))
            with io.BufferedReader(gzip.GzipFile(fileobj=packed)) as stream:
                yield stream, size
        except (EOFError, gzip.BadGzipFile, zlib.error) as exc:
            raise RefusedError(f"{name} is cut short or damaged: its gzip data end badly ({exc}).") from exc


def _open_file(path: str | os.PathLike[str], name: str) -> BinaryIO:
    """Open a file that is one, without ever waiting for a writer, as opening a pipe would."""
    # Looked at before it is opened, too: to open a device may do something.
    _check_is_file(Path(path).stat().st_mode, name)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _check_is_file(os.fstat(descriptor).st_mode, name)
    except RefusedError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def _check_is_file(mode: int, name: str) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe (FIFO)", stat.S_IFSOCK: "a socket"}
    raise RefusedError(f"{name} is {kinds.get(stat.S_IFMT(mode), 'a device')}, not a file.")
