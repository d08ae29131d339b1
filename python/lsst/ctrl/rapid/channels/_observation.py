"""What a task needs to know of the exposure that it works on, as plain values."""

from __future__ import annotations

__all__ = ("Observation",)

import dataclasses

from lsst.daf.butler import DataCoordinate
from lsst.pipe.base import QuantumContext


@dataclasses.dataclass(frozen=True, slots=True)
class Observation:
    """Facts of one exposure, taken from its dimension record.

    Attributes
    ----------
    instrument
        Name of the instrument in the registry.
    exposure
        Exposure ID.
    detector
        Number of the detector; `None` for a whole exposure.
    physical_filter, observation_type
        As in the exposure record; `None` where it is not known.
    day_obs, seq_num
        Observing day (YYYYMMDD) and the exposure's number in it; `None` where not known.
    exposure_time, dark_time
        Seconds; `None` where not known.
    sky_angle
        Position angle of y on the focal plane, degrees from north through east; `None` where not known.
    """

    instrument: str
    exposure: int
    detector: int | None = None
    physical_filter: str | None = None
    observation_type: str | None = None
    day_obs: int | None = None
    seq_num: int | None = None
    exposure_time: float | None = None
    dark_time: float | None = None
    sky_angle: float | None = None

    @classmethod
    def from_data_id(cls, data_id: DataCoordinate) -> Observation:
        """Return the facts of a quantum's data ID.

        Parameters
        ----------
        data_id
            Has at least ``instrument`` and ``exposure``; the rest is filled where it carries records.
        """
        detector = int(data_id["detector"]) if "detector" in data_id.dimensions else None
        instrument, exposure = str(data_id["instrument"]), int(data_id["exposure"])
        record = data_id.records["exposure"] if data_id.hasRecords() else None
        if record is None:
            return cls(instrument, exposure, detector)
        return cls(
            instrument,
            exposure,
            detector,
            physical_filter=record.physical_filter,
            observation_type=record.observation_type,
            day_obs=record.day_obs,
            seq_num=record.seq_num,
            exposure_time=record.exposure_time,
            dark_time=record.dark_time,
            sky_angle=record.sky_angle,
        )

    @classmethod
    def of_quantum(cls, context: QuantumContext) -> Observation:
        """Return the facts of the exposure of a quantum that is being run."""
        data_id = context.quantum.dataId
        assert data_id is not None, "The quanta of these tasks have a data ID."
        return cls.from_data_id(data_id)

    def __str__(self) -> str:
        words = [f"instrument={self.instrument}", f"exposure={self.exposure}"]
        if self.detector is not None:
            words.append(f"detector={self.detector}")
        return ", ".join(words)
