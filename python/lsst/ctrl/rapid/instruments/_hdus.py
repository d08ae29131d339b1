"""Where the HDUs of a FITS file lie, found without reading pixels."""

from __future__ import annotations

__all__ = ("Hdu", "card_int", "card_real", "card_text", "scan_hdus")

import dataclasses
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from ._header import BLOCK, CARD, MAX_HEADER, RefusedError, check_is_fits, open_fits, read_header_cards

MAX_HDUS = 200
"""Most HDUs of a file that is believed; a raw has some twenty."""

MAX_HEADERS = 8 * MAX_HEADER
"""Longest headers of a file together, bytes."""

MAX_AXES = 999
"""Most axes of an array, by the FITS standard."""

_BITPIX = frozenset({8, 16, 32, 64, -32, -64})


@dataclasses.dataclass(frozen=True, slots=True)
class Hdu:
    """Where one HDU lies in its file, and its cards as they are written.

    Attributes
    ----------
    index
        Number of the HDU; 0 is the primary one.
    cards
        The cards' unparsed value fields by keyword; see `card_text` and `card_int`.
    data_start
        Offset of the data unit from the start of the (uncompressed) file, bytes.
    data_size
        Size of the data unit without padding, bytes.
    name
        ``EXTNAME``, empty where there is none.
    is_compressed
        Whether it is a tile-compressed image.
    shape
        Rows and columns of the image, uncompressed; `None` where there is no two-dimensional image.
    checksum
        Of the header's bytes.
    """

    index: int
    cards: Mapping[str, str]
    data_start: int
    data_size: int
    name: str
    is_compressed: bool
    shape: tuple[int, int] | None
    checksum: int

    @property
    def label(self) -> str:
        """The HDU's number and name, for messages."""
        return _label(self.index, self.name)

    @property
    def next_start(self) -> int:
        """Offset of the next HDU, bytes."""
        return self.data_start + -(-self.data_size // BLOCK) * BLOCK


def card_text(cards: Mapping[str, str], keyword: str) -> str | None:
    """Return the text of a string-valued card, `None` where it is absent or not a string."""
    field = cards.get(keyword, "").lstrip()
    if not field.startswith("'"):
        return None
    if "''" not in field:
        return field[1:].partition("'")[0].strip()
    return field[1:].replace("''", "\0").partition("'")[0].replace("\0", "'").strip()


def card_int(cards: Mapping[str, str], keyword: str) -> int | None:
    """Return the value of an integer card, `None` where it is absent or not an integer."""
    try:
        return int(cards.get(keyword, "").partition("/")[0])
    except ValueError:
        return None


def card_real(cards: Mapping[str, str], keyword: str, default: float) -> float | None:
    """Return the value of a card that is a number, a default where it is absent, `None` for anything else."""
    if keyword not in cards:
        return default
    try:
        return float(cards[keyword].partition("/")[0].upper().replace("D", "E"))
    except ValueError:
        return None


def scan_hdus(path: str | os.PathLike[str]) -> list[Hdu]:
    """Return where the HDUs of a FITS file lie, with their cards, without reading any data unit.

    Parameters
    ----------
    path
        The file, on a local file system, plain or gzip-compressed; one that is compressed is decompressed to
        its end, which takes a few tenths of a second.

    Raises
    ------
    RefusedError
        If the file is not FITS, is cut short, or has more HDUs or longer headers than is believed.
    OSError
        If the file cannot be read.
    """
    name = Path(path).name
    hdus: list[Hdu] = []
    headers = 0
    with open_fits(path) as (stream, size):
        check_is_fits(stream, size, name)
        start = 0
        while start < size:
            hdu = _scan_hdu(stream, start, size, len(hdus), name)
            hdus.append(hdu)
            headers += hdu.data_start - start
            start = hdu.next_start
            if len(hdus) > MAX_HDUS or headers > MAX_HEADERS:
                raise RefusedError(
                    f"{name} has more than {MAX_HDUS} HDUs or {MAX_HEADERS} bytes of headers; no raw has."
                )
            if start > size:
                raise RefusedError(
                    f"{name} is cut short: {hdu.label} ends at byte {start}, the file at byte {size}."
                )
        # Only this makes a decompressor check the rest of its stream.
        stream.seek(size - 1)
        if not stream.read(1):
            raise RefusedError(f"{name} is cut short.")
    return hdus


def _scan_hdu(stream: BinaryIO, start: int, size: int, index: int, name: str) -> Hdu:
    header = read_header_cards(stream, start, size, name, f"HDU {index}")
    text = header.decode("latin-1")
    cards = {
        text[at : at + 8].rstrip(): text[at + 10 : at + CARD]
        for at in range(0, len(text), CARD)
        if text[at + 8] == "="
    }
    name_of_hdu = card_text(cards, "EXTNAME") or ""
    data_size = _find_data_size(cards)
    if data_size is None:
        told = _label(index, name_of_hdu)
        raise RefusedError(f"{name}: {told} does not say how large its data are (BITPIX, NAXIS cards).")
    is_compressed = cards.get("ZIMAGE", "").strip().startswith("T")
    return Hdu(
        index=index,
        cards=cards,
        data_start=start + -(-(len(header) + CARD) // BLOCK) * BLOCK,
        data_size=data_size,
        name=name_of_hdu,
        is_compressed=is_compressed,
        shape=_find_shape(index, cards, is_compressed=is_compressed),
        checksum=zlib.crc32(header),
    )


def _find_data_size(cards: Mapping[str, str]) -> int | None:
    """Return the size of a data unit, bytes; `None` where the cards do not give one that can be."""
    bitpix, number = card_int(cards, "BITPIX"), card_int(cards, "NAXIS") or 0
    extra, groups = card_int(cards, "PCOUNT") or 0, card_int(cards, "GCOUNT") or 1
    if bitpix not in _BITPIX or not 0 <= number <= MAX_AXES or extra < 0 or groups < 0:
        return None
    count = 1 if number else 0
    for axis in range(1, number + 1):
        length = card_int(cards, f"NAXIS{axis}")
        if length is None or length < 0:
            return None
        count *= length
    return abs(bitpix) // 8 * groups * (extra + count)


def _find_shape(index: int, cards: Mapping[str, str], *, is_compressed: bool) -> tuple[int, int] | None:
    prefix = "Z" if is_compressed else ""
    if index == 0 or not (is_compressed or card_text(cards, "XTENSION") == "IMAGE"):
        return None
    if card_int(cards, f"{prefix}NAXIS") != 2:
        return None
    columns, rows = (card_int(cards, f"{prefix}NAXIS{axis}") for axis in (1, 2))
    return (rows, columns) if rows and columns else None


def _label(index: int, name: str) -> str:
    return f"HDU {index}" + (f" ({name})" if name else "")
