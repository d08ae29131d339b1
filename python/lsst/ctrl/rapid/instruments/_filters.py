"""Physical filters of the LSSTCam family: how headers name them, and their bands."""

from __future__ import annotations

__all__ = ("filter_band", "known_filters", "physical_filter")

import functools
import re
from collections.abc import Mapping

from ._header import RefusedError
from ._identity import get_text
from ._raw import HeaderValue

UNKNOWN = "unknown"
"""Filter of a raw that does not say which, and band of a filter that we do not know."""

MAX_LENGTH = 32
"""Longest name of a filter that a registry takes, characters."""


def _table(text: str) -> Mapping[str, str]:
    """Return the band of each filter of a table whose lines are a band, a colon and its filters."""
    lines = (line.partition(":") for line in text.strip().splitlines())
    return {name: band.strip() for band, _, names in lines for name in names.split()}


_TELESCOPE = _table("""
    u: u_24
    g: g_6
    r: r_57
    i: i_39
    z: z_20
    y: y_10
    white: ef_43 ph_5 none empty
    unknown: unknown
""")
_TEST_STAND = _table("""
    u: SDSSu
    g: SDSSg 480nm
    r: SDSSr 650nm
    i: SDSSi 750nm
    z: SDSSz 870nm
    y: SDSSY 950nm 970nm
    grid: grid
    spot: spot
""")
_DENSITIES = ("0.01", "0.05", "0.1", "0.3", "0.4", "0.5", "0.7", "1.0", "2.0", "3.0", "4.0")
_COMCAM = _table("""
    u: u_02 u_05 u_06
    g: g_01 g_07
    r: r_03
    i: i_06
    z: z_02 z_03
    y: y_04
    white: none empty
    unknown: unknown
""")
_LATISS = _table("""
    u: SDSSu_65mm
    g: SDSSg SDSSg_65mm BG40 BG40_65mm_1 BG40_65mm_2 OG550_65mm_1 OG550_65mm_2 KPNO_1111_436nm
    r: SDSSr SDSSr_65mm RG610 FELH0600 KPNO_373A_677nm
    i: SDSSi SDSSi_65mm
    z: SDSSz_65mm KPNO_406_828nm
    y: SDSSy_65mm
    notch: quadnotch1
    white: empty blank_bk7_wg05 collimator cyl_lens
    unknown: unknown
""")
_LATISS_GRATINGS = (
    "empty",
    "unknown",
    "ronchi90lpmm",
    "ronchi170lpmm",
    "holo4_001",
    "holo4_003",
    "blue300lpmm_qn1",
)
_BOTH_WHEELS = frozenset(name for name in _LATISS if name.endswith("_65mm"))
"""Filters that can also sit in the wheel of the gratings."""

_EMPTY = re.compile(r"empty_?\d*", re.IGNORECASE)


def physical_filter(instrument: str, header: Mapping[str, HeaderValue]) -> str:
    """Return the name of the filter that a raw was taken through.

    Parameters
    ----------
    instrument
        Name of the instrument in the registry.
    header
        Primary header.

    Raises
    ------
    RefusedError
        If the name is too long for a registry.
    """
    if instrument == "LATISS":
        name = "~".join(_wheel(header, card) for card in ("FILTER", "GRATING"))
    else:
        name = _camera_filter(header)
    if len(name) > MAX_LENGTH:
        raise RefusedError(f"The filter's name {name!r} has more than {MAX_LENGTH} characters.")
    return name


def _wheel(header: Mapping[str, HeaderValue], card: str) -> str:
    value = get_text(header, card) or UNKNOWN
    return "empty" if _EMPTY.fullmatch(value) else value


def _camera_filter(header: Mapping[str, HeaderValue]) -> str:
    # Without a filter, what the test stand's neutral density wheel says means nothing.
    if not get_text(header, "FILTER") and not get_text(header, "FILTER1"):
        return UNKNOWN
    parts = [get_text(header, card) for card in ("FILTER", "FILTER1", "FILTER2")]
    name = "~".join(part for part in parts if part).replace("NONE", "none")
    while name.endswith("~empty"):
        name = name.removesuffix("~empty")
    return name


@functools.cache
def known_filters(instrument: str) -> Mapping[str, str]:
    """Return the band of each filter with which an instrument is registered."""
    if instrument == "LATISS":
        return {name: filter_band("LATISS", name) for name in _latiss_names()}
    if instrument in ("LSSTComCam", "LSSTComCamSim"):
        return _COMCAM
    dense = {
        f"{name}~ND_OD{density}": f"{band}~nd" for name, band in _TEST_STAND.items() for density in _DENSITIES
    }
    return {**_TELESCOPE, **_TEST_STAND, **dense, **{f"ND_OD{density}": "white~nd" for density in _DENSITIES}}


def _latiss_names() -> list[str]:
    through_gratings = [f"{name}~{grating}" for name in _LATISS for grating in _LATISS_GRATINGS]
    return [*through_gratings, *(f"empty~{name}" for name in sorted(_BOTH_WHEELS))]


def filter_band(instrument: str, physical_filter: str) -> str:
    """Return the band of a filter, also of one that the registry has not seen.

    Parameters
    ----------
    instrument
        Name of the instrument in the registry.
    physical_filter
        Name of the filter.

    Returns
    -------
    band
        ``unknown`` for a filter that we do not know.
    """
    if instrument == "LATISS":
        name, _, grating = physical_filter.partition("~")
        return _LATISS.get(grating if name == "empty" and grating in _BOTH_WHEELS else name, UNKNOWN)
    if instrument in ("LSSTCam", "LSSTCamSim", "LSSTComCam", "LSSTComCamSim"):
        return known_filters(instrument).get(physical_filter, UNKNOWN)
    return UNKNOWN
