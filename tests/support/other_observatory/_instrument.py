"""The instrument."""

from __future__ import annotations

from types import SimpleNamespace

from lsst.pipe.base import Instrument
from lsst.utils.introspection import get_full_type_name

from ._formatter import HillCamFormatter
from ._translator import HillCamTranslator

DETECTORS = {number: f"Chip{number}" for number in range(6)}


class HillCam(Instrument):
    raw_definition = ("raw", ("instrument", "exposure", "detector"), "NumpyArray")
    translatorClass = HillCamTranslator
    filterDefinitions = (
        SimpleNamespace(physical_filter="hill-V", band="v"),
        SimpleNamespace(physical_filter="hill-R", band="r"),
    )

    @classmethod
    def getName(cls):
        return "HillCam"

    def register(self, registry, *, update=False):
        with registry.transaction():
            registry.syncDimensionData(
                "instrument",
                {
                    "name": self.getName(),
                    "class_name": get_full_type_name(self),
                    "detector_max": 6,
                    "visit_max": 10**9,
                    "exposure_max": 10**9,
                },
                update=update,
            )
            for number, name in DETECTORS.items():
                registry.syncDimensionData(
                    "detector",
                    {"instrument": self.getName(), "id": number, "full_name": name},
                    update=update,
                )
            for definition in self.filterDefinitions:
                registry.syncDimensionData(
                    "physical_filter",
                    {
                        "instrument": self.getName(),
                        "name": definition.physical_filter,
                        "band": definition.band,
                    },
                    update=update,
                )

    def getRawFormatter(self, dataId):
        return HillCamFormatter


class HillCamWithMoreFilters(HillCam):
    """What a later version of the package would register under the same name."""

    filterDefinitions = (
        SimpleNamespace(physical_filter="hill-V", band="visible"),
        SimpleNamespace(physical_filter="hill-I", band="i"),
    )


class HillSpectrograph(HillCam):
    raw_definition = ("rawSpectrum", ("instrument", "exposure", "detector"), "NumpyArray")
