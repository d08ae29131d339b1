"""The arithmetic of the quick reduction: from the segments of a raw to the planes of a detector."""

from __future__ import annotations

__all__ = ("Calibrations", "Detector", "ReadOut", "reduce_detector")

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lsst.ctrl.rapid.instruments import RawSegment
from lsst.images import Box

from ._amplifier_values import AmplifierValues
from ._masks import plane_bit

type Pixels = np.ndarray[Any, np.dtype[np.float32]]
type Flags = np.ndarray[Any, np.dtype[np.bool_]]

_BLOCK = 1 << 17
"""Pixels that are reduced at a time: few enough to stay in a processor's cache from step to step."""


@dataclasses.dataclass(frozen=True, slots=True)
class Detector:
    """The planes of an assembled detector; all of shape ``(rows, columns)``."""

    image: Pixels
    variance: Pixels
    mask: np.ndarray[Any, np.dtype[np.uint8]]


@dataclasses.dataclass(frozen=True, slots=True)
class ReadOut:
    """An amplifier's part of a raw, and what is known of it.

    Attributes
    ----------
    segment
        Its pixels, ADU.
    level
        Zero level of each row of its data section, ADU.
    values
        Its gain and saturation.
    read_noise
        Electrons.
    """

    segment: RawSegment
    level: Pixels
    values: AmplifierValues
    read_noise: float

    @property
    def box(self) -> Box:
        """The amplifier's place in the detector."""
        return self.segment.amplifier.bbox


@dataclasses.dataclass(frozen=True, slots=True)
class Calibrations:
    """What is corrected, as `QuickIsrTask` and its configuration say; only read.

    Attributes
    ----------
    bias, dark, flat
        ADU, ADU per second, relative; of the detector's shape, `None` for no correction.
    dark_time
        Seconds.
    min_flat, max_dark
        A response below, or a dark current above, is that of a bad pixel.
    """

    bias: Pixels | None
    dark: Pixels | None
    flat: Pixels | None
    dark_time: float
    min_flat: float
    max_dark: float


def reduce_detector(
    shape: tuple[int, int], readouts: Sequence[ReadOut], calibrations: Calibrations
) -> Detector:
    """Reduce the amplifiers of a detector; `QuickIsrTask` has the formulas.

    Parameters
    ----------
    shape
        Rows and columns of the detector.
    readouts
        Its amplifiers, which do not overlap; not modified.
    calibrations
        What is corrected.

    Returns
    -------
    detector
        Electrons, with ``BAD`` and ``SAT``; where no amplifier is, NaN and ``NO_DATA``.
    """
    detector = Detector(np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.uint8))
    if sum(readout.box.area for readout in readouts) < shape[0] * shape[1]:
        detector.image.fill(np.nan)
        detector.variance.fill(np.nan)
        detector.mask.fill(plane_bit("NO_DATA"))
    for strip in _strips(readouts):
        strip.reduce(detector, calibrations)
    return detector


def _strips(readouts: Sequence[ReadOut]) -> Iterator[_Strip]:
    """Yield the amplifiers, those side by side together: long rows take less time than short ones."""
    strip: list[ReadOut] = []
    for readout in sorted(readouts, key=lambda readout: (readout.box.y.start, readout.box.x.start)):
        if strip and (strip[-1].box.y, strip[-1].box.x.stop) != (readout.box.y, readout.box.x.start):
            yield _Strip(strip)
            strip = []
        strip.append(readout)
    if strip:
        yield _Strip(strip)


class _Part:
    """The data of one amplifier in a strip of them that starts at a column of the detector."""

    def __init__(self, readout: ReadOut, first_column: int) -> None:
        geometry = readout.segment.amplifier.unassembled_raw_geometry
        assert geometry is not None, "A raw's amplifiers have their raw geometry."
        rows, columns = geometry.data_bbox.y, geometry.data_bbox.x
        turned = slice(None, None, -1 if geometry.flip_y else 1)
        self._pixels = readout.segment.array[rows.start : rows.stop][turned]
        self._level = readout.level[turned, np.newaxis]
        self._data = slice(columns.start, columns.stop)
        self._mirrored = slice(None, None, -1 if geometry.flip_x else 1)
        start = readout.box.x.start - first_column
        self._place = slice(start, start + readout.box.x.size)

    def put_signal(self, rows: slice, image: Pixels) -> None:
        """Set the amplifier's part of rows of the strip to the signal, ADU above zero."""
        # Whole rows, mirrored last: numpy is slow at converting what does not lie in a row.
        signal = self._pixels[rows].astype(np.float32, order="C")
        signal -= self._level[rows]
        image[:, self._place] = signal[:, self._data][:, self._mirrored]


class _Strip:
    """Amplifiers side by side; what differs between them is a row with a value for each column."""

    def __init__(self, readouts: Sequence[ReadOut]) -> None:
        boxes = [readout.box for readout in readouts]
        self._readouts = readouts
        self._rows = boxes[0].y
        self._columns = slice(boxes[0].x.start, boxes[-1].x.stop)
        self._widths = [box.x.size for box in boxes]
        self._parts = [_Part(readout, self._columns.start) for readout in readouts]
        self._gain = self._row([readout.values.gain for readout in readouts])
        self._saturation = self._row([readout.values.saturation for readout in readouts])
        self._noise = self._row([readout.read_noise**2 for readout in readouts])

    def _row(self, values: list[float]) -> Pixels:
        return np.repeat(np.array(values, dtype=np.float32), self._widths)

    def reduce(self, detector: Detector, calibrations: Calibrations) -> None:
        """Reduce the amplifiers into their place."""
        dark_gain = self._row([readout.values.gain * calibrations.dark_time for readout in self._readouts])
        height = max(1, _BLOCK // self._gain.size)
        for start in range(self._rows.start, self._rows.stop, height):
            rows = slice(start, min(start + height, self._rows.stop))
            place = rows, self._columns
            image, variance, mask = detector.image[place], detector.variance[place], detector.mask[place]
            for part in self._parts:
                part.put_signal(slice(rows.start - self._rows.start, rows.stop - self._rows.start), image)
            saturated = image >= self._saturation
            bad = np.zeros(image.shape, dtype=np.bool_)
            if calibrations.bias is not None:
                image -= _usable(calibrations.bias[place], 0.0, bad)
            image *= self._gain
            np.maximum(image, np.float32(0.0), out=variance)
            variance += self._noise
            if calibrations.dark is not None:
                dark = _usable(calibrations.dark[place], 0.0, bad)
                bad |= dark > calibrations.max_dark
                image -= dark * dark_gain
            if calibrations.flat is not None:
                flat = _alive(_usable(calibrations.flat[place], 1.0, bad), calibrations.min_flat, bad)
                image /= flat
                variance /= flat * flat
            np.multiply(bad, plane_bit("BAD"), out=mask)
            mask |= np.multiply(saturated, plane_bit("SAT"))


def _usable(calibration: Pixels, neutral: float, bad: Flags) -> Pixels:
    """Return a calibration with a neutral value where it is not finite, and note those pixels as bad."""
    pixels = np.asarray(calibration, dtype=np.float32)
    finite = np.isfinite(pixels)
    if finite.all():
        return pixels
    bad |= ~finite
    return np.where(finite, pixels, np.float32(neutral))


def _alive(flat: Pixels, least: float, bad: Flags) -> Pixels:
    """Return a flat that is 1 where the response is too small, and note those pixels as bad."""
    dead = flat < least
    at = np.flatnonzero(dead)
    if at.size == 0:
        return flat
    bad |= dead
    # Most blocks have some dead pixels: numpy is much faster at setting few than at choosing among all.
    alive = flat.copy(order="C")
    alive.reshape(-1)[at] = 1.0
    return alive
