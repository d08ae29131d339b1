"""Translation of the headers of raws to `~astro_metadata_translator.ObservationInfo`, without afw."""

from __future__ import annotations

__all__ = ("translate",)

import functools
import importlib
import importlib.util
import math
from collections.abc import Mapping

import astropy.units as u
from astro_metadata_translator import ObservationInfo
from astropy.time import Time

from ._camera_translators import (
    LatissTranslator,
    LsstCamSimTranslator,
    LsstCamTranslator,
    LsstComCamSimTranslator,
    LsstComCamTranslator,
)
from ._header import RefusedError
from ._identity import identify
from ._lsst_translator import LsstTranslator
from ._raw import HeaderValue

FIRST_YEAR, LAST_YEAR = 2015, 2099
"""Years in which a raw of these instruments can have been taken."""

MAX_EXPOSURE_TIME = 86_400.0
"""Longest exposure time that is believed, seconds."""

_FIRST_MJD, _LAST_MJD = (
    float(Time(f"{year}-01-01", scale="tai").mjd) for year in (FIRST_YEAR, LAST_YEAR + 1)
)

_TRANSLATORS: Mapping[str, type[LsstTranslator]] = {
    "LSSTCam": LsstCamTranslator,
    "LSSTCamSim": LsstCamSimTranslator,
    "LSSTComCam": LsstComCamTranslator,
    "LSSTComCamSim": LsstComCamSimTranslator,
    "LATISS": LatissTranslator,
}


def translate(header: Mapping[str, HeaderValue], filename: str | None = None) -> ObservationInfo:
    """Translate the primary header of a raw.

    Parameters
    ----------
    header
        Primary header; it is not changed.
    filename
        Name of the file, for messages.

    Returns
    -------
    info
        What the header says of the exposure and its detector.  Of our own translators the property
        ``detector_exposure_id`` is `None` and ``visit_id`` is the exposure's: what else they can be belongs
        to the full stack.

    Raises
    ------
    RefusedError
        If the header is not of a raw that we handle, lacks what an exposure must have, or has impossible
        values.

    Notes
    -----
    Where the full stack is there, its translators are used.  Corrections of single exposures are read from
    the folders in the environment variable ``METADATA_CORRECTIONS_PATH``, then from those that come with the
    translators.
    """
    identity = identify(header)
    cards = {card: value for card, value in header.items() if not _is_no_number(value)}
    translator = None if has_full_stack() else _TRANSLATORS[identity.instrument]
    try:
        info = ObservationInfo(
            cards, filename=filename, translator_class=translator, pedantic=True, quiet=True
        )
    except (ArithmeticError, KeyError, TypeError, ValueError) as exc:
        raise RefusedError(f"The header of {identity.obs_id} cannot be translated: {_reason(exc)}") from exc
    _check_possible(info)
    return info


@functools.cache
def has_full_stack() -> bool:
    """Whether the observatory's own package for these instruments, ``lsst.obs.lsst``, can be imported."""
    try:
        if importlib.util.find_spec("lsst.obs.lsst") is None:
            return False
        importlib.import_module("lsst.obs.lsst.translators")
    except ImportError:
        return False
    return True


def _is_no_number(value: HeaderValue) -> bool:
    """Tell whether a card says that its number is not known: then it is as if it were not there."""
    match value:
        case float():
            return not math.isfinite(value)
        case str():
            return value.strip().lower() in {"nan", "inf", "+inf", "-inf"}
        case _:
            return False


def _reason(exc: BaseException) -> str:
    """Return what the innermost of chained exceptions says, with what its outermost was about."""
    outer = str(exc.args[0]) if exc.args else type(exc).__name__
    while exc.__cause__ is not None:
        exc = exc.__cause__
    inner = str(exc.args[0]) if exc.args else type(exc).__name__
    what = outer.partition("property '")[2].partition("'")[0]
    return f"{what}: {inner}" if what else inner


def _check_possible(info: ObservationInfo) -> None:
    """Check values that a registry would take and every later step would stumble over.

    Raises
    ------
    RefusedError
        If one is impossible.
    """
    begin, exposure_time = info.datetime_begin, info.exposure_time
    if begin is None or exposure_time is None:
        raise RefusedError(f"The header of {info.observation_id} does not say when the exposure was taken.")
    # Not as a date of Python's, which knows no year 0.
    if not _FIRST_MJD <= begin.mjd < _LAST_MJD:
        raise RefusedError(
            f"The header of {info.observation_id} says that it began at MJD {begin.mjd:.5f}, which cannot be."
        )
    seconds = exposure_time.to_value(u.s)
    if not (seconds == -1.0 or 0.0 <= seconds <= MAX_EXPOSURE_TIME):
        raise RefusedError(
            f"The header of {info.observation_id} gives an exposure time of {seconds} s, which cannot be."
        )
