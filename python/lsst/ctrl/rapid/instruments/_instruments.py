"""The instruments as repositories know them."""

from __future__ import annotations

__all__ = ("Latiss", "LsstCam", "LsstCamSim", "LsstComCam", "LsstComCamSim", "get_instrument")

import importlib
from typing import ClassVar, override

from lsst.daf.butler import DataId
from lsst.daf.butler.registry import Registry
from lsst.pipe.base import Instrument
from lsst.utils.introspection import get_full_type_name

from ._camera import CameraDetector, load_camera
from ._filters import known_filters
from ._formatter import RawFormatter
from ._stack import has_full_stack
from ._storage import RAW_STORAGE_CLASS
from ._visits import visit_system_records

MAX_EXPOSURE = 7050123199999
"""Largest exposure id, as the full stack registers it: the last of the year 2050 with the last controller."""

VISIT_SYSTEM = 2
"""What the full stack registers: by first and last sequence number, though its visits are one-to-one."""


class LsstCam(Instrument):
    """LSSTCam, for repositories read without afw."""

    instrument_name: ClassVar[str] = "LSSTCam"
    detector_max: ClassVar[int] = 1000
    raw_definition = ("raw", ("instrument", "exposure", "detector"), RAW_STORAGE_CLASS)

    @classmethod
    def getName(cls) -> str:
        """Return the instrument's name in the registry."""
        return cls.instrument_name

    def register(self, registry: Registry, *, update: bool = False) -> None:
        """Insert the records of the instrument, its detectors, its filters and its visit systems.

        Parameters
        ----------
        registry
            Registry of the repository.
        update
            Whether records that differ are replaced.

        Raises
        ------
        lsst.daf.butler.registry.ConflictingDefinitionError
            If a record differs and ``update`` is `False`.  Nothing is changed then.
        """
        name = self.getName()
        record: dict[str, object] = {
            "name": name,
            "class_name": get_full_type_name(self),
            "detector_max": self.detector_max,
            "exposure_max": MAX_EXPOSURE,
            "visit_max": MAX_EXPOSURE,
            "visit_system": VISIT_SYSTEM,
        }
        with registry.transaction():
            registry.syncDimensionData("instrument", record, update=update)
            for detector in load_camera(name).values():
                record = self.detector_record(detector)
                registry.syncDimensionData("detector", record, update=update)
            for physical_filter, band in known_filters(name).items():
                record = {"instrument": name, "name": physical_filter, "band": band}
                registry.syncDimensionData("physical_filter", record, update=update)
            for system in visit_system_records(name, registry.dimensions):
                registry.syncDimensionData("visit_system", system, update=update)

    def detector_record(self, detector: CameraDetector) -> dict[str, object]:
        """Return the fields of the record of a detector."""
        return {
            "instrument": self.getName(),
            "id": detector.id,
            "full_name": detector.name,
            "name_in_raft": detector.slot,
            "raft": detector.raft,
            "purpose": str(detector.purpose),
        }

    def getRawFormatter(self, dataId: DataId) -> type[RawFormatter]:  # noqa: ARG002, N803 - upstream's signature
        """Return the formatter of raws."""
        return RawFormatter


class LsstCamSim(LsstCam):
    """Simulations of LSSTCam."""

    instrument_name = "LSSTCamSim"


class LsstComCam(LsstCam):
    """LSSTComCam."""

    instrument_name = "LSSTComCam"


class LsstComCamSim(LsstCam):
    """Simulations of LSSTComCam."""

    instrument_name = "LSSTComCamSim"


class Latiss(LsstCam):
    """LATISS."""

    instrument_name = "LATISS"
    detector_max = 1

    @override
    def detector_record(self, detector: CameraDetector) -> dict[str, object]:
        # Its one detector is in no raft.
        return {**super().detector_record(detector), "name_in_raft": detector.name, "raft": None}


_INSTRUMENTS = {cls.instrument_name: cls for cls in (LsstCam, LsstCamSim, LsstComCam, LsstComCamSim, Latiss)}


def get_instrument(name: str) -> Instrument:
    """Return an instrument by its name in the registry.

    Parameters
    ----------
    name
        Like ``LSSTCam``.

    Returns
    -------
    instrument
        The full stack's own class where that can be imported, else ours.

    Raises
    ------
    LookupError
        If it is not of the LSSTCam family.
    """
    try:
        ours = _INSTRUMENTS[name]
    except KeyError:
        known = ", ".join(_INSTRUMENTS)
        raise LookupError(f"There is no instrument {name!r}; known are {known}.") from None
    if not has_full_stack():
        return ours()
    theirs: type[Instrument] = getattr(importlib.import_module("lsst.obs.lsst"), ours.__name__)
    return theirs()
