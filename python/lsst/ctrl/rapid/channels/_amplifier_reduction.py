"""The reduction of one amplifier into its place in the assembled detector."""

from __future__ import annotations

__all__ = ("AmplifierReducer", "AmplifierValues", "Detector", "amplifier_values", "saturation_level")

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from lsst.ctrl.rapid.instruments import RawSegment
from lsst.images.cameras import Amplifier

from ._masks import plane_bit
from ._overscan import measure_overscan

type Pixels = np.ndarray[Any, np.dtype[np.float32]]


@dataclasses.dataclass(frozen=True, slots=True)
class Detector:
    """The planes of an assembled detector while it is filled; all of shape ``(rows, columns)``."""

    image: Pixels
    variance: Pixels
    mask: np.ndarray[Any, np.dtype[np.uint8]]

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> Detector:
        """Return planes in which no pixel has data yet."""
        return cls(
            np.full(shape, np.nan, dtype=np.float32),
            np.full(shape, np.nan, dtype=np.float32),
            np.full(shape, plane_bit("NO_DATA"), dtype=np.uint8),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class AmplifierValues:
    """An amplifier's gain (e-/ADU), read noise (e-; `None`: measure it), saturation (ADU above overscan)."""

    gain: float
    read_noise: float | None
    saturation: float


def amplifier_values(
    amplifier: Amplifier,
    amplifier_gain: Mapping[str, Mapping[str, float]] | None,
    *,
    do_gain: bool,
    measure_noise: bool,
    full_well: float,
    where: str,
) -> AmplifierValues:
    """Return the values of an amplifier: from the calibration if it is in there, else nominal ones.

    Raises
    ------
    ValueError
        If the gain, or a read noise that is not to be measured, is neither here nor there.
    """
    measured: Mapping[str, float] = (amplifier_gain or {}).get(amplifier.name, {})
    nominal = amplifier.nominal_calibrations
    gain: float | None = 1.0
    if do_gain:
        gain = measured.get("gain", nominal.gain if nominal else None)
    noise: float | None = None
    if not measure_noise:
        noise = measured.get("read_noise", nominal.read_noise if nominal else None)
    if gain is None or not gain > 0.0 or (noise is None and not measure_noise):
        raise ValueError(
            f"Amplifier {amplifier.name} of {where} has no gain or read noise; certify an amplifier_gain "
            "that names it, or run quickIsr with doGain=False and measureReadNoise=True."
        )
    return AmplifierValues(gain, noise, saturation_level(amplifier, gain, full_well))


def saturation_level(amplifier: Amplifier, gain: float, full_well: float) -> float:
    """Return the signal from which a pixel counts as saturated, ADU above the overscan.

    Parameters
    ----------
    amplifier
        Its nominal saturation (ADU) is one limit, if it is known.
    gain
        Electrons per ADU.
    full_well
        The other limit, electrons; 0 for none.

    Returns
    -------
    level
        The lower of the two; infinite without either.
    """
    nominal = amplifier.nominal_calibrations
    limits = [nominal.saturation if nominal else math.nan, full_well / gain]
    return min((limit for limit in limits if limit > 0.0), default=math.inf)


@dataclasses.dataclass(frozen=True, slots=True)
class AmplifierReducer:
    """Reduces amplifiers into a detector; `QuickIsrTask` has the formulas, its configuration the limits.

    The calibrations have the detector's shape and are only read.
    """

    detector: Detector
    bias: Pixels | None
    dark: Pixels | None
    flat: Pixels | None
    dark_time: float
    overscan: Literal["median", "mean"]
    min_flat: float
    max_dark: float

    def reduce(self, segment: RawSegment, values: AmplifierValues) -> float:
        """Reduce one amplifier into its place.

        Returns
        -------
        read_noise
            The read noise that went into the variance, electrons.
        """
        geometry = segment.amplifier.unassembled_raw_geometry
        assert geometry is not None, "A raw's amplifiers have their raw geometry."
        box = segment.amplifier.bbox
        place = np.s_[box.y.start : box.y.stop, box.x.start : box.x.stop]
        image = self.detector.image[place]
        overscan = measure_overscan(segment, self.overscan)
        read_noise = values.read_noise if values.read_noise is not None else overscan.noise * values.gain

        data = segment.section(geometry.data_bbox)
        subtracted = np.subtract(data, overscan.level[:, np.newaxis], dtype=np.float32)
        image[...] = segment.oriented(subtracted)
        saturated = image >= values.saturation
        bad = np.zeros(image.shape, dtype=np.bool_)
        if self.bias is not None:
            image -= _usable(self.bias[place], 0.0, bad)
        image *= np.float32(values.gain)
        variance = self.detector.variance[place]
        np.maximum(image, 0.0, out=variance)
        variance += np.float32(read_noise**2)
        self._correct(place, values.gain, bad)

        mask = self.detector.mask[place]
        np.multiply(bad, plane_bit("BAD"), out=mask)
        mask |= np.multiply(saturated, plane_bit("SAT"))
        return read_noise

    def _correct(
        self, place: tuple[slice, slice], gain: float, bad: np.ndarray[Any, np.dtype[np.bool_]]
    ) -> None:
        """Subtract the dark current and divide by the flat, in place; note pixels not to be trusted."""
        image, variance = self.detector.image[place], self.detector.variance[place]
        if self.dark is not None:
            dark = _usable(self.dark[place], 0.0, bad)
            bad |= dark > self.max_dark
            image -= dark * np.float32(gain * self.dark_time)
        if self.flat is not None:
            flat = _usable(self.flat[place], 1.0, bad)
            dead = flat < self.min_flat
            if dead.any():
                bad |= dead
                flat = np.where(dead, np.float32(1.0), flat)
            image /= flat
            variance /= flat * flat


def _usable(calibration: Pixels, neutral: float, bad: np.ndarray[Any, np.dtype[np.bool_]]) -> Pixels:
    """Return a calibration with a neutral value where it is not finite, and note those pixels as bad."""
    pixels = np.asarray(calibration, dtype=np.float32)
    finite = np.isfinite(pixels)
    if finite.all():
        return pixels
    bad |= ~finite
    return np.where(finite, pixels, np.float32(neutral))
