"""The data IDs that a shard covers."""

from __future__ import annotations

__all__ = ("Scope",)

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Self

from lsst.daf.butler import DatasetRef, DimensionGroup

from ..model import Shard
from ._records import RecordStore
from ._steps import StepPart

type Row = Mapping[str, str | int]
"""Dimension names and their values, implied ones included."""

type Key = tuple[str | int, ...]


class Scope:
    """The data IDs that a shard covers, as the rows that upstream's initial data ID query would give.

    Parameters
    ----------
    rows
        A row for each combination of exposure, visit and detector; all have the same dimensions.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows: Sequence[Row] = tuple(rows)

    @classmethod
    def of(
        cls,
        part: StepPart,
        shard: Shard,
        refs: Mapping[str, Sequence[DatasetRef]],
        records: RecordStore,
        detectors: Iterable[int],
    ) -> Self:
        """Return the scope of a shard for one part of its step.

        Parameters
        ----------
        part
            The part of the shard's step.
        shard
            The shard.
        refs
            What it reads that is there already, by the name of the dataset type.
        records
            Dimension records of the shard's exposures, visits included.
        detectors
            Those of a gather of which a raw has come.

        Raises
        ------
        LookupError
            If a record is missing, or a visit is needed and none is defined.
        """
        dimensions = part.dimensions
        covered: Sequence[int | None] = [shard.detector]
        if "detector" in dimensions and shard.detector is None:
            covered = sorted(_detectors(part, refs) if part.detectors_of else set(detectors))
        rows: list[Row] = []
        for exposure in shard.exposures:
            record = records.get("exposure", shard.instrument, exposure)
            if record is None:
                raise LookupError(
                    f"There is no record of exposure for instrument={shard.instrument!r}, "
                    f"exposure={exposure}."
                )
            row = {
                "instrument": shard.instrument,
                "exposure": exposure,
                "group": record.group,
                "day_obs": record.day_obs,
                "physical_filter": record.physical_filter,
            }
            physical_filter = records.get("physical_filter", shard.instrument, record.physical_filter)
            if physical_filter is not None:
                row["band"] = physical_filter.band
            visits: Sequence[int | None] = [None]
            if "visit" in dimensions:
                visits = records.visits(shard.instrument, exposure)
                if not visits:
                    raise LookupError(
                        f"No visit is defined for exposure {exposure} of {shard.instrument}, which is not "
                        "on sky or not yet defined."
                    )
            for visit, detector in itertools.product(visits, covered):
                more = {} if visit is None else {"visit": visit}
                if detector is not None:
                    more["detector"] = detector
                rows.append({**row, **more})
        return cls(rows)

    def constrained(self, names: Iterable[str], refs: Mapping[str, Sequence[DatasetRef]]) -> Scope:
        """Return the rows for which a dataset of every one of these types is there."""
        rows = self.rows
        for name in names:
            found = refs.get(name, ())
            if not found:
                return Scope(())
            dimensions = found[0].dataId.dimensions
            there = {ref.dataId.required_values for ref in found}
            rows = [row for row in rows if key_of(row, dimensions) in there]
        return Scope(rows)

    def by_data_id(self, dimensions: DimensionGroup) -> Iterator[tuple[Key, Scope]]:
        """Yield each data ID of these dimensions, by its required values, and the rows that have it."""
        split: dict[Key, list[Row]] = {}
        for row in self.rows:
            split.setdefault(key_of(row, dimensions), []).append(row)
        for key in sorted(split):
            yield key, Scope(split[key])

    def keys(self, dimensions: DimensionGroup) -> list[Key]:
        """Return the data IDs of these dimensions, by their required values, each once."""
        return list(dict.fromkeys(key_of(row, dimensions) for row in self.rows))


def key_of(row: Row, dimensions: DimensionGroup) -> Key:
    """Return the required values of a row's data ID."""
    return tuple(row[name] for name in dimensions.required)


def _detectors(part: StepPart, refs: Mapping[str, Sequence[DatasetRef]]) -> set[int]:
    """Return the detectors that a gather has something of."""
    return {int(ref.dataId["detector"]) for name in part.detectors_of for ref in refs.get(name, ())}
