"""What the camera takes: kinds of exposure, their order, and the names and numbers that they get."""

from __future__ import annotations

__all__ = ("ExposurePlan", "ImageType", "day_obs_of", "image_types")

import dataclasses
import datetime
import enum
import itertools
from collections.abc import Iterator

from lsst.ctrl.rapid.instruments import compute_exposure_id

_CONTROLLER = "S"
_CAMERA_CODES = {"LSSTCam": "MC", "LSSTComCam": "CC", "LATISS": "AT"}


class ImageType(enum.StrEnum):
    """Kind of an exposure, as the registry's ``observation_type`` has it."""

    SCIENCE = "science"
    BIAS = "bias"
    DARK = "dark"
    FLAT = "flat"


@dataclasses.dataclass(frozen=True, slots=True)
class ExposurePlan:
    """One exposure that the camera is about to take.

    Attributes
    ----------
    instrument
        Name of the instrument in the registry.
    type
        Kind of the exposure.
    day_obs
        Observing day, ``YYYYMMDD``: the date 12 hours before UTC when the exposure begins.
    seq_num
        Number within the day.
    exposure_time
        Nominal exposure time, seconds; zero for a bias.
    physical_filter
        Name of the filter in the beam.
    flat_level
        Mean signal of a flat, electrons for each pixel.
    """

    instrument: str
    type: ImageType
    day_obs: int
    seq_num: int
    exposure_time: float
    physical_filter: str
    flat_level: float = 0.0

    @property
    def camera_code(self) -> str:
        """Two letters for the camera, as in an OBSID: ``MC``, ``CC`` or ``AT``."""
        return _CAMERA_CODES[self.instrument.removesuffix("Sim")]

    @property
    def controller(self) -> str:
        """Letter of the controller, as in an OBSID: ``S``, for simulated."""
        return _CONTROLLER

    @property
    def obs_id(self) -> str:
        """Name of the exposure, like ``MC_S_20260315_000051``."""
        return f"{self.camera_code}_{self.controller}_{self.day_obs}_{self.seq_num:06d}"

    @property
    def id(self) -> int:
        """Number of the exposure in the registry."""
        return compute_exposure_id(self.day_obs, self.seq_num, self.controller)


def image_types(sequence: tuple[ImageType, ...], exposures: int | None) -> Iterator[ImageType]:
    """Yield the kinds of exposure in order, cycling through the sequence; each flat is taken twice in a row.

    Parameters
    ----------
    sequence
        What one cycle consists of.
    exposures
        How many exposures in all; a last pair of flats may be cut.  `None` for no end.
    """
    once = tuple(kind for kind in sequence for _ in range(2 if kind is ImageType.FLAT else 1))
    yield from itertools.islice(itertools.cycle(once), exposures)


def day_obs_of(begins: float) -> int:
    """Return the ``day_obs`` of a moment.

    Parameters
    ----------
    begins
        When the exposure begins, UNIX seconds.
    """
    noon = datetime.datetime.fromtimestamp(begins, datetime.UTC) - datetime.timedelta(hours=12)
    return int(noon.strftime("%Y%m%d"))
