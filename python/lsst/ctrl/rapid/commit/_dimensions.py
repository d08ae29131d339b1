"""Registering the dimension records that exposures give."""

from __future__ import annotations

__all__ = ("sync_key", "sync_records")

import logging
from collections.abc import Iterable

from lsst.daf.butler import Butler, DimensionRecord

from ..plan import sync_record
from ._visits import VISIT_ELEMENTS, register_visits

_LOG = logging.getLogger(__name__)

_ELEMENTS = ("physical_filter", "day_obs", "group", "exposure")
"""Elements whose records come with raws, each after those that it refers to."""


def sync_records(butler: Butler, records: Iterable[DimensionRecord]) -> None:
    """Register the dimension records of exposures and of their visits.

    Parameters
    ----------
    butler
        Where to; no transaction is open.
    records
        The records; a visit comes with all that belongs to it.

    Raises
    ------
    lsst.ctrl.rapid.plan.ContradictionError
        If a record has the key of another thing: an exposure of one number with two names, or of one name
        with two numbers.

    Notes
    -----
    A record that the registry has otherwise stays there as it is, with one warning that gives both values:
    raws and products are registered all the same.
    """
    records = list({id(record): record for record in records}.values())
    for element in _ELEMENTS:
        for record in {r.dataId: r for r in records if r.definition.name == element}.values():
            is_new, differing = sync_record(butler, record)
            if differing:
                _LOG.warning("%s stays as it is registered: %s.", record.dataId, differing)
            if is_new and element == "physical_filter":
                _LOG.warning("A filter that the registry had not seen was registered: %s.", record)
    register_visits(butler, records)


def sync_key(record: DimensionRecord) -> tuple[str, tuple[object, ...]]:
    """Return by what it is remembered that a record was registered: all of a visit by the visit."""
    element = record.definition.name
    if element in VISIT_ELEMENTS:
        return "visit", (record.dataId["instrument"], record.dataId["visit"])
    return element, record.dataId.required_values
