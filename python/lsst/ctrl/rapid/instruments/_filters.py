"""Physical filters of the LSSTCam family: how headers name them, and their bands."""

from __future__ import annotations

__all__ = ("filter_band", "known_filters", "physical_filter")

import functools
import re
from collections.abc import Mapping

from ._header import RefusedError
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
    white: ef_43 ph_5 none
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
    sparsegrid: sparsegrid
    streak: streak
    ellipses: ellipses
""")
_DENSITIES = ("0.01", "0.05", "0.1", "0.3", "0.4", "0.5", "0.7", "1.0", "2.0", "3.0", "4.0")
_CALIBRATION_LAMP = _table("""
    u: uv
    g: blue
    r: red
    i: nm750
    z: nm850
    y: nm960
    white: HIGH LOW
""")
"""Colours of the beam of the calibration system, which a header may name beside the filter."""

_NO_FILTER = {"empty": "white", UNKNOWN: UNKNOWN}
_COMCAM = _table("""
    u: u_02 u_05 u_06
    g: g_01 g_07
    r: r_03
    i: i_06
    z: z_02 z_03
    y: y_04
    OG590: OG590_2_5mm
    white: pinhole none empty
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
    diffuser: diffuser
    unknown: unknown
""")
_PINHOLES = tuple(
    f"pinhole_{mask}_{size}"
    for mask in ("1", "2_1", "2_2", "2_3", "2_4")
    for size in ("1000", "0500", "0200", "0100")
)
_LATISS_GRATINGS = (
    "empty",
    "unknown",
    "ronchi90lpmm",
    "ronchi170lpmm",
    "holo4_001",
    "holo4_003",
    "blue300lpmm_qn1",
    *_PINHOLES,
)
_BOTH_WHEELS = frozenset(name for name in _LATISS if name.startswith("SDSS") and name.endswith("_65mm"))
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
    name = _latiss_filter(header) if instrument == "LATISS" else _camera_filter(header)
    if len(name) > MAX_LENGTH:
        raise RefusedError(f"The filter's name {name!r} has more than {MAX_LENGTH} characters.")
    return name


def _latiss_filter(header: Mapping[str, HeaderValue]) -> str:
    name, grating = (_value(header, card) for card in ("FILTER", "GRATING"))
    if name is None:
        name = UNKNOWN
    elif _EMPTY.fullmatch(name):
        name = "empty"
    if grating is None:
        grating = UNKNOWN
    elif not grating or grating.lower().startswith("empty"):
        grating = "empty"
    return f"{name}~{grating}"


def _camera_filter(header: Mapping[str, HeaderValue]) -> str:
    parts = [_value(header, card) for card in ("FILTER", "FILTER1", "FILTER2")]
    name = "~".join(part for part in parts if part is not None).replace("NONE", "none")
    while name.endswith("~empty"):
        name = name.removesuffix("~empty")
    return name or UNKNOWN


def _value(header: Mapping[str, HeaderValue], card: str) -> str | None:
    value = header.get(card)
    return None if value is None else str(value).strip()


@functools.cache
def known_filters(instrument: str) -> Mapping[str, str]:
    """Return the band of each filter with which an instrument is registered."""
    if instrument == "LATISS":
        return _latiss_filters()
    if instrument in ("LSSTComCam", "LSSTComCamSim"):
        return _COMCAM
    return _camera_filters()


def _camera_filters() -> dict[str, str]:
    densities = [f"ND_OD{density}" for density in _DENSITIES]
    lit = {
        f"{name}~{lamp}": lamp_band if band == "white" else band
        for name, band in _TELESCOPE.items()
        for lamp, lamp_band in _CALIBRATION_LAMP.items()
        if "white" in (band, lamp_band) or band == lamp_band
    }
    dense = {f"{name}~{density}": f"{band}~nd" for name, band in _TEST_STAND.items() for density in densities}
    return {
        **_TELESCOPE,
        **_NO_FILTER,
        **_TEST_STAND,
        **dense,
        **dict.fromkeys(densities, "white~nd"),
        **_CALIBRATION_LAMP,
        **lit,
    }


def _latiss_filters() -> dict[str, str]:
    with_gratings = {
        f"{name}~{grating}": band
        for name, band in _LATISS.items()
        if name != "diffuser"
        for grating in _LATISS_GRATINGS
    }
    return {**_LATISS, **with_gratings, **{f"empty~{name}": _LATISS[name] for name in sorted(_BOTH_WHEELS)}}


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
