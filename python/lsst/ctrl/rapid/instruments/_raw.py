"""A raw in memory: the primary header and one untrimmed segment for each amplifier."""

from __future__ import annotations

__all__ = ("HeaderValue", "RawImage", "RawSegment")

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from lsst.images import Box
from lsst.images.cameras import Amplifier

type HeaderValue = str | int | float | bool | None


@dataclasses.dataclass(frozen=True, slots=True)
class RawSegment:
    """The pixels of one amplifier as they were read out, overscan and prescan included.

    Attributes
    ----------
    amplifier
        Geometry, shared by raws and not to be modified: ``bbox`` is the place in the assembled detector, in
        the frame of cameraGeom; ``unassembled_raw_geometry`` has the sections of ``array`` and how it is
        flipped.
    array
        Pixels, ADU, indexed by row and column; its first pixel is row 0, column 0 of
        ``unassembled_raw_geometry.bbox``.  int32; float32 only where another reader had fractions of ADU.
    """

    amplifier: Amplifier
    array: np.ndarray[Any, np.dtype[np.int32 | np.float32]]

    def section(self, bbox: Box) -> np.ndarray[Any, np.dtype[np.int32 | np.float32]]:
        """Return a view of a section of the segment, given by a box of ``unassembled_raw_geometry``."""
        return self.array[bbox.y.start : bbox.y.stop, bbox.x.start : bbox.x.stop]

    def oriented(self, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return a view of data-section pixels turned the way they lie in the assembled detector."""
        geometry = self.amplifier.unassembled_raw_geometry
        assert geometry is not None, "A raw's amplifiers have their raw geometry."
        return pixels[:: -1 if geometry.flip_y else 1, :: -1 if geometry.flip_x else 1]


@dataclasses.dataclass(frozen=True, slots=True)
class RawImage:
    """A raw of one detector: what the ``raw`` dataset is in memory.

    Attributes
    ----------
    header
        Primary header.
    instrument
        Name of the instrument in the registry.
    detector
        Number of the detector.
    bbox
        Bounding box of the trimmed, assembled detector; starts at (0, 0).
    segments
        One for each amplifier, in the order of the file.
    """

    header: Mapping[str, HeaderValue]
    instrument: str
    detector: int
    bbox: Box
    segments: tuple[RawSegment, ...]
