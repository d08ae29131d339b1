"""Translation of headers."""

from __future__ import annotations

import astropy.units as u
from astro_metadata_translator import FitsTranslator, cache_translation
from astropy.coordinates import Angle, EarthLocation, SkyCoord
from astropy.time import TimeDelta

DAY_BEGINS = TimeDelta(20 * 3600, format="sec", scale="tai")


class HillCamTranslator(FitsTranslator):
    name = "HillCam"
    supported_instrument = "HillCam"
    _const_map = {
        "telescope": "Hill Telescope",
        "boresight_rotation_coord": "sky",
        "boresight_airmass": None,
        "detector_group": "",
        "detector_serial": "",
        "temperature": None,
        "pressure": None,
        "relative_humidity": None,
        "altaz_begin": None,
        "science_program": "hills",
    }
    _trivial_map = {
        "exposure_id": "FRAMENO",
        "visit_id": "FRAMENO",
        "observation_counter": "FRAMENO",
        "observation_id": "FRAMEID",
        "detector_num": "CHIP",
        "detector_name": "CHIPNAME",
        "detector_exposure_id": "FRAMENO",
        "physical_filter": "FILT",
        "object": "OBJECT",
        "exposure_time": ("EXPOSED", {"unit": u.s}),
        "exposure_time_requested": ("ASKED", {"unit": u.s}),
        "dark_time": ("EXPOSED", {"unit": u.s}),
        "exposure_group": "BLOCK",
    }

    @cache_translation
    def to_instrument(self):
        return {"HILL-1": "HillCam"}.get(self._header.get("INSTRUME"), "")

    @cache_translation
    def to_location(self):
        return EarthLocation.from_geodetic(20.0, 45.0, 900.0)

    @cache_translation
    def to_observation_type(self):
        return "science" if self._header["OBJECT"] != "ZERO" else "bias"

    @cache_translation
    def to_tracking_radec(self):
        if self.to_observation_type() == "bias":
            return None
        return SkyCoord(self._header["RADEG"], self._header["DECDEG"], unit=u.deg, frame="icrs")

    @cache_translation
    def to_boresight_rotation_angle(self):
        return Angle(self._header.get("ROTDEG", 0.0), unit=u.deg)

    @classmethod
    def observing_date_to_offset(cls, observing_date):
        return DAY_BEGINS
