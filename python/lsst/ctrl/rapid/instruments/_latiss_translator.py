"""Translation of the headers of LATISS, whose first years have rules of their own."""

from __future__ import annotations

__all__ = ("LatissTranslator",)

import math
from collections.abc import MutableMapping
from typing import Any, override

import astropy.units as u
from astropy.coordinates import AltAz, Angle
from astropy.time import Time

from ._identity import missing_latiss_cards
from ._lsst_translator import LsstTranslator, utc

_ON_TELESCOPE_SINCE = "2020-01-01T00:00"
_SERIAL = "ITL-3800C-068"
_SERIAL_SINCE = "2019-06-24T00:00"
_IMGTYPE_SINCE = "2019-11-07T00:00"
_OBJECT_SINCE = "2020-01-27T20:00"
_DEGREES_SINCE = "2020-01-28T22:00"
_DATE_END_SINCE = "2020-02-01T00:00"
_RASTART_SINCE = "2020-05-01T00:00"
_ROTPA_TURNED = ("2020-11-19T00:00", "2021-10-29T00:00")
_RASTART_DEGREES_SINCE = "2021-02-11T18:45"
_RASTART_RIGHT_SINCE = "2021-02-12T00:00"
_PLAIN_TARGETS_SINCE = "2022-07-10T00:00"
"""When headers began to have, or ceased to have, what `LatissTranslator.fix_header` mends; UTC."""

_TAI_MINUS_UTC = 37.0 / 3600.0 * 15.0
"""By how much right ascension moves in the seconds between UTC and TAI, degrees."""


class LatissTranslator(LsstTranslator):
    """LATISS, on the auxiliary telescope since January 2020."""

    instrument = "LATISS"
    telescope = "Rubin Auxiliary Telescope"
    geodetic = (-70.747698, -30.244728, 2663.0)
    no_rotation = Angle(math.nan, unit=u.deg)

    @override
    def _is_on_telescope(self) -> bool:
        return bool(self.to_datetime_begin() > utc(_ON_TELESCOPE_SINCE))

    def to_exposure_time(self) -> u.Quantity:
        return self.to_exposure_time_requested()

    def to_dark_time(self) -> u.Quantity:
        return max(super().to_dark_time(), self.to_exposure_time())

    def to_observation_type(self) -> str:
        kind = self._text("OBSTYPE", "IMGTYPE")
        if kind is not None and kind.lower() == "object" and not self._is_on_telescope():
            # Science is on the sky, with coordinates.
            return "labobject"
        return self._observation_type(kind)

    def to_science_program(self) -> str:
        program = self._text("PROGRAM")
        return "unknown" if program is None else program

    def to_object(self) -> str | None:  # type: ignore[override]  # the full stack has none at times
        if not self.is_key_ok("OBJECT") and self._is_science_on_telescope():
            return None
        return super().to_object()

    def to_detector_serial(self) -> str | None:  # type: ignore[override]  # the full stack has none at times
        return self._text("LSST_NUM", "DETSER")

    def to_altaz_end(self) -> AltAz | None:
        # For a year the card was misspelt and empty.
        if "AELEND" in self._header and "ELEND" not in self._header:
            return None
        return super().to_altaz_end()

    @classmethod
    def fix_header(
        cls,
        header: MutableMapping[str, Any],
        instrument: str,  # noqa: ARG003 - upstream's signature
        obsid: str,
        filename: str | None = None,  # noqa: ARG003
    ) -> bool:
        """Correct what headers had otherwise at times, as the full stack does and in the same order.

        A header that lacks a card that it should have is corrected up to there.
        """
        before = dict(header)
        try:
            header.update(missing_latiss_cards(header, obsid))
            _mend_1970(header)
            begin = cls(header).to_datetime_begin()
            _mend_first_years(header, begin)
            _mend_names(header, begin)
            _mend_pointing(header, begin)
            _mend_place(header)
        except (AttributeError, KeyError, TypeError):
            pass
        return before != header


def _mend_1970(header: MutableMapping[str, Any]) -> None:
    """Take the time of writing where that of the exposure was not known."""
    if "DATE-OBS" in header and header["DATE-OBS"].startswith("1970"):
        header["DATE-BEG"] = header["DATE-OBS"] = header["DATE"]
        header["MJD-BEG"] = header["MJD-OBS"] = header["MJD"]
        header["DATE-END"] = header["MJD-END"] = None


def _mend_first_years(header: MutableMapping[str, Any], begin: Time) -> None:
    if begin > utc(_SERIAL_SINCE):
        header["LSST_NUM"] = _SERIAL
    if begin < utc(_DATE_END_SINCE) and header.get("DATE-END"):
        header["DATE-END"] = header["MJD-END"] = None
    if begin < utc(_IMGTYPE_SINCE):
        _mend_group(header)
    if begin < utc(_OBJECT_SINCE) and header.get("IMGTYPE") == "OBJECT":
        header["IMGTYPE"] = "ENGTEST"
    if begin < utc(_DEGREES_SINCE):
        for card in ("RA", "DEC"):
            if header.get(card) is not None:
                header[card] *= 180.0 / math.pi


def _mend_group(header: MutableMapping[str, Any]) -> None:
    """Tell image type from group, which were one card at first."""
    group, kind = header.get("GROUPID"), header.get("IMGTYPE")
    if not group or group.startswith("test"):
        return
    if kind:
        if kind == group:
            header["GROUPID"] = None
    elif "_" in group:
        # Like dark_0001_0002, which remains the group.
        header["IMGTYPE"] = group.partition("_")[0]
    elif group.upper() != "FOCUS" and group.upper().startswith("FOCUS"):
        header["IMGTYPE"] = "FOCUS"
    else:
        header["GROUPID"], header["IMGTYPE"] = None, group


def _mend_names(header: MutableMapping[str, Any], begin: Time) -> None:
    if header.get("SHUTTIME"):
        header["SHUTTIME"] = None
    if "OBJECT" not in header and header.get("IMGTYPE") == "OBJECT":
        header["OBJECT"] = "NOTSET"
    if begin < utc(_PLAIN_TARGETS_SINCE) and header.get("OBJECT") is not None:
        header["OBJECT"] = header["OBJECT"].replace("spec:", "")
    if header.get("RADESYS") == "":
        header["RADESYS"] = "ICRS"
    if header.get("TRACKSYS") == "":
        header["TRACKSYS"] = None
    elif header.get("TRACKSYS") == "SIDEREAL":
        header["TRACKSYS"] = "RADEC"


def _mend_pointing(header: MutableMapping[str, Any], begin: Time) -> None:
    if begin < utc(_RASTART_SINCE):
        # For the wrong place on Earth; what was demanded is taken instead.
        header.update(dict.fromkeys(("RASTART", "DECSTART", "RAEND", "DECEND")))
    elif begin < utc(_RASTART_DEGREES_SINCE):
        for card in ("RASTART", "RAEND"):
            if header[card]:
                header[card] *= 15.0
    if utc(_RASTART_SINCE) < begin < utc(_RASTART_RIGHT_SINCE):
        for card in ("RASTART", "RAEND"):
            if header[card]:
                header[card] += _TAI_MINUS_UTC
    first, last = _ROTPA_TURNED
    if utc(first) < begin < utc(last):
        header["ROTPA"] = header["ROTPA"] - 180


def _mend_place(header: MutableMapping[str, Any]) -> None:
    """Put the telescope to the south of the equator."""
    z = header.get("OBSGEO-Z")
    if isinstance(z, int | float) and z > 0.0:
        header["OBSGEO-Z"] = -z
