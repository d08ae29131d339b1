"""Where the HDUs of a FITS file lie, found without reading pixels."""

from __future__ import annotations

__all__ = ("Hdu", "card_int", "card_real", "card_text", "scan_hdus")

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from ._header import BLOCK, CARD, RefusedError, check_is_fits, open_fits, read_header_cards

_MOST_AXES = 10
"""Real raws have two."""


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
    """

    index: int
    cards: Mapping[str, str]
    data_start: int
    data_size: int
    name: str
    is_compressed: bool
    shape: tuple[int, int] | None

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
        If the file is not FITS or is cut short.
    OSError
        If the file cannot be read.
    """
    name = Path(path).name
    hdus: list[Hdu] = []
    with open_fits(path) as (stream, size):
        check_is_fits(stream, size, name)
        start = 0
        while start < size:
            hdu = _scan_hdu(stream, start, size, len(hdus), name)
            hdus.append(hdu)
            start = hdu.next_start
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
    number = card_int(cards, "NAXIS") or 0
    # Not what the header claims decides how long this takes.
    axes = [card_int(cards, f"NAXIS{axis}") for axis in range(1, min(number, _MOST_AXES) + 1)]
    bitpix, groups, extra = card_int(cards, "BITPIX"), card_int(cards, "GCOUNT"), card_int(cards, "PCOUNT")
    sizes = (*axes, 1 if groups is None else groups, extra or 0)
    if bitpix is None or not 0 <= number <= _MOST_AXES or any(size is None or size < 0 for size in sizes):
        told = _label(index, name_of_hdu)
        raise RefusedError(f"{name}: {told} does not say how large its data are (BITPIX, NAXIS cards).")
    count = 1 if axes else 0
    for axis in axes:
        count *= axis or 0
    is_compressed = cards.get("ZIMAGE", "").strip().startswith("T")
    return Hdu(
        index=index,
        cards=cards,
        data_start=start + -(-(len(header) + CARD) // BLOCK) * BLOCK,
        data_size=abs(bitpix) // 8 * (groups or 1) * ((extra or 0) + count),
        name=name_of_hdu,
        is_compressed=is_compressed,
        shape=_find_shape(index, cards, is_compressed=is_compressed),
    )


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
