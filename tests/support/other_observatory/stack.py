"""The instrument as it is where the stack is installed, which knows its camera."""

from __future__ import annotations

from support import stand_in_obs_base

from ._instrument import HillCam


class HillCamWithCamera(HillCam, stand_in_obs_base.Instrument):
    def getCamera(self):
        return {"size": 0.05, "detectors": {str(n): (0.1 * n, 0.0) for n in range(6)}}

    def applyConfigOverrides(self, name, config):
        if name == "defineVisits":
            config.computeVisitRegions.active.padding = 0.02
