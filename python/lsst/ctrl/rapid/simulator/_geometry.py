"""Where the pixels of each amplifier lie: in a raw's HDU, and in the assembled detector."""

from __future__ import annotations

__all__ = ("FOCAL_PLANE_RADIUS_MM", "Layout", "Segment", "layout_of")

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from lsst.ctrl.rapid.instruments import CameraDetector, Purpose, Vendor

FOCAL_PLANE_RADIUS_MM = 350.0
"""About where the farthest detectors of LSSTCam end."""

AMPLIFIERS_IN_A_ROW = 8
RAW_COLUMNS = 576
RAW_ROWS = 2048
PRESCAN = {Vendor.E2V: 10, Vendor.ITL: 3}
"""Columns that are read before the first pixel of an amplifier."""

_MIN_OVERSCAN = 24


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
    """One amplifier: an image HDU of a raw.

    Attributes
    ----------
    name
        ``EXTNAME`` of its HDU, like ``Segment10``.
    channel
        Number of the HDU, from 1.
    column, row
        Zero-based place of its lower left pixel in the assembled detector.
    flip_x, flip_y
        Whether it is read against the columns, and the rows, of the assembled detector.
    """

    name: str
    channel: int
    column: int
    row: int
    flip_x: bool
    flip_y: bool

    @property
    def amplifier(self) -> str:
        """Name of the amplifier, like ``C10``."""
        return self.name.replace("Segment", "C")


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """The amplifiers of one detector, in the order of the file.

    Attributes
    ----------
    data_rows, data_columns
        Size of one amplifier's imaging area, pixels.
    prescan, overscan_columns, overscan_rows
        What is read beside it, pixels.
    segments
        The amplifiers.
    """

    data_rows: int
    data_columns: int
    prescan: int
    overscan_columns: int
    overscan_rows: int
    segments: tuple[Segment, ...]

    @property
    def raw_shape(self) -> tuple[int, int]:
        """Rows and columns of one HDU."""
        return (
            self.data_rows + self.overscan_rows,
            self.prescan + self.data_columns + self.overscan_columns,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the trimmed, assembled detector."""
        bands = len(self.segments) // AMPLIFIERS_IN_A_ROW
        return self.data_rows * bands, self.data_columns * AMPLIFIERS_IN_A_ROW

    @property
    def data(self) -> tuple[slice, slice]:
        """Imaging area of one HDU's pixels."""
        return slice(0, self.data_rows), slice(self.prescan, self.prescan + self.data_columns)

    @property
    def serial_overscan(self) -> tuple[slice, slice]:
        """Columns of one HDU's pixels that are read after the imaging area, in its rows."""
        return slice(0, self.data_rows), slice(self.prescan + self.data_columns, None)

    def on_detector[T: np.generic](self, segment: Segment, image: npt.NDArray[T]) -> npt.NDArray[T]:
        """Return a view of one amplifier's part of an assembled detector, turned the way it is read."""
        part = image[
            segment.row : segment.row + self.data_rows, segment.column : segment.column + self.data_columns
        ]
        return part[:: -1 if segment.flip_y else 1, :: -1 if segment.flip_x else 1]

    def assemble[T: np.generic](self, cube: npt.NDArray[T]) -> npt.NDArray[T]:
        """Return the trimmed, assembled detector of a stack of segments (amplifier, row, column)."""
        image = np.empty(self.shape, cube.dtype)
        for segment, pixels in zip(self.segments, cube, strict=True):
            self.on_detector(segment, image)[...] = pixels[self.data]
        return image


@functools.lru_cache(maxsize=512)
def layout_of(detector: CameraDetector, scale: float) -> Layout:
    """Return the layout of a detector whose amplifiers are cropped.

    At scale 1 it is that of the real raws: an E2V amplifier has 2002 x 512 pixels and is read against the
    columns in its lower half alone, an ITL one has 2000 x 509 and is always read against the columns; the
    upper half of both is read against the rows.  A wavefront half has the upper eight amplifiers only.

    Parameters
    ----------
    detector
        The detector.
    scale
        Part of each amplifier's rows and columns that is kept, 0 to 1.  Prescan stays as it is; overscan
        shrinks to 24 pixels at least.
    """
    bands = 1 if detector.purpose is Purpose.WAVEFRONT else 2
    full_columns, full_rows = detector.columns // AMPLIFIERS_IN_A_ROW, detector.rows // bands
    columns, rows = round(full_columns * scale), round(full_rows * scale)
    prescan = PRESCAN[detector.vendor]
    segments = []
    if bands == 2:
        segments = [
            Segment(f"Segment1{i}", i + 1, i * columns, 0, flip_x=True, flip_y=False)
            for i in range(AMPLIFIERS_IN_A_ROW)
        ]
    for i in reversed(range(AMPLIFIERS_IN_A_ROW)):
        channel = len(segments) + 1
        flip_x = detector.vendor is Vendor.ITL
        segments.append(
            Segment(f"Segment0{i}", channel, i * columns, (bands - 1) * rows, flip_x, flip_y=True)
        )
    return Layout(
        data_rows=rows,
        data_columns=columns,
        prescan=prescan,
        overscan_columns=max(_MIN_OVERSCAN, round((RAW_COLUMNS - prescan - full_columns) * scale)),
        overscan_rows=max(_MIN_OVERSCAN, round((RAW_ROWS - full_rows) * scale)),
        segments=tuple(segments),
    )
