"""Calibrations by validity, from memory."""

from __future__ import annotations

__all__ = ("CalibrationError", "Calibrations")

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from lsst.daf.butler import (
    Butler,
    CollectionType,
    DataCoordinate,
    DatasetRef,
    DatasetType,
    DimensionGroup,
    Timespan,
)
from lsst.daf.butler.registry import MissingDatasetTypeError

_LOG = logging.getLogger(__name__)

type _Key = tuple[object, ...]


class CalibrationError(LookupError):
    """Two certifications of one collection hold for the same moment: which is right cannot be told."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Certification:
    """One dataset in one collection, and when it holds; `None` means always: a RUN has no ranges."""

    rank: int
    timespan: Timespan | None
    ref: DatasetRef


class Calibrations:
    """Every certification of every calibration type in every input collection, resolved in memory.

    Parameters
    ----------
    dataset_types
        The types to keep, in the repository's definition.
    collections
        Input collections, in the order in which they are searched.
    optional
        Whether they are not missed where none is certified.

    Notes
    -----
    For a moment the dataset of the first collection in chain order with a validity range that overlaps
    it is the right one, as `lsst.daf.butler.Butler.find_dataset` has it.  Keeping "the" range of the last hit
    would be wrong: a later certification in an earlier collection may shadow a part of it.

    `refresh` queries the database; `find` does not.
    """

    def __init__(
        self, dataset_types: Iterable[DatasetType], collections: Sequence[str], *, optional: bool = False
    ) -> None:
        self._optional = optional
        self._dataset_types = {dataset_type.name: dataset_type for dataset_type in dataset_types}
        self._collections = tuple(collections)
        self._certifications: Mapping[str, Mapping[_Key, Sequence[_Certification]]] = {}
        self._counts: Mapping[str, int] | None = None

    def refresh(self, butler: Butler) -> None:
        """Read all certifications anew: one query for each dataset type.

        Safe to call while another thread calls `find`: what was read replaces the old in one assignment.
        """
        ranks = {
            name: rank
            for rank, name in enumerate(butler.collections.query(self._collections, flatten_chains=True))
        }
        read = {
            name: _read(butler, dataset_type, ranks) for name, dataset_type in self._dataset_types.items()
        }
        counts = {name: sum(map(len, by_data_id.values())) for name, by_data_id in read.items()}
        if counts != self._counts:
            told = ", ".join(f"{count} of {name}" for name, count in counts.items())
            _LOG.info("Calibrations known: %s.", told or "none are needed")
            if not self._optional and (without := [name for name, count in counts.items() if not count]):
                _LOG.warning(
                    "Nothing is certified of %s in %s: what needs it fails until it is.",
                    ", ".join(without), ", ".join(self._collections),
                )  # fmt: skip
        self._certifications, self._counts = read, counts

    def refs(self) -> list[DatasetRef]:
        """Return every dataset that may be found, each once."""
        found = {
            c.ref.id: c.ref
            for by_data_id in self._certifications.values()
            for certifications in by_data_id.values()
            for c in certifications
        }
        return list(found.values())

    def common(self, dimensions: DimensionGroup) -> list[str]:
        """Return the names of the types that have these dimensions and no others."""
        return [name for name, found in self._dataset_types.items() if found.dimensions == dimensions]

    def find(
        self, dataset_type: str, data_id: DataCoordinate, timespan: Timespan | None
    ) -> DatasetRef | None:
        """Return the calibration that holds.

        Parameters
        ----------
        dataset_type
            Name of the type.
        data_id
            A data ID with at least the type's dimensions.
        timespan
            When it must hold; `None`, of an exposure whose times are not known, is in no validity range.

        Raises
        ------
        CalibrationError
            If two datasets of the first collection that has one hold for it.
        """
        dimensions = self._dataset_types[dataset_type].dimensions
        key = tuple(data_id[name] for name in dimensions.required)
        found: _Certification | None = None
        for candidate in self._certifications.get(dataset_type, {}).get(key, ()):
            if found is not None and candidate.rank > found.rank:
                break
            if candidate.timespan is not None:
                if timespan is None or not candidate.timespan.overlaps(timespan):
                    continue
                if found is not None and found.ref.id != candidate.ref.id:
                    raise CalibrationError(
                        f"Two {dataset_type} datasets ({found.ref.id} and {candidate.ref.id}) are certified "
                        f"for {data_id} at {timespan} in one collection; decertify one of them."
                    )
            if found is None:
                found = candidate
        return None if found is None else found.ref


def _read(
    butler: Butler, dataset_type: DatasetType, ranks: Mapping[str, int]
) -> Mapping[_Key, Sequence[_Certification]]:
    found: defaultdict[_Key, list[_Certification]] = defaultdict(list)
    name = dataset_type.name
    searched = {
        info.name: info.type
        for info in butler.collections.query_info(list(ranks), include_summary=True)
        if info.type is not CollectionType.CHAINED and name in (info.dataset_types or ())
    }
    if not searched:
        return found
    try:
        with butler.query() as query:
            rows = list(
                query.join_dataset_search(name, list(searched)).general(
                    dataset_type.dimensions,
                    dataset_fields={name: {"dataset_id", "run", "collection", "timespan"}},
                    find_first=False,
                )
            )
    except MissingDatasetTypeError:
        return found
    for row in rows:
        data_id = DataCoordinate.standardize(
            {d: row[d] for d in dataset_type.dimensions.names}, dimensions=dataset_type.dimensions
        )
        ref = DatasetRef(dataset_type, data_id, run=row[f"{name}.run"], id=row[f"{name}.dataset_id"])
        collection = row[f"{name}.collection"]
        # What is not certified comes with a time span without limits.
        certified = searched[collection] is CollectionType.CALIBRATION
        timespan = row[f"{name}.timespan"] if certified else None
        found[data_id.required_values].append(_Certification(ranks[collection], timespan, ref))
    for certifications in found.values():
        certifications.sort(key=lambda c: c.rank)
    return found
