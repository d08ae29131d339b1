"""Dimension records of an exposure, made from its translated header without a registry."""

from __future__ import annotations

__all__ = ("exposure_records", "make_record")

import math
from typing import Any

import astropy.units as u
from astro_metadata_translator import ObservationInfo

from lsst.daf.butler import DimensionElement, DimensionRecord, DimensionUniverse, Timespan

from ._filters import filter_band
from ._header import RefusedError

_BEYOND_INTEGERS = 1 << 63


def exposure_records(info: ObservationInfo, universe: DimensionUniverse) -> dict[str, DimensionRecord]:
    """Return the dimension records that a registry needs for an exposure.

    Parameters
    ----------
    info
        The translated header of any raw of the exposure.
    universe
        Dimensions of the repository.

    Returns
    -------
    records
        The ``day_obs``, ``group``, ``physical_filter`` and ``exposure`` records, by element and in the order
        of insertion.  They are meant to equal what the full stack's ingest makes of the same header.  Angles
        are in degrees, times in seconds, timespans TAI; a day begins at ``observing_day_offset`` after its
        midnight.

    Raises
    ------
    RefusedError
        If a name that is part of a key is too long for a registry.

    Notes
    -----
    Text that describes the exposure and is too long for a registry is cut to what fits.
    """
    instrument = info.instrument
    offset = info.observing_day_offset
    assert instrument is not None, "A translated header names its instrument."
    assert info.observing_day is not None, "A translated header has its day."
    span = None if offset is None else Timespan.from_day_obs(info.observing_day, round(offset.to_value(u.s)))
    return {
        "day_obs": make_record(
            universe, "day_obs", instrument=instrument, id=info.observing_day, timespan=span
        ),
        "group": make_record(universe, "group", instrument=instrument, name=info.exposure_group),
        "physical_filter": make_record(
            universe,
            "physical_filter",
            instrument=instrument,
            name=info.physical_filter,
            band=filter_band(instrument, str(info.physical_filter)),
        ),
        "exposure": make_record(universe, "exposure", **_exposure_fields(info)),
    }


def _exposure_fields(info: ObservationInfo) -> dict[str, Any]:
    ra = dec = sky_angle = azimuth = zenith_angle = None
    if info.tracking_radec is not None:
        icrs = info.tracking_radec.icrs
        ra, dec = float(icrs.ra.deg), float(icrs.dec.deg)
        if info.boresight_rotation_coord == "sky" and info.boresight_rotation_angle is not None:
            sky_angle = float(info.boresight_rotation_angle.deg)
    if info.altaz_begin is not None:
        azimuth, zenith_angle = float(info.altaz_begin.az.deg), float(info.altaz_begin.zen.deg)
    assert info.datetime_begin is not None, "A translated header says when the exposure began."
    assert info.datetime_end is not None, "A translated header says when the exposure ended."
    assert info.exposure_time_requested is not None, "A translated header gives the exposure time."
    return {
        "instrument": info.instrument,
        "id": info.exposure_id,
        "obs_id": info.observation_id,
        "physical_filter": info.physical_filter,
        "group": info.exposure_group,
        "day_obs": info.observing_day,
        "timespan": Timespan(info.datetime_begin, max(info.datetime_begin, info.datetime_end)),
        # Not the shutter's: as the full stack has it since June 2025.
        "exposure_time": float(info.exposure_time_requested.to_value(u.s)),
        "dark_time": None if info.dark_time is None else float(info.dark_time.to_value(u.s)),
        "observation_type": info.observation_type,
        "observation_reason": info.observation_reason,
        "seq_num": info.observation_counter,
        "seq_start": info.group_counter_start,
        "seq_end": info.group_counter_end,
        "target_name": info.object,
        "science_program": info.science_program,
        "tracking_ra": ra,
        "tracking_dec": dec,
        "sky_angle": sky_angle,
        "azimuth": azimuth,
        "zenith_angle": zenith_angle,
        "has_simulated": info.has_simulated_content,
        "can_see_sky": info.can_see_sky,
    }


def _fits(value: object) -> bool:
    """Tell whether a registry can take a value, text aside."""
    match value:
        case bool() | str():
            return True
        case int():
            return abs(value) < _BEYOND_INTEGERS
        case float():
            return math.isfinite(value)
        case _:
            return True


def make_record(universe: DimensionUniverse, element_name: str, /, **fields: Any) -> DimensionRecord:
    """Return a record with those of the fields that the universe's version of the element has.

    Raises
    ------
    RefusedError
        If the text of a key is too long.
    """
    element: DimensionElement = universe[element_name]
    columns = element.RecordClass.fields.standard
    kept = {key: value for key, value in fields.items() if key in element.RecordClass.fields.names}
    for key, value in kept.items():
        if not _fits(value):
            raise RefusedError(f"The {element_name}'s {key} would be {value}, which cannot be.")
        limit = columns[key].length if isinstance(value, str) else None
        if limit is None or len(value) <= limit:
            continue
        if key not in element.metadata_columns.names:
            raise RefusedError(f"The {element_name}'s {key} {value!r} has more than {limit} characters.")
        kept[key] = value[:limit]
    return element.RecordClass(**kept)
