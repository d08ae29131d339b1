"""Which exposure and detector a raw is: the fast path that every file takes."""

from __future__ import annotations

__all__ = ("RawIdentity", "exposure_cards", "identify")

import dataclasses
import datetime
import functools
from collections import ChainMap
from collections.abc import Mapping

from ._camera import load_camera
from ._corrections import correct
from ._header import RefusedError
from ._raw import HeaderValue

MAX_SEQ_NUM = 100_000
"""Sequence numbers are below this, which is what leaves an exposure id five digits for them."""

CONTROLLERS = "OCHPQS"
"""Codes of the controllers, in the order of the blocks of exposure ids that once were theirs."""

_CONTROLLER_DAYS = 1000_00_00
"""What each further controller adds to day_obs: a thousand years."""

_SHARED_SINCE = {"C": 20231005, "P": 20250418, "S": 20250418, "Q": 20250418}
"""First day_obs on which a controller took its numbers from the observatory's own sequence."""

_INSTRUMENTS = {
    "lsstcam": "LSSTCam",
    "lsstcamsim": "LSSTCamSim",
    "comcam": "LSSTComCam",
    "lsstcomcam": "LSSTComCam",
    "comcamsim": "LSSTComCamSim",
    "lsstcomcamsim": "LSSTComCamSim",
    "latiss": "LATISS",
    "lsst_atiss": "LATISS",
}
"""Instrument of each value of ``INSTRUME`` in lower case."""

_LAB_CAMERA = "lsst_camera"
"""What the camera controller of the laboratory wrote for any camera; ``TELCODE`` says which."""

_AMBIGUOUS = frozenset({"comcam", "comcamsim", "lsstcamsim"})
"""Names that other observatories may use, too."""

_TELESCOPES = frozenset({"Simonyi Survey Telescope", "LSST"})
_STAMP_CARDS = ("N_STAMPS", "STAMPCLS")
_OBS_ID_PARTS = 4

_EXPOSURE_CARDS = (
    "INSTRUME", "OBSID", "CONTRLLR", "DAYOBS", "SEQNUM", "GROUPID", "IMGTYPE", "OBSTYPE", "TESTTYPE",
    "PROGRAM", "REASON", "RUNNUM", "OBJECT", "CURINDEX", "MAXINDEX", "MJD-BEG", "DATE-BEG", "MJD-OBS",
    "DATE-OBS", "DATE-END", "EXPTIME", "SHUTTIME", "FILTER", "FILTER1", "FILTER2", "GRATING", "TRACKSYS",
    "RADESYS", "RA", "DEC", "RASTART", "DECSTART", "ROTPA", "ROTCOORD", "ELSTART", "AZSTART", "VIGN_MIN",
)  # fmt: skip
_NUMBERED = frozenset({"DAYOBS", "SEQNUM"})


@dataclasses.dataclass(frozen=True, slots=True)
class RawIdentity:
    """Which exposure and detector a raw is.

    Attributes
    ----------
    instrument
        Name of the instrument in the registry.
    exposure_id
        Number of the exposure, as the full stack computes it.
    detector
        Number of the detector.
    obs_id
        Name of the exposure, like ``MC_O_20251121_000156``.
    """

    instrument: str
    exposure_id: int
    detector: int
    obs_id: str


def identify(header: Mapping[str, HeaderValue]) -> RawIdentity:
    """Return which exposure and detector a raw is.

    Parameters
    ----------
    header
        Primary header.

    Raises
    ------
    RefusedError
        If the instrument is missing or not of the LSSTCam family, no detector, day or sequence number can be
        derived or is impossible, or the file holds the stamps of a guider.
    """
    instrument = find_instrument(header)
    return read_identity(instrument, identity_cards(instrument, header))


def read_identity(instrument: str, header: Mapping[str, HeaderValue]) -> RawIdentity:
    """Return which exposure and detector a header says, with nothing corrected; raises as `identify` does."""
    detector = _find_detector(instrument, header)
    exposure_id = compute_exposure_id(
        find_day_obs(header), find_seq_num(header), get_text(header, "CONTRLLR") or None
    )
    if "CALIB_ID" in header:
        raise RefusedError("The header has a CALIB_ID card: the file is a calibration, not a raw.")
    return RawIdentity(instrument, exposure_id, detector, find_obs_id(instrument, header))


def identity_cards(instrument: str, header: Mapping[str, HeaderValue]) -> Mapping[str, HeaderValue]:
    """Return a header whose identity is that of the translated one.

    Parameters
    ----------
    instrument
        Name of the instrument in the registry.
    header
        Primary header; it is not changed.

    Returns
    -------
    header
        With the corrections of its exposure, and with the cards that the first raws of LATISS lack.

    Raises
    ------
    RefusedError
        If the exposure has no name.
    """
    obs_id = find_obs_id(instrument, header)
    corrected = correct(header, instrument, obs_id)
    if instrument != "LATISS":
        return corrected
    missing = missing_latiss_cards(corrected, obs_id)
    return ChainMap(missing, corrected) if missing else corrected  # type: ignore[arg-type]  # never written to


def missing_latiss_cards(header: Mapping[str, HeaderValue], obs_id: str) -> dict[str, HeaderValue]:
    """Return the cards that the first raws of LATISS lack, made from the name of the exposure.

    Parameters
    ----------
    header
        Primary header.
    obs_id
        Name of the exposure, like ``AT_O_20190306_000014``.
    """
    cards: dict[str, HeaderValue] = {}
    parts = obs_id.split("_", _OBS_ID_PARTS - 1)
    if "OBSID" not in header:
        cards["OBSID"] = obs_id
    if "DAYOBS" not in header:
        named = len(parts) == _OBS_ID_PARTS and len(parts[2]) == len("YYYYMMDD")
        if day := parts[2] if named else header.get("OBS-NITE"):
            cards["DAYOBS"] = day
    if "SEQNUM" not in header and len(parts) == _OBS_ID_PARTS and parts[3].isdecimal():
        cards["SEQNUM"] = int(parts[3])
    return cards


def exposure_cards(header: Mapping[str, HeaderValue]) -> dict[str, HeaderValue]:
    """Return the cards on which all raws of one exposure must agree, to detect contradictions.

    Parameters
    ----------
    header
        Primary header.

    Returns
    -------
    cards
        Those that the header has with a value.  Compare two raws on the cards that both have: a raw that was
        written while telemetry was missing lacks cards that others of the exposure have, which is no
        contradiction. Numbers written as text (``DAYOBS``) are given as numbers.
    """
    cards: dict[str, HeaderValue] = {
        key: value for key in _EXPOSURE_CARDS if (value := header.get(key)) is not None
    }
    for key in _NUMBERED & cards.keys():
        value = cards[key]
        if isinstance(value, str) and value.isdecimal():
            cards[key] = int(value)
    return cards


def compute_exposure_id(day_obs: int, seq_num: int, controller: str | None) -> int:
    """Return the number of an exposure.

    Parameters
    ----------
    day_obs
        Day of observation, YYYYMMDD.
    seq_num
        Sequence number in that day.
    controller
        Code of what commanded the exposure; `None` counts as the observatory (``O``).

    Returns
    -------
    exposure_id
        The digits of the day, then five of the sequence number.  The year is advanced by a thousand for each
        place of the controller in ``OCHPQS``, except since it shares the observatory's own sequence (``C``
        since 2023-10-05; ``P``, ``S`` and ``Q`` since 2025-04-18), as in the reference page of the raws.

    Raises
    ------
    RefusedError
        If the controller is not known or the sequence number is out of range.
    """
    if not 0 <= seq_num < MAX_SEQ_NUM:
        raise RefusedError(f"SEQNUM is {seq_num}; an exposure id has room for 0 to {MAX_SEQ_NUM - 1}.")
    if controller is not None and day_obs < _SHARED_SINCE.get(controller, day_obs + 1):
        if len(controller) != 1 or controller not in CONTROLLERS:
            raise RefusedError(f"CONTRLLR is {controller!r}; it must be one of {', '.join(CONTROLLERS)}.")
        day_obs += CONTROLLERS.index(controller) * _CONTROLLER_DAYS
    return day_obs * MAX_SEQ_NUM + seq_num


def find_instrument(header: Mapping[str, HeaderValue]) -> str:
    """Return the instrument's name in the registry.

    Raises
    ------
    RefusedError
        If it is missing or not of the LSSTCam family.
    """
    value = get_text(header, "INSTRUME")
    if not value:
        raise RefusedError("The header has no INSTRUME card: not a raw of the LSSTCam family.")
    name = value.lower()
    if name == _LAB_CAMERA and get_text(header, "TELCODE") == "CC":
        return "LSSTComCam"
    if name not in _INSTRUMENTS:
        names = ", ".join(dict.fromkeys(_INSTRUMENTS.values()))
        raise RefusedError(f"INSTRUME is {value!r}; raws of {names} are handled.")
    telescope = get_text(header, "TELESCOP")
    if name in _AMBIGUOUS and telescope and telescope not in _TELESCOPES:
        raise RefusedError(f"INSTRUME is {value!r}, but TELESCOP is {telescope!r}: not a camera of Rubin.")
    return _INSTRUMENTS[name]


def find_obs_id(instrument: str, header: Mapping[str, HeaderValue]) -> str:
    """Return the name of the exposure.

    Raises
    ------
    RefusedError
        If it has none.
    """
    # The first raws of LATISS have it under another keyword.
    obs_id = get_text(header, "OBSID") or (get_text(header, "IMGNAME") if instrument == "LATISS" else "")
    if not obs_id:
        raise RefusedError("The header has no OBSID card, so the exposure has no name.")
    return obs_id


def find_day_obs(header: Mapping[str, HeaderValue]) -> int:
    """Return the day of observation, YYYYMMDD.

    Raises
    ------
    RefusedError
        If it is missing or not a date of this century.
    """
    value = get_text(header, "DAYOBS").replace("-", "")
    if not value:
        raise RefusedError("The header has no DAYOBS card.")
    if not _is_day(value):
        raise RefusedError(f"DAYOBS is {value!r}; it must be a date, YYYYMMDD.")
    return int(value)


def find_seq_num(header: Mapping[str, HeaderValue]) -> int:
    """Return the sequence number within the day.

    Raises
    ------
    RefusedError
        If it is missing or not a whole number.
    """
    value = header.get("SEQNUM")
    if value is None:
        raise RefusedError("The header has no SEQNUM card.")
    try:
        return int(str(value))
    except ValueError:
        raise RefusedError(f"SEQNUM is {value!r}; it must be a whole number.") from None


def get_text(header: Mapping[str, HeaderValue], keyword: str) -> str:
    """Return the value of a card as text without outer blanks, empty where it has none."""
    value = header.get(keyword)
    return "" if value is None else str(value).strip()


def _find_detector(instrument: str, header: Mapping[str, HeaderValue]) -> int:
    if instrument == "LATISS":
        return 0
    raft, slot = get_text(header, "RAFTBAY"), get_text(header, "CCDSLOT")
    if not raft or not slot:
        raise RefusedError(
            f"The header has no RAFTBAY and CCDSLOT cards to name the detector of {instrument}."
        )
    try:
        detector = load_camera(instrument).by_name(f"{raft}_{slot}")
    except KeyError:
        raise RefusedError(f"RAFTBAY and CCDSLOT name {raft}_{slot}, which {instrument} has not.") from None
    if holds_stamps(header):
        raise RefusedError(f"{detector.name} is a guider: its file holds stamps, which are left aside.")
    return detector.id


def holds_stamps(header: Mapping[str, HeaderValue]) -> bool:
    """Tell whether a header is of the stamps of a guider, as the full stack writes them."""
    name = get_text(header, "FILENAME").partition(".")[0]
    return name.endswith("_guider") or any(header.get(card) is not None for card in _STAMP_CARDS)


@functools.lru_cache(maxsize=64)
def _is_day(text: str) -> bool:
    if len(text) != len("YYYYMMDD") or not text.isdecimal():
        return False
    try:
        return 2000 <= datetime.date(int(text[:4]), int(text[4:6]), int(text[6:])).year < 2100
    except ValueError:
        return False
