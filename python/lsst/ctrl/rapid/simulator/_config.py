"""What a simulation is asked for."""

from __future__ import annotations

__all__ = ("SimulationConfig",)

import datetime
from fractions import Fraction
from typing import Annotated, Any

import pydantic

from lsst.ctrl.rapid.instruments import Purpose, load_camera

from ._faults import Burst, Fault, OutOfOrder
from ._sequence import ImageType

_FILTERS = {"LSSTCam": "r_57", "LSSTComCam": "r_03", "LATISS": "SDSSr_65mm"}

_LONGEST_NUMBER = 20


def _number(value: Any) -> Any:
    if isinstance(value, str):
        if len(value) > _LONGEST_NUMBER or "e" in value.lower():
            # The exponent of a fraction is worked out to the last digit, however many there are.
            raise ValueError(f"{value[:_LONGEST_NUMBER]!r} is not a number or a fraction like 1/8")
        try:
            return float(Fraction(value.strip()))
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"{value!r} is not a number or a fraction like 1/8") from None
    return value


def _words(value: Any) -> Any:
    return tuple(word.strip() for word in value.split(",")) if isinstance(value, str) else value


class SimulationConfig(pydantic.BaseModel):
    """A run of the simulated camera.

    Attributes
    ----------
    instrument
        Name in the registry.  The names of the real cameras are allowed; raws are marked as simulated all the
        same.
    exposures
        How many exposures are taken; `None` for no end.
    cadence
        Seconds from one shutter close to the next; 0 for as fast as they can be made.
    detectors
        Numbers of the detectors that are read out, in this order; `None` for all science detectors.
    scale
        Part of each amplifier's rows and columns that is simulated, 1/16 to 1, as a number or text like
        ``1/8``.
    compress
        Whether images are tile-compressed (RICE_1, a tile for each row, as those of the real cameras).
    sequence
        Kinds of exposure in order, cycled through, also as text like ``science,bias``; a flat is always a
        pair.
    exposure_time
        Nominal exposure time of science exposures and darks, seconds.  No time is spent on it.
    flat_time
        Nominal exposure time of flats, seconds.
    flat_level
        Mean signal of flats, electrons for each pixel.
    filter
        Name of the physical filter; `None` for the camera's r.
    seed
        All that is random depends on it.
    start
        When the first shutter closes, UTC unless it says otherwise, for headers that do not depend on when
        the simulation is run; `None` for the real time.
    first_seq_num
        Number of the first exposure; `None` for the first that the folder does not have yet on that day.
    faults
        What goes wrong between the camera and the folder.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    instrument: str = "LSSTCamSim"
    exposures: pydantic.PositiveInt | None = 1
    cadence: pydantic.NonNegativeFloat = 0.0
    detectors: tuple[int, ...] | None = None
    scale: Annotated[float, pydantic.BeforeValidator(_number), pydantic.Field(ge=1 / 16, le=1)] = 1.0
    compress: bool = False
    sequence: Annotated[
        tuple[ImageType, ...], pydantic.BeforeValidator(_words), pydantic.Field(min_length=1)
    ] = (ImageType.SCIENCE,)
    exposure_time: pydantic.PositiveFloat = 30.0
    flat_time: pydantic.PositiveFloat = 10.0
    flat_level: Annotated[float, pydantic.Field(gt=0, le=100_000)] = 40_000.0
    filter: str | None = None
    seed: pydantic.NonNegativeInt = 0
    start: datetime.datetime | None = None
    first_seq_num: Annotated[int, pydantic.Field(ge=0, lt=100_000)] | None = None
    faults: tuple[Fault, ...] = ()

    @pydantic.field_validator("instrument")
    @classmethod
    def _has_camera(cls, value: str) -> str:
        try:
            load_camera(value)
        except LookupError as error:
            raise ValueError(str(error)) from None
        return value

    @pydantic.model_validator(mode="after")
    def _has_detectors(self) -> SimulationConfig:
        camera = load_camera(self.instrument)
        numbers = self.detectors if self.detectors is not None else ()
        unknown = [number for number in numbers if number not in camera]
        if unknown:
            raise ValueError(f"{self.instrument} has no detector {', '.join(map(str, unknown))}.")
        guiders = [number for number in numbers if camera[number].purpose is Purpose.GUIDER]
        if guiders:
            raise ValueError(f"Guiders are not simulated: leave out detector {', '.join(map(str, guiders))}.")
        if self.detectors is not None and len(set(numbers)) != max(1, len(numbers)):
            raise ValueError("Give at least one detector, and each only once.")
        return self

    @pydantic.model_validator(mode="after")
    def _has_what_faults_name(self) -> SimulationConfig:
        last = self.exposures
        for fault in self.faults:
            if last is not None and (later := [n for n in _exposures_of(fault) if n > last]):
                raise ValueError(
                    f"Fault {fault.kind!r}: there is no exposure {later[0]}, for {last} will be taken."
                )
            if isinstance(fault, Burst | OutOfOrder) or fault.detectors is None:
                continue
            unknown = [number for number in fault.detectors if number not in self.detector_numbers]
            if unknown:
                told = ", ".join(map(str, unknown))
                raise ValueError(f"Fault {fault.kind!r}: detector {told} is not read out.")
        return self

    @property
    def detector_numbers(self) -> tuple[int, ...]:
        """Numbers of the detectors that are read out."""
        return self.detectors if self.detectors is not None else load_camera(self.instrument).science

    @property
    def physical_filter(self) -> str:
        """Name of the filter in the beam."""
        return self.filter or _FILTERS[self.instrument.removesuffix("Sim")]

    @property
    def first_close(self) -> float | None:
        """When the first shutter closes, UNIX seconds; `None` for the real time."""
        if self.start is None:
            return None
        start = self.start if self.start.tzinfo is not None else self.start.replace(tzinfo=datetime.UTC)
        return start.timestamp()

    def time_of(self, kind: ImageType) -> float:
        """Return the nominal exposure time of a kind of exposure, seconds."""
        match kind:
            case ImageType.BIAS:
                return 0.0
            case ImageType.FLAT:
                return self.flat_time
            case _:
                return self.exposure_time


def _exposures_of(fault: Fault) -> tuple[int, ...]:
    """Return the exposures that a fault names, counted from 1."""
    if isinstance(fault, Burst):
        return () if fault.first is None else (fault.first,)
    return fault.exposures or ()
