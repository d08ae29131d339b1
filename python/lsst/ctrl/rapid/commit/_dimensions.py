"""Registering the dimension records that exposures give."""

from __future__ import annotations

__all__ = ("sync_key", "sync_records")

import logging
from collections.abc import Iterable

from lsst.daf.butler import Butler, DimensionRecord
from lsst.daf.butler.registry import ConflictingDefinitionError

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
    lsst.daf.butler.registry.ConflictingDefinitionError
        If a record of an exposure contradicts what the registry has.

    Notes
    -----
    A visit, or the span of an observing day, that the registry has otherwise stays there as it is, with a
    warning: it may be somebody else's.
    """
    records = list({id(record): record for record in records}.values())
    for element in _ELEMENTS:
        for record in {r.dataId: r for r in records if r.definition.name == element}.values():
            try:
                is_new = butler.registry.syncDimensionData(element, record)
            except ConflictingDefinitionError as err:
                if element != "day_obs":
                    raise
                _LOG.warning("The registry has %s otherwise, and keeps it: %s", record.dataId, err)
                continue
            if is_new and element == "physical_filter":
                _LOG.warning("A filter that the registry had not seen was registered: %s.", record)
    register_visits(butler, records)


def sync_key(record: DimensionRecord) -> tuple[str, tuple[object, ...]]:
    """Return by what it is remembered that a record was registered: all of a visit by the visit."""
    element = record.definition.name
    if element in VISIT_ELEMENTS:
        return "visit", (record.dataId["instrument"], record.dataId["visit"])
    return element, record.dataId.required_values
