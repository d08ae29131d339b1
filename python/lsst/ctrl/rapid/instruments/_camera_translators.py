"""Translators of the headers of each instrument."""

from __future__ import annotations

__all__ = (
    "LatissTranslator",
    "LsstCamSimTranslator",
    "LsstCamTranslator",
    "LsstComCamSimTranslator",
    "LsstComCamTranslator",
)

from collections.abc import MutableMapping
from typing import Any

import astropy.units as u
from astro_metadata_translator import FitsTranslator
from astropy.coordinates import Angle

from ._identity import find_day_obs
from ._lsst_translator import LsstTranslator, tai


class LsstCamTranslator(LsstTranslator):
    """LSSTCam, which left the laboratory in May 2024 and is on the telescope since March 2025."""

    instrument = "LSSTCam"
    on_telescope_since = "2025-03-01T00:00:37"
    left_pacific_time = "2024-05-01T00:00:00"
    guess_sky_from_type = False

    def to_can_see_sky(self) -> bool | None:
        return super().to_can_see_sky() if self._is_on_telescope() else False

    @classmethod
    def fix_header(
        cls,
        header: MutableMapping[str, Any],
        instrument: str,  # noqa: ARG003 - upstream's signature
        obsid: str,  # noqa: ARG003
        filename: str | None = None,  # noqa: ARG003
    ) -> bool:
        """Correct the rotator's zero point on the first nights of the camera, as the full stack does."""
        angle = header.get("ROTPA")
        if not isinstance(angle, int | float):
            return False
        day_obs = find_day_obs(header)
        if 20250301 < day_obs < 20250422:
            header["ROTPA"] = angle - 90.0
        elif day_obs == 20250422 and int(header["SEQNUM"]) < 251:
            header["ROTPA"] = float(Angle(angle - 180.0, unit=u.deg).wrap_at(180.0 * u.deg).deg)
        else:
            return False
        return True


class LsstComCamTranslator(LsstCamTranslator):
    """LSSTComCam, which left for Chile in March 2020 and was on the telescope from August 2024."""

    instrument = "LSSTComCam"
    on_telescope_since = "2024-08-24T00:00:37"
    left_pacific_time = "2020-03-01T00:00:00"

    def to_boresight_rotation_angle(self) -> Angle:
        return Angle(self._number("ROTPA") or 0.0, unit=u.deg)

    def to_physical_filter(self) -> str:
        # Some early raws give the band of the one filter that they could have had.
        if self._header.get("FILTER") in ("r", ""):
            return "empty" if self.to_datetime_begin() > tai("2020-03-13T00:00:37") else "r_03"
        return super().to_physical_filter()

    @classmethod
    def fix_header(
        cls,
        header: MutableMapping[str, Any],  # noqa: ARG003 - upstream's signature
        instrument: str,  # noqa: ARG003
        obsid: str,  # noqa: ARG003
        filename: str | None = None,  # noqa: ARG003
    ) -> bool:
        """Correct nothing."""
        return False


class LsstCamSimTranslator(LsstTranslator):
    """Simulations of LSSTCam, which pretend to be on the telescope."""

    instrument = "LSSTCamSim"

    def to_has_simulated_content(self) -> bool:
        return True


class LsstComCamSimTranslator(LsstCamSimTranslator):
    """Simulations of LSSTComCam, which pretend to be on the telescope."""

    instrument = "LSSTComCamSim"


class LatissTranslator(LsstTranslator):
    """LATISS, on the auxiliary telescope since January 2020."""

    instrument = "LATISS"
    telescope = "Rubin Auxiliary Telescope"
    geodetic = (-70.747698, -30.244728, 2663.0)
    on_telescope_since = "2020-01-01T00:00:37"

    def to_exposure_time(self) -> u.Quantity:
        return self.to_exposure_time_requested()

    def to_dark_time(self) -> u.Quantity:
        return max(super().to_dark_time(), self.to_exposure_time())

    def to_observation_type(self) -> str:
        kind = (self._text("OBSTYPE") or self._text("IMGTYPE")).lower()
        if kind == "object" and not self._is_on_telescope():
            # Science is on the sky, with coordinates.
            return "labobject"
        return "science" if kind in ("skyexp", "object") else kind or super().to_observation_type()

    def to_can_see_sky(self) -> bool | None:
        vignetted = self._text("VIGN_MIN")
        if vignetted:
            return vignetted != "FULLY"
        sees: bool | None = FitsTranslator.to_can_see_sky(self)
        return sees
