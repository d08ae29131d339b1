"""Where the pixels of each amplifier lie: in a raw's HDU, and in the assembled detector."""

from __future__ import annotations

__all__ = ("FOCAL_PLANE_RADIUS_MM", "Layout", "Segment", "layout_of")

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from lsst.ctrl.rapid.instruments import CameraDetector

FOCAL_PLANE_RADIUS_MM = 350.0
"""About where the farthest detectors of LSSTCam end."""

RAW_COLUMNS = 576
RAW_ROWS = 2048

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
        Zero-based place of its lower left pixel in the assembled detector, in the frame of cameraGeom.
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
    scale
        Part of each amplifier's rows and columns that is there, 0 to 1.
    shape
        Rows and columns of the trimmed, assembled detector.
    data_rows, data_columns
        Size of one amplifier's imaging area, pixels.
    prescan, overscan_columns, overscan_rows
        What is read beside it, pixels.
    segments
        The amplifiers.
    """

    scale: float
    shape: tuple[int, int]
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

    Order, places and flips of the amplifiers are cameraGeom's, and at scale 1 so are all sizes.

    Parameters
    ----------
    detector
        The detector.
    scale
        Part of each amplifier's rows and columns that is kept, 0 to 1.  Prescan stays as it is; overscan
        shrinks to 24 pixels at least.
    """
    full = detector.amplifiers[0]
    places = [place.scaled(scale) for place in detector.amplifiers]
    columns, rows, prescan = places[0].columns, places[0].rows, places[0].prescan
    return Layout(
        scale=scale,
        shape=(rows * (1 + max(p.row for p in places)), columns * (1 + max(p.column for p in places))),
        data_rows=rows,
        data_columns=columns,
        prescan=prescan,
        overscan_columns=max(_MIN_OVERSCAN, round((RAW_COLUMNS - prescan - full.columns) * scale)),
        overscan_rows=max(_MIN_OVERSCAN, round((RAW_ROWS - full.rows) * scale)),
        segments=tuple(
            Segment(
                name=f"Segment{place.name[1:]}",
                channel=channel,
                column=place.column * columns,
                row=place.row * rows,
                flip_x=place.flip_x,
                flip_y=place.flip_y,
            )
            for channel, place in enumerate(places, start=1)
        ),
    )
