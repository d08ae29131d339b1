"""Values of a header that cannot be: what a registry would take and every later step would stumble over."""

from __future__ import annotations

__all__ = ("NUMBERS", "check_cards", "check_times")

import math
from collections.abc import Mapping

import astropy.units as u
from astro_metadata_translator import ObservationInfo
from astropy.time import Time

from ._header import RefusedError
from ._identity import MAX_SEQ_NUM
from ._raw import HeaderValue

FIRST_YEAR, LAST_YEAR = 2015, 2099
"""Years in which a raw of these instruments can have been taken."""

FIRST_SIMULATED_YEAR = 2000
"""First year in which a simulation may pretend to have been taken."""

_FIRST_MJD, _FIRST_SIMULATED_MJD, _LAST_MJD = (
    float(Time(f"{year}-01-01", scale="tai").mjd)
    for year in (FIRST_YEAR, FIRST_SIMULATED_YEAR, LAST_YEAR + 1)
)

MAX_EXPOSURE_TIME = 86_400.0
"""Longest exposure time that is believed, seconds."""

MAX_ANGLE = 720.0
"""Largest angle that is believed, degrees: two turns of a rotator."""

_NAMES = ("OBSID", "GROUPID", "FILTER", "FILTER1", "FILTER2", "GRATING", "IMGTYPE", "OBSTYPE")
"""Cards that become part of names: of exposures, groups and filters in the registry, and of files."""

_TEXTS = ("OBJECT", "PROGRAM", "REASON", "TESTTYPE", "RUNNUM")
"""Cards that only describe."""

_RANGES: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(("EXPTIME", "SHUTTIME"), (-math.inf, math.inf)),  # see `check_times`
    "DARKTIME": (-MAX_EXPOSURE_TIME, MAX_EXPOSURE_TIME),
    **dict.fromkeys(("RA", "RASTART", "ROTPA", "ROTANGLE"), (-MAX_ANGLE, MAX_ANGLE)),
    **dict.fromkeys(("DEC", "DECSTART"), (-90.0, 90.0)),
    **dict.fromkeys(("CURINDEX", "MAXINDEX"), (0, MAX_SEQ_NUM)),
}
"""Believable values of cards that are numbers, which must be finite, too."""

NUMBERS = frozenset(_RANGES)
"""Cards that are checked to be numbers."""

_ROTATIONS = frozenset({"ROTPA", "ROTANGLE"})
"""Of these the corrected values are checked; some headers have text, and not a number counts as not known."""


def check_cards(header: Mapping[str, HeaderValue], corrected: Mapping[str, HeaderValue]) -> None:
    """Check the cards of a raw that become part of names, or are numbers.

    Parameters
    ----------
    header
        Primary header, with the corrections of its exposure.
    corrected
        The same with the rules of its translator, which drop cards that could not be trusted, and take others
        from hours or radians to degrees.

    Raises
    ------
    RefusedError
        If one has a value that cannot be.
    """
    for card in _NAMES:
        value = header.get(card)
        if isinstance(value, str) and not _is_name(value):
            raise RefusedError(f"{card} is {value!r}; a name has no such characters.")
    for card in _TEXTS:
        value = header.get(card)
        if isinstance(value, str) and not value.isprintable():
            raise RefusedError(f"{card} is {value!r}, which is no text.")
    for card, (low, high) in _RANGES.items():
        if corrected.get(card) is not None:
            _check_number(card, (corrected if card in _ROTATIONS else header).get(card), low, high)


def _check_number(card: str, value: HeaderValue, low: float, high: float) -> None:
    if value is None or isinstance(value, bool):
        return
    try:
        number = float(value)
    except ValueError:
        raise RefusedError(f"{card} is {value!r}, which is no number.") from None
    if math.isnan(number) and card in _ROTATIONS:
        return
    if not (math.isfinite(number) and low <= number <= high):
        raise RefusedError(f"{card} is {number:g}, which cannot be.")


def check_times(info: ObservationInfo) -> None:
    """Check when an exposure was taken, and for how long.

    Parameters
    ----------
    info
        The translated header.

    Raises
    ------
    RefusedError
        If it is not told, or cannot be.
    """
    begin, end, exposure_time = info.datetime_begin, info.datetime_end, info.exposure_time
    told = f"The header of {info.observation_id}"
    if begin is None or end is None or exposure_time is None:
        raise RefusedError(f"{told} does not say when the exposure was taken.")
    first = _FIRST_SIMULATED_MJD if info.has_simulated_content else _FIRST_MJD
    # Not as a date of Python's, which knows no year 0.
    if not first <= begin.mjd < _LAST_MJD:
        raise RefusedError(f"{told} says that it began at MJD {begin.mjd:.5f}, which cannot be.")
    seconds = exposure_time.to_value(u.s)
    if not (seconds == -1.0 or 0.0 <= seconds <= MAX_EXPOSURE_TIME):
        raise RefusedError(f"{told} gives an exposure time of {seconds} s, which cannot be.")
    lasted = (end - begin).to_value(u.s)
    if not lasted <= 2 * MAX_EXPOSURE_TIME:
        raise RefusedError(f"{told} says that it ended at {end.isot}, {lasted:.0f} s after it began.")


def _is_name(value: str) -> bool:
    """Tell whether a text can be part of a name; one that is empty says nothing."""
    if not value.strip():
        return True
    return value.isascii() and value.isprintable() and "/" not in value and bool(value.strip(" ."))
