"""Data IDs with their dimension records, from memory."""

from __future__ import annotations

__all__ = ("DataIds", "RecordStore", "record_to_json", "records_from_json")

import functools
from collections.abc import Iterable

from lsst.daf.butler import Butler, DataCoordinate, DimensionGroup, DimensionRecord, DimensionUniverse

_KEPT = 2000
"""Records whose serialised form is remembered: more than the exposures in work have."""

_STATIC = ("instrument", "detector", "physical_filter")


class RecordStore:
    """Dimension records in memory, by element and required data ID values.

    Parameters
    ----------
    universe
        The repository's dimensions.
    records
        Records to begin with.

    Notes
    -----
    Expanding a data ID takes no database: all records that it needs must have been added before.
    """

    def __init__(self, universe: DimensionUniverse, records: Iterable[DimensionRecord] = ()) -> None:
        self.universe = universe
        self._records: dict[str, dict[tuple[object, ...], DimensionRecord]] = {}
        self.add(records)

    @classmethod
    def from_butler(cls, butler: Butler, instruments: Iterable[str]) -> RecordStore:
        """Load what does not change with every exposure: instruments, detectors, physical filters."""
        store = cls(butler.dimensions)
        for instrument in instruments:
            for element in _STATIC:
                store.add(butler.query_dimension_records(element, instrument=instrument, explain=False))
        return store

    def add(self, records: Iterable[DimensionRecord]) -> None:
        """Add records, replacing those of the same data ID."""
        for record in records:
            self._records.setdefault(record.definition.name, {})[record.dataId.required_values] = record

    def discard(self, records: Iterable[DimensionRecord]) -> None:
        """Forget records, so that memory stays flat; those that do not change with every exposure stay."""
        for record in records:
            if record.definition.name in _STATIC:
                continue
            self._records.get(record.definition.name, {}).pop(record.dataId.required_values, None)

    def get(self, element: str, *values: object) -> DimensionRecord | None:
        """Return the record of an element with these required values, or `None`."""
        return self._records.get(element, {}).get(values)

    def visits(self, instrument: str, exposure: int) -> list[int]:
        """Return the visits that an exposure is part of, lowest first."""
        return sorted(
            int(record.visit)
            for record in self._records.get("visit_definition", {}).values()
            if (record.instrument, record.exposure) == (instrument, exposure)
        )

    def static(self) -> Iterable[DimensionRecord]:
        """Iterate over the records that do not change with every exposure."""
        for element in _STATIC:
            yield from self._records.get(element, {}).values()

    def expand(self, dimensions: DimensionGroup, **values: str | int) -> DataCoordinate:
        """Return a data ID with its implied values and all records.

        Parameters
        ----------
        dimensions
            The data ID's dimensions.
        **values
            At least their required values; more are ignored.

        Raises
        ------
        LookupError
            If a record is not known; the message names it.
        """
        known: dict[str, str | int] = dict(values)
        records: dict[str, DimensionRecord] = {}
        for element in dimensions.lookup_order:
            definition = self.universe[element]
            key = tuple(known[name] for name in definition.required.names)
            record = self.get(element, *key)
            if record is None:
                if definition.has_own_table:
                    named = ", ".join(
                        f"{n}={v!r}" for n, v in zip(definition.required.names, key, strict=True)
                    )
                    raise LookupError(f"There is no record of {element} for {named}.")
                key_column = self.universe.dimensions[element].primary_key.name
                record = definition.RecordClass(**{key_column: key[-1]})
                self.add([record])
            records[element] = record
            for name in definition.implied.names:
                known[name] = getattr(record, name)
        coordinate = DataCoordinate.from_full_values(
            dimensions, tuple(known[n] for n in dimensions.data_coordinate_keys)
        )
        return coordinate.expanded(records)


class DataIds:
    """Expanded data IDs by their required values, each expanded once.

    Parameters
    ----------
    records
        Where the records come from.
    """

    def __init__(self, records: RecordStore) -> None:
        self._records = records
        self._expanded: dict[tuple[DimensionGroup, tuple[str | int, ...]], DataCoordinate] = {}

    def expand(self, dimensions: DimensionGroup, values: tuple[str | int, ...]) -> DataCoordinate:
        """Return the data ID with these required values.

        Raises
        ------
        LookupError
            If a record is not known; the message names it.
        """
        found = self._expanded.get((dimensions, values))
        if found is None:
            found = self._records.expand(dimensions, **dict(zip(dimensions.required, values, strict=True)))
            self._expanded[dimensions, values] = found
        return found


def record_to_json(record: DimensionRecord) -> str:
    """Serialise a record for a message."""
    return record.to_simple().model_dump_json()


def records_from_json(texts: Iterable[str], universe: DimensionUniverse) -> list[DimensionRecord]:
    """Read records out of a message; those that came before are not read again."""
    return [_record_from_json(text, universe) for text in texts]


@functools.lru_cache(maxsize=_KEPT)
def _record_from_json(text: str, universe: DimensionUniverse) -> DimensionRecord:
    return DimensionRecord.from_json(text, universe=universe)
