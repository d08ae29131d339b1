"""Files that are never seen half written."""

from __future__ import annotations

__all__ = ("RawEncoder", "StagedRaw", "append_line", "encode_segments", "write_atomically")

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import fitsio
import numpy as np
import numpy.typing as npt

from lsst.ctrl.rapid.instruments import CameraDetector

from ._geometry import Layout
from ._header import card_text, exposure_cards, file_name, image_header, primary_header, segment_cards
from ._render import Rendered
from ._sequence import ExposurePlan

_BLOCK = 2880


def encode_segments(rendered: Rendered, *, compress: bool) -> bytes:
    """Return the image HDUs of a raw as they are in the file.

    Parameters
    ----------
    rendered
        The detector.
    compress
        Whether they are tile-compressed: RICE_1, a tile for each row.
    """
    return _compressed(rendered) if compress else _plain(rendered.layout, rendered.segments)


class RawEncoder:
    """Makes raws of one exposure of pixels that somebody else has made.

    Parameters
    ----------
    exposure
        The exposure.
    shutter_closed
        When its shutter closes, UNIX seconds.
    """

    def __init__(self, exposure: ExposurePlan, shutter_closed: float) -> None:
        self._exposure = exposure
        self._cards = card_text(exposure_cards(exposure, shutter_closed, seed=0))

    def encode(
        self, detector: CameraDetector, layout: Layout, segments: npt.NDArray[np.int32]
    ) -> tuple[str, bytes]:
        """Return the name and the bytes of a raw that is not compressed.

        Parameters
        ----------
        detector, layout
            The detector, and where its pixels lie.
        segments
            ADU, shape ``(amplifier, row, column)``, amplifiers in the order of the file.
        """
        header = primary_header(self._cards, self._exposure, detector, layout)
        return file_name(self._exposure, detector), header + _plain(layout, segments)


def _plain(layout: Layout, segments: npt.NDArray[np.int32]) -> bytes:
    parts: list[bytes] = []
    for segment, pixels in zip(layout.segments, segments.astype(">i4"), strict=True):
        parts += (image_header(layout, segment), pixels.tobytes(), bytes(-pixels.nbytes % _BLOCK))
    return b"".join(parts)


def _compressed(rendered: Rendered) -> bytes:
    columns = rendered.layout.raw_shape[1]
    # In memory, since CFITSIO gives brackets in a file's name a meaning of their own.
    with fitsio.FITS("mem://", "rw") as fits:
        for segment, pixels in zip(rendered.layout.segments, rendered.segments, strict=True):
            cards = [
                {"name": keyword, "value": value, "comment": ""}
                for keyword, value in segment_cards(rendered.layout, segment).items()
                if keyword != "EXTNAME"
            ]
            fits.write(pixels, header=cards, extname=segment.name, compress="rice", tile_dims=(1, columns))
        encoded = bytes(fits.read_raw())
    # What precedes the first image is an empty primary HDU of one block, which ours replaces.
    return encoded[_BLOCK:]


@dataclasses.dataclass(frozen=True, slots=True)
class StagedRaw:
    """A raw whose pixels are on disk under a hidden name, until the shutter has closed.

    Attributes
    ----------
    temporary
        The hidden name.
    path
        Its name when it is complete.
    """

    temporary: Path
    path: Path

    def write(self, header: bytes, images: bytes) -> None:
        """Write header and images under the hidden name."""
        with self.temporary.open("wb") as stream:
            stream.write(header)
            stream.write(images)

    def finish(self, header: bytes) -> None:
        """Put the final header, as long as the first, in place."""
        with self.temporary.open("r+b") as stream:
            stream.write(header)

    def digest(self) -> tuple[int, str]:
        """Return the size of what was written, bytes, and its SHA-256."""
        with self.temporary.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return stream.tell(), digest

    def show(self) -> None:
        """Give the file its name."""
        self.temporary.replace(self.path)

    def discard(self) -> None:
        """Remove what was not closed."""
        self.temporary.unlink(missing_ok=True)

    @classmethod
    def at(cls, path: Path, hidden_as: str) -> StagedRaw:
        """Return where a raw is staged: beside its final place.

        Parameters
        ----------
        path
            Its final place.
        hidden_as
            What the hidden name is made from; different for each that is staged at a time.

        Raises
        ------
        FileExistsError
            If there is such a raw already.
        """
        if path.exists():
            raise FileExistsError(
                f"There is a raw {path} already: simulate into another folder or from another first_seq_num."
            )
        return cls(path.with_name(f".{hidden_as}.{os.getpid()}.tmp"), path)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file that is there whole or not at all.

    Parameters
    ----------
    path
        The file; its folder is created.
    text
        All of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def append_line(path: Path, line: Mapping[str, object]) -> None:
    """Append a line of JSON to a file, which is made if it is not there.

    Parameters
    ----------
    path
        The file; its folder is there.
    line
        What JSON can express.
    """
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
