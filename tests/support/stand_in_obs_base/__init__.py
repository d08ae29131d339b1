"""A stand-in for ``lsst.obs.base``: the interface by which visits are defined, with a simple camera.

A camera is a `dict` that has, for each detector, its place relative to the boresight, and half the size of
all, degrees.
"""

from __future__ import annotations

from abc import abstractmethod

from lsst.daf.butler.registry import DataIdError
from lsst.pipe.base import Instrument as InstrumentBase


class Instrument(InstrumentBase):
    @abstractmethod
    def getCamera(self):
        raise NotImplementedError


def loadCamera(butler, dataId, *, collections=None):
    try:
        dataId = butler.registry.expandDataId(dataId, dimensions=butler.dimensions["exposure"].minimal_group)
    except DataIdError as err:
        raise LookupError(str(err)) from err
    try:
        return butler.get("camera", dataId=dataId, collections=collections), True
    except LookupError:
        return Instrument.fromName(dataId["instrument"], butler.registry).getCamera(), False
