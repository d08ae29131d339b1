"""From a raw to an image in electrons: overscan, gain, bias, dark, flat, assembly."""

# The fields of pex_config have no annotations.
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

__all__ = ("QuickIsrConfig", "QuickIsrConnections", "QuickIsrTask")

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import astropy.units as u
import numpy as np

from lsst.ctrl.rapid._frame import FRAME_KEY, PIXEL_FRAME
from lsst.ctrl.rapid.instruments import RawImage, RawSegment, UncompressedFormatter
from lsst.daf.butler import FormatterV2
from lsst.images import Image, Mask, MaskedImage
from lsst.pex.config import ChoiceField, Field
from lsst.pipe.base import (
    InputQuantizedConnection,
    OutputQuantizedConnection,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantumContext,
    Struct,
)
from lsst.pipe.base.connectionTypes import Input, Output, PrerequisiteInput

from ._amplifier_values import amplifier_values
from ._detector_reduction import Calibration, Calibrations, ReadOut, reduce_detector
from ._masks import MASK_SCHEMA, grow
from ._observation import Observation
from ._overscan import measure_overscan

_DETECTOR = ("instrument", "exposure", "detector")


class QuickIsrConnections(PipelineTaskConnections, dimensions=_DETECTOR):
    """Inputs and outputs of `QuickIsrTask`; calibrations whose switch is off are not asked for."""

    raw = Input(name="raw", storageClass="RapidRaw", dimensions=_DETECTOR, doc="Raw of one detector, ADU.")
    bias = PrerequisiteInput(
        name="bias",
        storageClass="ImageV2",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        doc="Bias structure of the assembled detector, ADU or electrons.",
    )
    dark = PrerequisiteInput(
        name="dark",
        storageClass="ImageV2",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        doc="Dark current of the assembled detector in a second, ADU or electrons.",
    )
    flat = PrerequisiteInput(
        name="flat",
        storageClass="ImageV2",
        dimensions=("instrument", "detector", "physical_filter"),
        isCalibration=True,
        doc="Response of the assembled detector relative to its mean.",
    )
    amplifier_gain = PrerequisiteInput(
        name="amplifier_gain",
        storageClass="StructuredDataDict",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        minimum=0,
        doc="Gain (e-/ADU) and read noise (e-) of each amplifier; nominal values serve where it is absent.",
    )
    image = Output(
        name="quick_isr_image",
        storageClass="MaskedImageV2",
        dimensions=_DETECTOR,
        doc="Assembled detector, electrons, with mask and variance.",
    )

    def __init__(self, *, config: QuickIsrConfig) -> None:
        super().__init__(config=config)
        if not config.doBias:
            del self.bias
        if not config.doDark:
            del self.dark
        if not config.doFlat:
            del self.flat
        if not config.doGain:
            del self.amplifier_gain


class QuickIsrConfig(PipelineTaskConfig, pipelineConnections=QuickIsrConnections):
    """Which corrections are made, and what counts as bad."""

    doBias = Field[bool](doc="Subtract the bias structure?", default=True)
    doDark = Field[bool](doc="Subtract the dark current?", default=True)
    doFlat = Field[bool](doc="Divide by the flat?", default=True)
    doGain = Field[bool](
        doc="Convert to electrons? Otherwise all is as if one ADU were one electron.",
        default=True,
    )
    overscan = ChoiceField[str](
        doc="How a row's zero level is found from its serial overscan.",
        allowed={"median": "Median of the row.", "mean": "Mean of the row without outliers."},
        default="median",
    )
    measureReadNoise = Field[bool](
        doc="Take the read noise from the overscan? Otherwise from amplifier_gain, or its nominal value.",
        default=True,
    )
    fullWell = Field[float](
        doc="Signal (electrons; ADU without doGain) of a saturated pixel; 0 leaves only the nominal limit.",
        default=120_000.0,
        check=lambda value: value >= 0.0,
    )
    growSaturation = Field[int](
        doc="Pixels by which saturated areas are grown.", default=1, check=lambda value: value >= 0
    )
    minFlat = Field[float](doc="Response below which a pixel is dead.", default=0.2)
    maxDark = Field[float](doc="Dark current (ADU per second) above which a pixel is hot.", default=5.0)


class QuickIsrTask(PipelineTask):
    """Remove the signature of the detector from a raw, as fast as can be without losing what is looked at.

    Notes
    -----
    Signal in electrons is ``gain * (raw - overscan - bias)``, its variance that signal (where positive) plus
    the square of the read noise; then the dark current of the dark time is subtracted and both are divided by
    the flat (the variance by its square).

    Bias and dark have a unit, ADU or electrons; a dark is that of a second, whether its unit says so or not.
    One without a unit counts as ADU, and the log says so.  A flat is relative, whatever its unit.
    """

    ConfigClass: ClassVar[type[QuickIsrConfig]] = QuickIsrConfig
    _DefaultName: ClassVar[str] = "quickIsr"
    output_formatters: ClassVar[Mapping[str, type[FormatterV2]]] = {"image": UncompressedFormatter}
    config: QuickIsrConfig

    def runQuantum(
        self,
        butlerQC: QuantumContext,
        inputRefs: InputQuantizedConnection,
        outputRefs: OutputQuantizedConnection,
    ) -> None:
        """Read the inputs of a quantum, run, and write the image."""
        inputs = butlerQC.get(inputRefs)
        observation = Observation.of_quantum(butlerQC)
        butlerQC.put(self.run(**inputs, observation=observation), outputRefs)

    def run(
        self,
        raw: RawImage,
        bias: Image | None = None,
        dark: Image | None = None,
        flat: Image | None = None,
        amplifier_gain: Mapping[str, Mapping[str, float]] | None = None,
        *,
        observation: Observation | None = None,
    ) -> Struct:
        """Reduce one raw.

        Parameters
        ----------
        raw
            Raw of one detector, ADU; not modified, as no input is.
        bias, dark, flat
            Calibrations of the assembled detector; `None` makes no correction.
        amplifier_gain
            ``gain`` (e-/ADU) and ``read_noise`` (e-) of each amplifier by name.
        observation
            What is known of the exposure; for messages and for the metadata of the image.

        Returns
        -------
        result
            With ``image``: `~lsst.images.MaskedImage`, float32, electrons, with the mask planes ``BAD``,
            ``SAT`` and ``NO_DATA``; pixels that no amplifier covers are NaN.

        Raises
        ------
        ValueError
            If a calibration has another shape than the detector or a unit that is none of a signal, or if a
            gain or the dark time is unknown.
        """
        where = observation or Observation(raw.instrument, 0, raw.detector)
        calibrations = Calibrations(
            bias=self._calibration("bias", bias, raw, where),
            dark=self._calibration("dark", dark, raw, where),
            flat=_pixels("flat", flat, raw, where),
            dark_time=_dark_time(raw, where) if dark is not None else 0.0,
            min_flat=self.config.minFlat,
            max_dark=self.config.maxDark,
        )
        readouts = [self._measure(segment, amplifier_gain, str(where)) for segment in raw.segments]
        _check_gains(calibrations, readouts, str(where))
        detector = reduce_detector(raw.bbox.shape, readouts, calibrations)
        grow(detector.mask, "SAT", self.config.growSaturation)

        unit = u.electron if self.config.doGain else u.adu
        image = MaskedImage(
            Image(detector.image, unit=unit),
            mask=Mask(detector.mask[:, :, np.newaxis], schema=MASK_SCHEMA),
            variance=Image(detector.variance, unit=unit**2),
            metadata=_metadata(where, calibrations.dark_time, readouts),
        )
        return Struct(image=image)

    def _calibration(
        self, name: str, image: Image | None, raw: RawImage, where: Observation
    ) -> Calibration | None:
        pixels = _pixels(name, image, raw, where)
        if image is None or pixels is None:
            return None
        if image.unit is None:
            self.log.info("The %s for %s has no unit; it is taken to be in ADU.", name, where)
            return Calibration(pixels)
        signal = (
            image.unit * u.s
            if name == "dark" and image.unit in (u.adu / u.s, u.electron / u.s)
            else image.unit
        )
        if signal not in (u.adu, u.electron):
            raise ValueError(
                f"The {name} for {where} is in {image.unit}; certify a {name} in ADU or in electrons."
            )
        return Calibration(pixels, in_electrons=signal == u.electron)

    def _measure(
        self,
        segment: RawSegment,
        amplifier_gain: Mapping[str, Mapping[str, float]] | None,
        where: str,
    ) -> ReadOut:
        values = amplifier_values(
            segment.amplifier,
            amplifier_gain,
            do_gain=self.config.doGain,
            measure_noise=self.config.measureReadNoise,
            full_well=self.config.fullWell,
            where=where,
        )
        overscan = measure_overscan(segment, "mean" if self.config.overscan == "mean" else "median")
        noise = values.read_noise if values.read_noise is not None else overscan.noise * values.gain
        return ReadOut(segment, overscan.level, values, noise)


def _check_gains(calibrations: Calibrations, readouts: Sequence[ReadOut], where: str) -> None:
    """Refuse a calibration in electrons where an amplifier's gain, and so its ADU, is not known."""
    in_electrons = any(found and found.in_electrons for found in (calibrations.bias, calibrations.dark))
    for readout in readouts:
        if in_electrons and not readout.values.electrons_per_adu > 0.0:
            raise ValueError(
                f"Amplifier {readout.segment.amplifier.name} of {where} has no gain, and its bias or dark is "
                "in electrons; certify an amplifier_gain that names it, or calibrations in ADU."
            )


def _pixels(
    name: str, calibration: Image | None, raw: RawImage, where: Observation
) -> np.ndarray[Any, Any] | None:
    if calibration is None:
        return None
    if calibration.array.shape != tuple(raw.bbox.shape):
        raise ValueError(
            f"The {name} for {where} has {_size(calibration.array.shape)} pixels but the raw has "
            f"{_size(tuple(raw.bbox.shape))}; certify a {name} that was made for this detector's readout."
        )
    return calibration.array


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in reversed(shape))


def _dark_time(raw: RawImage, observation: Observation) -> float:
    """Return the seconds in which dark current was collected: by the header first, then by the registry."""
    for value in (
        raw.header.get("DARKTIME"),
        raw.header.get("EXPTIME"),
        observation.dark_time,
        observation.exposure_time,
    ):
        if isinstance(value, int | float) and np.isfinite(value) and value >= 0.0:
            return float(value)
    raise ValueError(
        f"The dark time of {observation} is unknown (no DARKTIME or EXPTIME in the header); "
        "mend the header or run quickIsr with doDark=False."
    )


def _metadata(observation: Observation, dark_time: float, readouts: Sequence[ReadOut]) -> dict[str, Any]:
    facts = {
        "instrument": observation.instrument,
        "exposure": observation.exposure,
        "detector": observation.detector,
        "physical_filter": observation.physical_filter,
        "observation_type": observation.observation_type,
        "exposure_time": observation.exposure_time,
        "dark_time_subtracted": dark_time,
        "mean_gain": float(np.mean([readout.values.gain for readout in readouts])) if readouts else None,
        "mean_read_noise": float(np.mean([readout.read_noise for readout in readouts])) if readouts else None,
        FRAME_KEY: PIXEL_FRAME,
    }
    return {key: value for key, value in facts.items() if value is not None}
