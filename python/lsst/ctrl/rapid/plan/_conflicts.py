"""Dimension records that the registry has otherwise: what is registered stays."""

from __future__ import annotations

__all__ = ("ContradictionError", "differences", "sync_record")

from lsst.daf.butler import Butler, DimensionRecord
from lsst.daf.butler.registry import ConflictingDefinitionError

_MOST_TOLD = 200
"""Characters of a value that a message shows."""


class ContradictionError(ValueError):
    """A record names something by the key of another thing that is registered; the message gives both."""


def sync_record(butler: Butler, record: DimensionRecord) -> tuple[bool, str]:
    """Register a dimension record, unless the registry has one of its key.

    Parameters
    ----------
    butler
        The repository.
    record
        The record.

    Returns
    -------
    inserted
        Whether it is new.
    differing
        What the registry has otherwise, and keeps, with both values; empty if there is nothing.

    Raises
    ------
    ContradictionError
        If the two cannot be the same thing: a name that must be unique, like the ``obs_id`` of an exposure,
        differs, or is that of another record.
    """
    element = record.definition
    try:
        return bool(butler.registry.syncDimensionData(element.name, record)), ""
    except ConflictingDefinitionError as err:
        registered = _registered(butler, record)
        if registered is None:
            raise ContradictionError(_taken(butler, record) or str(err)) from err
        differing = differences(record, registered)
        told = "; ".join(differing.values())
        if differing.keys() & _unique_names(butler, record):
            raise ContradictionError(
                f"{_name(record)} contradicts the registry, where it is something else: {told}"
            ) from err
        return False, told


def differences(ours: DimensionRecord, theirs: DimensionRecord) -> dict[str, str]:
    """Return in words how a record differs from the registered one, by the name of the field."""
    return {
        name: "region is another in the registry, not ours"
        if name == "region"
        else f"{name} is {_shown(theirs, name)} in the registry, not {_shown(ours, name)}"
        for name in ours.fields.names
        if getattr(ours, name) != getattr(theirs, name)
    }


def _registered(butler: Butler, record: DimensionRecord) -> DimensionRecord | None:
    for _ in range(2):
        found = butler.query_dimension_records(record.definition.name, data_id=record.dataId, explain=False)
        if found:
            return found[0]
        # Some elements are answered from a cache, which may be older than the record.
        butler.registry.refresh()
    return None


def _taken(butler: Butler, record: DimensionRecord) -> str:
    """Return in words which other record has a name of this one; empty if none has."""
    element = record.definition.name
    governors = {name: record.dataId[name] for name in record.dataId.dimensions.governors}
    for name in sorted(_unique_names(butler, record)):
        value = getattr(record, name)
        found = butler.query_dimension_records(
            element,
            data_id=governors,
            where=f"{element}.{name} = :value",
            bind={"value": value},
            explain=False,
        )
        if found:
            return f"{_name(record)} contradicts the registry, where {name} {value!r} is {_name(found[0])}"
    return ""


def _unique_names(butler: Butler, record: DimensionRecord) -> set[str]:
    """Return the fields beside the key that name a record uniquely."""
    dimensions = butler.dimensions.dimensions
    element = record.definition.name
    return set(dimensions[element].alternate_keys.names) if element in dimensions.names else set()


def _name(record: DimensionRecord) -> str:
    *governors, own = record.dataId.required_values
    return f"{record.definition.name} {own}" + (f" of {governors[0]}" if governors else "")


def _shown(record: DimensionRecord, name: str) -> str:
    value = getattr(record, name)
    return repr(value) if isinstance(value, str) else str(value)[:_MOST_TOLD]
