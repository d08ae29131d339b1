"""Translation of the headers of raws to `~astro_metadata_translator.ObservationInfo`, without afw."""

from __future__ import annotations

__all__ = ("translate",)

import math
from collections.abc import Mapping

from astro_metadata_translator import ObservationInfo, fix_header

from ._camera_translators import (
    LsstCamSimTranslator,
    LsstCamTranslator,
    LsstComCamSimTranslator,
    LsstComCamTranslator,
)
from ._header import RefusedError
from ._identity import RawIdentity, identify, identity_cards
from ._latiss_translator import LatissTranslator
from ._lsst_translator import LsstTranslator
from ._possible import NUMBERS, check_cards, check_times
from ._raw import HeaderValue
from ._stack import has_full_stack

_REQUIRED = frozenset({
    "datetime_begin",
    "datetime_end",
    "detector_num",
    "exposure_group",
    "exposure_id",
    "exposure_time_requested",
    "group_counter_end",
    "group_counter_start",
    "has_simulated_content",
    "instrument",
    "observation_id",
    "observation_type",
    "observing_day",
    "physical_filter",
})  # fmt: skip
"""What the full stack requires of a raw, too."""

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
        What the header says of the exposure and its detector.

    Raises
    ------
    RefusedError
        If the header is not of a raw that we handle, lacks what an exposure must have, or has impossible
        values.

    Notes
    -----
    Where the full stack is there, its translators are used.  Corrections of single exposures are read from
    the folders in the environment variable ``METADATA_CORRECTIONS_PATH``, then from those that come with the
    translators; then come the rules of the translator for whole nights.
    """
    identity = identify(header)
    cards = {
        card: _printable(value)
        for card, value in header.items()
        if card in NUMBERS or not _is_no_number(value)
    }
    translator = None if has_full_stack() else _TRANSLATORS[identity.instrument]
    try:
        fix_header(cards, translator_class=translator, filename=filename)
        check_cards(identity_cards(identity.instrument, header), cards)
        # Our own translators give nothing where a card is missing, and fail on one that cannot be.
        info = ObservationInfo(
            cards,
            filename=filename,
            translator_class=translator,
            pedantic=translator is not None,
            required=set(_REQUIRED),
            quiet=True,
        )
    except RefusedError:
        raise
    except (ArithmeticError, KeyError, TypeError, ValueError) as exc:
        raise RefusedError(f"The header of {identity.obs_id} cannot be translated: {_reason(exc)}") from exc
    check_times(info)
    _check_identity(info, identity)
    return info


def _check_identity(info: ObservationInfo, identity: RawIdentity) -> None:
    """Check that each raw belongs to the exposure whose first raw was translated."""
    translated = (info.instrument, info.exposure_id, info.detector_num, info.observation_id)
    if translated != (identity.instrument, identity.exposure_id, identity.detector, identity.obs_id):
        raise RefusedError(
            f"The header of {identity.obs_id} is of {identity.instrument}, exposure {identity.exposure_id}, "
            f"detector {identity.detector}, but is translated to {translated[0]}, exposure {translated[1]}, "
            f"detector {translated[2]} of {translated[3]}."
        )


def _printable(value: HeaderValue) -> HeaderValue:
    """Return a value with what no registry takes as question marks."""
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(character if character.isprintable() else "?" for character in value)


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
