"""Translation of what the headers of all the family's instruments have in common.

The rules are those of the reference page of the raws.
"""

from __future__ import annotations

__all__ = ("LsstTranslator",)

import functools
from pathlib import Path
from typing import ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import astropy.units as u
from astro_metadata_translator import FitsTranslator
from astro_metadata_translator.translators.helpers import altaz_from_degree_headers
from astropy.coordinates import AltAz, Angle, EarthLocation, SkyCoord
from astropy.time import Time, TimeDelta

from ._camera import load_camera
from ._filters import physical_filter
from ._identity import find_day_obs, get_text, identify

_SUMMIT_OFFSET = TimeDelta(12 * 3600, format="sec", scale="tai")
"""A day of observation begins this long after midnight (TAI)."""

_SIMULATED_CONTROLLERS = frozenset("HPSQ")
_BEGIN_CARDS = ("MJD-BEG", "DATE-BEG", "MJD-OBS", "DATE-OBS")


@functools.cache
def _place(longitude: float, latitude: float, metres: float) -> EarthLocation:
    return EarthLocation.from_geodetic(longitude, latitude, metres)


@functools.cache
def tai(text: str) -> Time:
    """Return the time of an ISO text, TAI."""
    return Time(text, format="isot", scale="tai")


class LsstTranslator(FitsTranslator):
    """What the headers of all instruments of the family have in common.

    Notes
    -----
    None of the classes has a ``name``, so none is offered to others who look for a translator: in a process
    with the full stack its own remain the only ones.
    """

    # The base class finds corrections of single exposures here.
    default_search_path = [str(Path(__file__).with_name("corrections"))]  # noqa: RUF012 - upstream's declaration
    instrument: ClassVar[str]
    telescope: ClassVar[str] = "Simonyi Survey Telescope"
    geodetic: ClassVar[tuple[float, float, float]] = (-70.749417, -30.244639, 2663.0)
    on_telescope_since: ClassVar[str | None] = None
    left_pacific_time: ClassVar[str | None] = None
    guess_sky_from_type: ClassVar[bool] = True

    def _text(self, card: str) -> str:
        self._used_these_cards(card)
        return get_text(self._header, card)

    def _number(self, *cards: str) -> float | None:
        for card in cards:
            if self.is_key_ok(card):
                self._used_these_cards(card)
                return float(self._header[card])
        return None

    def _is_on_telescope(self) -> bool:
        """Whether the camera was on its telescope, or pretended to be."""
        if self.on_telescope_since is None or self._text("CONTRLLR") == "H":
            return True
        return bool(self.to_datetime_begin() > tai(self.on_telescope_since))

    def _is_on_sky(self) -> bool:
        if self._text("TRACKSYS").lower() == "local" or self.to_observation_type() in ("bias", "dark"):
            return False
        return self._is_on_telescope()

    def to_instrument(self) -> str:
        return self.instrument

    def to_telescope(self) -> str:
        return self.telescope

    def to_location(self) -> EarthLocation | None:
        if not self._is_on_telescope():
            return None
        if self.are_keys_ok(["OBSGEO-X", "OBSGEO-Y", "OBSGEO-Z"]):
            return super().to_location()
        return _place(*self.geodetic)

    def to_observation_id(self) -> str:
        return self._text("OBSID")

    def to_exposure_id(self) -> int:
        self._used_these_cards("DAYOBS", "SEQNUM", "CONTRLLR")
        return identify(self._header).exposure_id

    def to_visit_id(self) -> int:
        return self.to_exposure_id()

    def to_exposure_group(self) -> str:
        return self._text("GROUPID") or str(self.to_exposure_id())

    def to_observing_day(self) -> int:
        return find_day_obs(self._header)

    def to_observing_day_offset(self) -> TimeDelta:
        if self.left_pacific_time is None or self.to_datetime_begin() >= tai(self.left_pacific_time):
            return _SUMMIT_OFFSET
        try:
            away = (
                self.to_datetime_begin().utc.to_datetime(timezone=ZoneInfo("America/Los_Angeles")).utcoffset()
            )
        except ZoneInfoNotFoundError:
            away = None
        return TimeDelta(8 * 3600 if away is None else -away.total_seconds(), format="sec", scale="tai")

    def to_observation_counter(self) -> int:
        self._used_these_cards("SEQNUM")
        return int(self._header["SEQNUM"])

    def to_group_counter_start(self) -> int:
        return self.to_observation_counter() + 1 - int(self._number("CURINDEX") or 1)

    def to_group_counter_end(self) -> int:
        if not self.are_keys_ok(["CURINDEX", "MAXINDEX"]):
            return self.to_observation_counter()
        return self.to_group_counter_start() - 1 + int(self._number("MAXINDEX") or 1)

    def to_datetime_begin(self) -> Time:
        if self._begin is None:
            card = next((card for card in _BEGIN_CARDS if self.is_key_ok(card)), None)
            if card is None:
                raise KeyError(f"there is none of the cards {', '.join(_BEGIN_CARDS)}")
            self._used_these_cards(card)
            value = self._header[card]
            self._begin = (
                Time(float(value), format="mjd", scale="tai")
                if card.startswith("MJD")
                else Time(value, format="fits", scale="tai")
            )
        return self._begin

    _begin: Time | None = None

    def to_datetime_end(self) -> Time:
        begin = self.to_datetime_begin()
        if self.is_key_ok("DATE-END"):
            self._used_these_cards("DATE-END")
            end = Time(self._header["DATE-END"], format="fits", scale="tai")
        else:
            end = begin + max(self.to_exposure_time(), 0.0 * u.s)
        return end if end >= begin else begin

    def to_exposure_time_requested(self) -> u.Quantity:
        # -1 is what the full stack gives for a time that is not known.
        seconds = self._number("EXPTIME")
        return (-1.0 if seconds is None else seconds) * u.s

    def to_exposure_time(self) -> u.Quantity:
        shutter = self._number("SHUTTIME")
        # The shutter stays closed for a dark, which is an exposure all the same.
        return shutter * u.s if shutter and shutter > 0.0 else self.to_exposure_time_requested()

    def to_dark_time(self) -> u.Quantity:
        seconds = self._number("DARKTIME")
        return self.to_exposure_time() if seconds is None else seconds * u.s

    def to_observation_type(self) -> str:
        kind = self._text("IMGTYPE").lower()
        if not kind:
            return "bias" if self.to_exposure_time_requested() == 0.0 * u.s else "unknown"
        return "science" if kind in ("skyexp", "object") else kind

    def to_observation_reason(self) -> str:
        reason: str = super().to_observation_reason()
        return (self._text("REASON") or self._text("TESTTYPE")).lower() or reason

    def to_science_program(self) -> str:
        return self._text("PROGRAM") or self._text("RUNNUM") or "unknown"

    def to_object(self) -> str:
        return self._text("OBJECT") or "UNKNOWN"

    def to_physical_filter(self) -> str:
        self._used_these_cards("FILTER", "FILTER1", "FILTER2")
        return physical_filter(self.instrument, self._header)

    def to_detector_num(self) -> int:
        return identify(self._header).detector

    def to_detector_name(self) -> str:
        return load_camera(self.instrument)[self.to_detector_num()].slot

    def to_detector_group(self) -> str:
        return load_camera(self.instrument)[self.to_detector_num()].raft

    def to_detector_serial(self) -> str:
        return self._text("LSST_NUM") or load_camera(self.instrument)[self.to_detector_num()].serial

    def to_detector_exposure_id(self) -> None:
        return None

    def to_boresight_rotation_coord(self) -> str:
        return (self._text("ROTCOORD") if self._is_on_sky() else "") or "unknown"

    def to_boresight_rotation_angle(self) -> Angle | None:
        degrees = self._number("ROTPA", "ROTANGLE")
        if degrees is None and self.to_observation_type() == "science" and self._is_on_telescope():
            return None
        return Angle(degrees or 0.0, unit=u.deg)

    def to_boresight_airmass(self) -> float | None:
        if not self._is_on_sky():
            return None
        airmass = self._number("AMSTART")
        altaz = self.to_altaz_begin() if airmass is None else None
        return airmass if altaz is None else float(altaz.secz)

    def to_tracking_radec(self) -> SkyCoord | None:
        # The telescope can claim to track while it takes calibrations; darks are at times taken while it
        # does.
        if self.to_observation_type() == "bias" or self._text("TRACKSYS") not in ("", "RADEC"):
            return None
        for pair in (("RASTART", "DECSTART"), ("RA", "DEC")):
            if self.are_keys_ok(pair):
                self._used_these_cards(*pair, "RADESYS")
                ra, dec = (float(self._header[card]) for card in pair)
                frame = self._text("RADESYS").lower() or "icrs"
                return SkyCoord(ra, dec, unit=u.deg, frame=frame)
        return None

    def to_altaz_begin(self) -> AltAz | None:
        if not self._is_on_telescope() or not self.are_keys_ok(["ELSTART", "AZSTART"]):
            return None
        pairs = (("ELSTART", "AZSTART"),)
        try:
            return altaz_from_degree_headers(
                self, pairs, self.to_datetime_begin(), max_alt=95.55, min_alt=-5.55
            )
        except KeyError:
            # The values are not believable.
            return None

    def to_focus_z(self) -> u.Quantity:
        return (self._number("FOCUSZ") or 0.0) * u.mm

    def to_relative_humidity(self) -> float | None:  # type: ignore[override]  # upstream allows None
        return self._number("HUMIDITY")

    def to_temperature(self) -> u.Quantity | None:
        celsius = self._number("AIRTEMP")
        return None if celsius is None else u.Quantity(celsius, u.deg_C)

    def to_pressure(self) -> u.Quantity | None:
        pressure = self._number("PRESSURE")
        # Headers have used both units; no air is as thin or as thick as the wrong one would say.
        return None if pressure is None else pressure * (u.Pa if pressure > 10_000 else u.hPa)

    def to_has_simulated_content(self) -> bool:
        flagged = any("SIMULATE" in card and value for card, value in self._header.items())
        return flagged or self._text("CONTRLLR") in _SIMULATED_CONTROLLERS

    def to_can_see_sky(self) -> bool | None:
        if self._number("SHUTTIME") == 0.0:
            return False
        vignetted = self._text("VIGN_MIN")
        if vignetted:
            return vignetted != "FULLY"
        sees: bool | None = super().to_can_see_sky() if self.guess_sky_from_type else None
        return sees
