"""The arithmetic of the quick reduction: from the segments of a raw to the planes of a detector."""

from __future__ import annotations

__all__ = ("Calibration", "Calibrations", "Detector", "ReadOut", "reduce_detector")

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from lsst.ctrl.rapid.instruments import RawSegment

from ._amplifier_values import AmplifierValues
from ._fused import reduce_amplifier
from ._masks import plane_bit

type Pixels = np.ndarray[Any, np.dtype[np.float32]]


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


@dataclasses.dataclass(frozen=True, slots=True)
class Calibration:
    """What is subtracted from an assembled detector; only read.

    Attributes
    ----------
    pixels
        ADU or electrons; of the detector's shape.
    in_electrons
        Whether they are electrons.
    """

    pixels: Pixels
    in_electrons: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Calibrations:
    """What is corrected, as `QuickIsrTask` and its configuration say; only read.

    Attributes
    ----------
    bias, dark
        The bias structure, and the dark current of a second; `None` for no correction.
    flat
        Relative; of the detector's shape, `None` for no correction.
    dark_time
        Seconds.
    min_flat, max_dark
        A response below, or a dark current (ADU per second) above, is that of a bad pixel.
    """

    bias: Calibration | None
    dark: Calibration | None
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
    if sum(readout.segment.amplifier.bbox.area for readout in readouts) < shape[0] * shape[1]:
        detector.image.fill(np.nan)
        detector.variance.fill(np.nan)
        detector.mask.fill(plane_bit("NO_DATA"))
    corrections = tuple(
        np.full((1, shape[1]), neutral, np.float32)
        if found is None
        else np.ascontiguousarray(found, np.float32)
        for found, neutral in (
            (calibrations.bias and calibrations.bias.pixels, 0.0),
            (calibrations.dark and calibrations.dark.pixels, 0.0),
            (calibrations.flat, 1.0),
        )
    )
    planes = detector.image, detector.variance, detector.mask
    for readout in readouts:
        _reduce(readout, planes, corrections, calibrations)
    return detector


def _reduce(
    readout: ReadOut,
    planes: tuple[np.ndarray[Any, Any], ...],
    corrections: tuple[Pixels, ...],
    calibrations: Calibrations,
) -> None:
    """Reduce one amplifier into its place."""
    amplifier, values = readout.segment.amplifier, readout.values
    geometry = amplifier.unassembled_raw_geometry
    assert geometry is not None, "A raw's amplifiers have their raw geometry."
    bias_in_adu, dark_in_adu = (
        1.0 / values.electrons_per_adu if found is not None and found.in_electrons else 1.0
        for found in (calibrations.bias, calibrations.dark)
    )
    # Without a dark, or without a flat, no pixel is bad for it, whatever the limits are.
    max_dark = calibrations.max_dark / dark_in_adu if calibrations.dark is not None else np.inf
    min_flat = calibrations.min_flat if calibrations.flat is not None else -np.inf
    reduce_amplifier(
        *planes,
        np.ascontiguousarray(readout.segment.array),
        readout.level,
        *corrections,
        (amplifier.bbox.y.start, amplifier.bbox.x.start),
        (geometry.data_bbox.y.start, geometry.data_bbox.x.start),
        (geometry.data_bbox.y.size, geometry.data_bbox.x.size),
        (geometry.flip_y, geometry.flip_x),
        np.array(
            [
                values.gain,
                values.gain * dark_in_adu * calibrations.dark_time,
                readout.read_noise**2,
                values.saturation,
                max_dark,
                min_flat,
                bias_in_adu,
            ],
            np.float32,
        ),
        (plane_bit("BAD"), plane_bit("SAT")),
    )
