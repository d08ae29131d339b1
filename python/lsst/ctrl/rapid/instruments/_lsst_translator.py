"""Translation of what the headers of all the family's instruments have in common.

The rules are those of the translators in lsst/obs_lsst, so that both make the same records of a raw.
"""

from __future__ import annotations

__all__ = ("LsstTranslator", "utc")

import datetime
import functools
import hashlib
import logging
import math
import re
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import astropy.units as u
from astro_metadata_translator import FitsTranslator
from astro_metadata_translator.translators.helpers import (
    altaz_from_degree_headers,
    tracking_from_degree_headers,
)
from astropy.coordinates import ICRS, AltAz, Angle, EarthLocation, SkyCoord
from astropy.time import Time, TimeDelta

from ._camera import load_camera
from ._corrections import CORRECTIONS_FOLDER
from ._filters import physical_filter
from ._identity import CONTROLLERS, MAX_SEQ_NUM, RawIdentity, find_day_obs, find_obs_id, read_identity

_LOG = logging.getLogger(__name__)

_SUMMIT_OFFSET = TimeDelta(12 * 3600, format="sec", scale="tai")
"""A day of observation begins this long after midnight (TAI)."""

_SIMULATED_CONTROLLERS = frozenset("HPSQ")
_BEGIN_CARDS = ("MJD-BEG", "DATE-BEG", "MJD-OBS", "DATE-OBS")
_NOT_OF_THE_SKY = frozenset({"bias", "dark", "flat"})

_PACKED_FIRST_DAY = datetime.date(2010, 1, 1)
_PACKED_DAYS, _PACKED_SEQ_NUMS, _PACKED_DETECTORS = 16_384, 32_768, 256
"""Places that a packed number of exposure and detector has for each of its parts."""

_GROUP_DATE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{3})(?:[+#](\d+))?")
_GROUP_EPOCH = datetime.datetime(2015, 1, 1)  # noqa: DTZ001 - as the names of groups, without a zone
_HASH_DIGITS = 14


@functools.cache
def _place(longitude: float, latitude: float, metres: float) -> EarthLocation:
    return EarthLocation.from_geodetic(longitude, latitude, metres)


@functools.cache
def utc(text: str) -> Time:
    """Return the time of an ISO text, UTC."""
    return Time(text, format="isot", scale="utc")


class LsstTranslator(FitsTranslator):
    """What the headers of all instruments of the family have in common.

    Notes
    -----
    None of the classes has a ``name``, so none is offered to others who look for a translator: in a process
    with the full stack its own remain the only ones.

    A card that is there with an empty text counts as given, as it does in the full stack.
    """

    # The base class finds corrections of single exposures here.
    default_search_path = [str(CORRECTIONS_FOLDER)]  # noqa: RUF012 - upstream's declaration
    instrument: ClassVar[str]
    telescope: ClassVar[str] = "Simonyi Survey Telescope"
    geodetic: ClassVar[tuple[float, float, float]] = (-70.749417, -30.244639, 2663.0)
    on_telescope_since: ClassVar[str | None] = None
    left_pacific_time: ClassVar[str | None] = None
    guess_sky_from_type: ClassVar[bool] = True
    no_rotation: ClassVar[Angle] = Angle(0.0, unit=u.deg)

    def _card(self, *cards: str) -> Any:
        """Return the value of the first of some cards that has one, else `None`."""
        for card in cards:
            if self.is_key_ok(card):
                self._used_these_cards(card)
                return self._header[card]
        return None

    def _text(self, *cards: str) -> str | None:
        value = self._card(*cards)
        return None if value is None else str(value)

    def _number(self, *cards: str) -> float | None:
        value = self._card(*cards)
        return None if value is None else float(value)

    def _is_on_telescope(self) -> bool:
        """Whether the camera was on its telescope, or pretended to be."""
        if self.on_telescope_since is None or self._text("CONTRLLR") == "H":
            return True
        return bool(self.to_datetime_begin() > utc(self.on_telescope_since))

    def _is_on_sky(self) -> bool:
        tracking = self._text("TRACKSYS")
        if tracking is not None and tracking.lower() == "local":
            return False
        return self.to_observation_type() not in _NOT_OF_THE_SKY and self._is_on_telescope()

    def to_instrument(self) -> str:
        return self.instrument

    def to_telescope(self) -> str:
        return self.telescope

    def to_location(self) -> EarthLocation | None:
        return self._location

    @functools.cached_property
    def _location(self) -> EarthLocation | None:
        if not self._is_on_telescope():
            return None
        try:
            return super().to_location()
        except (KeyError, TypeError):
            return _place(*self.geodetic)

    def to_observation_id(self) -> str:
        return find_obs_id(self.instrument, self._header)

    @functools.cached_property
    def _identity(self) -> RawIdentity:
        return read_identity(self.instrument, self._header)

    def to_exposure_id(self) -> int:
        self._used_these_cards("DAYOBS", "SEQNUM", "CONTRLLR")
        return self._identity.exposure_id

    def to_visit_id(self) -> int:
        group = self.to_exposure_group()
        try:
            return int(group)
        except ValueError:
            pass
        if match := _GROUP_DATE.fullmatch(group):
            date, fraction, number = match.groups()
            seconds = int((datetime.datetime.fromisoformat(date) - _GROUP_EPOCH).total_seconds())
            return int(f"{seconds}{fraction}{int(number or 0):04d}")
        digits = hashlib.blake2b(group.encode("ascii")).hexdigest()[:_HASH_DIGITS]
        return int(f"{int(digits, 16)}{len(group):02d}")

    def to_exposure_group(self) -> str:
        group = self._card("GROUPID")
        # A correction may have it as a date.
        if isinstance(group, datetime.datetime):
            return group.isoformat(timespec="milliseconds")
        return str(self.to_exposure_id() if group is None else group)

    def to_observing_day(self) -> int:
        return find_day_obs(self._header)

    def to_observing_day_offset(self) -> TimeDelta:
        if self.left_pacific_time is None or self.to_datetime_begin() >= Time(
            self.left_pacific_time, scale="tai"
        ):
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
        index = self._card("CURINDEX")
        if index is None:
            return self._group_of_one()
        return self.to_observation_counter() + 1 - int(index)

    def to_group_counter_end(self) -> int:
        index, last = self._card("CURINDEX"), self._card("MAXINDEX")
        if index is None or last is None:
            return self._group_of_one()
        return self.to_observation_counter() + int(last) - int(index)

    def _group_of_one(self) -> int:
        # Without a counter, all exposures of a night would be one group.
        return self.to_observation_counter() or self.to_exposure_id()

    def to_datetime_begin(self) -> Time:
        if self._begin is None:
            card = next((card for card in _BEGIN_CARDS if self.is_key_ok(card)), None)
            if card is None:
                raise KeyError(f"there is none of the cards {', '.join(_BEGIN_CARDS)}")
            self._used_these_cards(card)
            scale = "mjd" if card.startswith("MJD") else "fits"
            self._begin = Time(self._header[card], format=scale, scale="tai")
        return self._begin

    _begin: Time | None = None

    def to_datetime_end(self) -> Time:
        begin = self.to_datetime_begin()
        if self.is_key_ok("DATE-END"):
            end = super().to_datetime_end()
            assert end is not None, "There is a card for it."
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
        return self._observation_type(self._text("IMGTYPE"))

    def _observation_type(self, value: str | None) -> str:
        if value is None:
            return "bias" if self.to_exposure_time_requested() == 0.0 * u.s else "unknown"
        kind = value.lower()
        return "science" if kind in ("skyexp", "object") else kind

    def to_observation_reason(self) -> str:
        reason = self._text("REASON", "TESTTYPE")
        default: str = super().to_observation_reason()
        return default if reason is None else reason.lower()

    def to_science_program(self) -> str:
        program = self._text("PROGRAM", "RUNNUM")
        return "unknown" if program is None else program

    def to_object(self) -> str | None:  # type: ignore[override]  # the full stack has none at times
        name = self._text("OBJECT")
        return "UNKNOWN" if name is None else name

    def to_physical_filter(self) -> str:
        self._used_these_cards("FILTER", "FILTER1", "FILTER2")
        return physical_filter(self.instrument, self._header)

    def to_detector_num(self) -> int:
        return self._identity.detector

    def to_detector_name(self) -> str:
        return load_camera(self.instrument)[self.to_detector_num()].slot

    def to_detector_group(self) -> str:
        return load_camera(self.instrument)[self.to_detector_num()].raft

    def to_detector_serial(self) -> str | None:  # type: ignore[override]  # the full stack has none at times
        return self._text("LSST_NUM")

    def to_detector_exposure_id(self) -> int | None:
        return _pack(self.to_exposure_id(), self.to_detector_num())

    def to_boresight_rotation_coord(self) -> str:
        coord = self._text("ROTCOORD") if self._is_on_sky() else None
        return "unknown" if coord is None else coord

    def to_boresight_rotation_angle(self) -> Angle | None:
        degrees = self._number("ROTPA", "ROTANGLE")
        if degrees is None:
            return None if self._is_science_on_telescope() else self.no_rotation
        return self.no_rotation if math.isnan(degrees) else Angle(degrees, unit=u.deg)

    def _is_science_on_telescope(self) -> bool:
        return self.to_observation_type() == "science" and self._is_on_telescope()

    def to_boresight_airmass(self) -> float | None:
        if not self._is_on_sky():
            return None
        airmass = self._number("AMSTART")
        if airmass is not None:
            return airmass
        altaz = self.to_altaz_begin()
        if altaz is not None:
            return float(altaz.secz.to_value())
        # A science exposure says where the telescope pointed; for others the full stack assumes the zenith.
        known = self.to_observation_type() == "science" and self._text("CONTRLLR") != "H"
        return None if known else 1.0

    def to_tracking_radec(self) -> SkyCoord | None:
        # The telescope can claim to track while it takes calibrations; darks are at times taken while it
        # does.
        if self.to_observation_type() in ("bias", "flat"):
            return None
        tracking = self._text("TRACKSYS")
        if tracking is not None and tracking != "RADEC":
            return None
        try:
            return self._tracked_radec()
        except KeyError:
            # A science exposure without coordinates.
            return None
        except (LookupError, OSError, TypeError, ValueError) as exc:
            _LOG.warning("%s is taken without its coordinates: %s", self.to_observation_id(), exc)
            return None

    def _tracked_radec(self) -> SkyCoord | None:
        written = self._text("DATE")
        if written is None or self._header.get("DATE-OBS") != written:
            return tracking_from_degree_headers(self, ("RADESYS",), (("RASTART", "DECSTART"), ("RA", "DEC")))
        # The time is that of writing, and what was computed for another time is wrong.
        altaz = self.to_altaz_begin()
        if altaz is None:
            return None
        icrs = altaz.transform_to(ICRS())
        return SkyCoord(icrs, obstime=altaz.obstime, location=altaz.location)

    def to_altaz_begin(self) -> AltAz | None:
        return self._altaz("ELSTART", "AZSTART")

    def to_altaz_end(self) -> AltAz | None:
        return self._altaz("ELEND", "AZEND")

    def _altaz(self, elevation: str, azimuth: str) -> AltAz | None:
        if not self._is_on_telescope() or not self.are_keys_ok([elevation, azimuth]):
            return None
        try:
            return altaz_from_degree_headers(
                self, ((elevation, azimuth),), self.to_datetime_begin(), max_alt=95.55, min_alt=-5.55
            )
        except (KeyError, TypeError):
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
        match self._text("VIGN_MIN"):
            case "FULLY":
                return False
            case "UNKNOWN":
                return None
            case str():
                return True
            case _:
                return self._guessed_can_see_sky()

    def _guessed_can_see_sky(self) -> bool | None:
        if not self.guess_sky_from_type and self._text("CONTRLLR") != "H":
            return None
        kind = self.to_observation_type()
        if kind in ("science", "object"):
            return True
        return False if kind in _NOT_OF_THE_SKY else None


def _pack(exposure_id: int, detector: int) -> int | None:
    """Return the number of a detector's exposure, or `None` if it has no room for one of its parts."""
    day_obs, seq_num = divmod(exposure_id, MAX_SEQ_NUM)
    year, month_and_day = divmod(day_obs, 100_00)
    controller, year = divmod(year - 2000, 1000)
    month, day = divmod(month_and_day, 100)
    days = (datetime.date(2000 + year, month, day) - _PACKED_FIRST_DAY).days
    if not (0 <= days <= _PACKED_DAYS and seq_num < _PACKED_SEQ_NUMS and controller < len(CONTROLLERS)):
        return None
    packed = controller * _PACKED_DAYS + days
    return (packed * _PACKED_SEQ_NUMS + seq_num) * _PACKED_DETECTORS + detector
