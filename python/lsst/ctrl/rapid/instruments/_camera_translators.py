"""Translators of the headers of the cameras of the Simonyi Survey Telescope, and of their simulations."""

from __future__ import annotations

__all__ = (
    "LsstCamSimTranslator",
    "LsstCamTranslator",
    "LsstComCamSimTranslator",
    "LsstComCamTranslator",
)

import math
from collections.abc import MutableMapping
from typing import Any

import astropy.units as u
from astropy.coordinates import AltAz, Angle

from ._camera import load_camera
from ._identity import find_day_obs, find_seq_num, get_text
from ._lsst_translator import LsstTranslator, utc
from ._night_corrections import LSSTCAM_CORRECTIONS

_COMCAM_IN_CHILE = "2020-03-13T00:00"


class LsstCamTranslator(LsstTranslator):
    """LSSTCam, which left the laboratory in May 2024 and is on the telescope since March 2025."""

    instrument = "LSSTCam"
    on_telescope_since = "2025-03-01T00:00"
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
        """Correct what headers of some nights had wrong, as the full stack does."""
        changed = False
        if "FILTER" not in header and header.get("FILTER2") is not None:
            # Without a filter, what the test stand's neutral density wheel says means nothing.
            header["FILTER2"] = None
            changed = True
        if not header.get("DAYOBS"):
            return changed
        day_obs, seq_num = find_day_obs(header), find_seq_num(header)
        applied = [c.apply(header, day_obs, seq_num) for c in LSSTCAM_CORRECTIONS]
        return any([changed, _mend_rotation(header, day_obs, seq_num), *applied])


def _mend_rotation(header: MutableMapping[str, Any], day_obs: int, seq_num: int) -> bool:
    """Correct the rotator's zero point on the first nights of the camera on the telescope."""
    angle = header.get("ROTPA")
    if not angle or not isinstance(angle, int | float):
        return False
    if 20250301 < day_obs < 20250422:
        header["ROTPA"] = angle - 90.0
    elif day_obs == 20250422 and seq_num < 251:
        header["ROTPA"] = float(Angle(angle - 180.0, unit=u.deg).wrap_at(180.0 * u.deg).deg)
    else:
        return False
    return True


class LsstComCamTranslator(LsstCamTranslator):
    """LSSTComCam, which left for Chile in March 2020 and was on the telescope from August 2024."""

    instrument = "LSSTComCam"
    on_telescope_since = "2024-08-24T00:00"
    left_pacific_time = "2020-03-01T00:00:00"

    @classmethod
    def fix_header(
        cls,
        header: MutableMapping[str, Any],
        instrument: str,  # noqa: ARG003 - upstream's signature
        obsid: str,  # noqa: ARG003
        filename: str | None = None,  # noqa: ARG003
    ) -> bool:
        """Correct the filters, serials and rotations of raws from the laboratory, as the full stack does."""
        before = dict(header)
        name = header.get("FILTER")
        if name is None:
            header["FILTER"] = "unknown"
        elif name in ("r", ""):
            # The band of the one filter that these raws could have had.
            in_chile = cls(header).to_datetime_begin() > utc(_COMCAM_IN_CHILE)
            header["FILTER"] = "empty" if in_chile else "r_03"
        if "LSST_NUM" not in header:
            slot = get_text(header, "CCDSLOT")
            serials = {detector.slot: detector.serial for detector in load_camera(cls.instrument).values()}
            if slot in serials:
                header["LSST_NUM"] = serials[slot]
        if not isinstance(header.get("ROTPA"), int | float):
            header["ROTPA"] = 0.0
        return before != header


class LsstCamSimTranslator(LsstTranslator):
    """Simulations of LSSTCam, which pretend to be on the telescope."""

    instrument = "LSSTCamSim"

    def to_has_simulated_content(self) -> bool:
        return True


class LsstComCamSimTranslator(LsstCamSimTranslator):
    """Simulations of LSSTComCam, which pretend to be on the telescope."""

    instrument = "LSSTComCamSim"

    def to_altaz_begin(self) -> AltAz | None:
        if self.are_keys_ok(["ELSTART", "AZSTART"]):
            return super().to_altaz_begin()
        if not self.are_keys_ok(["RA", "DEC"]):
            return None
        # The times of these are not those of their pointing: nothing better can be computed.
        elevation = 45.0 * u.deg
        if self._is_on_sky():
            airmass = self._number("AMSTART")
            if airmass is None or airmass < 1.0:
                return None
            elevation = math.asin(1.0 / airmass) * u.rad
        return AltAz(0.0 * u.deg, elevation, obstime=self.to_datetime_begin(), location=self.to_location())

    @classmethod
    def fix_header(
        cls,
        header: MutableMapping[str, Any],
        instrument: str,  # noqa: ARG003 - upstream's signature
        obsid: str,  # noqa: ARG003
        filename: str | None = None,  # noqa: ARG003
    ) -> bool:
        """Complete the coordinates, as the full stack does."""
        before = dict(header)
        for card in ("RA", "DEC"):
            for moment in ("START", "END"):
                if not header.get(f"{card}{moment}") and header.get(card):
                    header[f"{card}{moment}"] = header[card]
        if not header.get("RADESYS") and header.get("RA") and header.get("DEC"):
            header["RADESYS"] = "ICRS"
        return before != header
