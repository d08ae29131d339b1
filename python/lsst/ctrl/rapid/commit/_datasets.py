"""Registering datasets whose files are in place: many at once, in one transaction."""

from __future__ import annotations

__all__ = ("DatasetRegistrar", "Products")

import dataclasses
import functools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import sqlalchemy.exc

from lsst.daf.butler import (
    DatasetRef,
    DatasetType,
    DimensionGroup,
    QuantumBackedButler,
    StorageClassFactory,
)
from lsst.daf.butler.datastore import Datastore
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.daf.butler.direct_butler import DirectButler
from lsst.daf.butler.registry import ConflictingDefinitionError

from .._phases import Phase, reached
from ..datastore import without_files
from ._moving import Transfer, ingest, remove_source

_MANY = 150
"""From so many datasets on, a look at what is there takes less time than what upstream does without it, where
the database finds it by an index: it converts the time of registration anew for each."""

type _Group = tuple[DimensionGroup, str]


@dataclasses.dataclass(frozen=True)
class Products:
    """Datasets that were written into the repository's datastore without its registry.

    Attributes
    ----------
    refs
        The datasets, with expanded data IDs.
    records
        Their datastore records, by datastore.
    """

    refs: Sequence[DatasetRef]
    records: Mapping[str, DatastoreRecordData]


class DatasetRegistrar:
    """Registers datasets.

    Parameters
    ----------
    butler
        The writing butler.
    datastore
        The same datastore, opened without the registry; it knows nothing of what is registered here.
    storage_classes
        The repository's.
    dataset_types
        The repository's definitions, by name.

    Notes
    -----
    Upstream's ways (`~lsst.daf.butler.Butler.ingest`, `~lsst.daf.butler.Butler.transfer_from`) look first
    whether a dataset is there already, through a temporary table and three joins, which takes some 5 ms.
    Nearly everything here is new, so few are inserted as they are; only where that violates a constraint, all
    is done again upstream's ways, which take what is there as it is and tell what is in conflict.
    """

    def __init__(
        self,
        butler: DirectButler,
        datastore: Datastore,
        storage_classes: StorageClassFactory,
        dataset_types: Mapping[str, DatasetType],
    ) -> None:
        self._butler = butler
        self._datastore = datastore
        self._storage_classes = storage_classes
        self._dataset_types = dataset_types
        # SQLite looks through the whole registry for it, each time.
        looks = butler._registry._db.dialect.name != "sqlite"  # noqa: SLF001 -- no other way in
        self._many = _MANY if looks else math.inf

    def register(self, transfers: Sequence[Transfer], products: Products) -> None:
        """Register datasets, all or none; what is there already with the same ID stays as it is.

        Raises
        ------
        lsst.daf.butler.registry.ConflictingDefinitionError
            If the registry has another dataset of the same type and data ID in the same RUN.
        FileNotFoundError
            If a file is not there.
        """
        if missing := without_files(self._datastore, products.refs, products.records):
            told = "; ".join(map(str, missing))
            raise FileNotFoundError(f"{len(missing)} product(s) have no file any more: {told}")
        try:
            with self._butler.transaction():
                self._insert(transfers, products)
                moved = self._moved(transfers)
                if products.refs:
                    reached(Phase.BATCH_OPEN)
                if transfers:
                    reached(Phase.RAWS_OPEN)
        except (ConflictingDefinitionError, sqlalchemy.exc.IntegrityError):
            with self._butler.transaction():
                self._merge(transfers, products)
                moved = self._moved(transfers)
        for source, kept in moved:
            remove_source(source, kept)

    def _moved(self, transfers: Iterable[Transfer]) -> list[tuple[Path, Path]]:
        """Return where files that are to be moved came from, and where they are kept."""
        return [
            (Path(str(transfer.dataset.path)), Path(self._butler.getURI(ref).ospath))
            for transfer in transfers
            if transfer.mode == "move"
            for ref in transfer.dataset.refs
        ]

    def _insert(self, transfers: Sequence[Transfer], products: Products) -> None:
        datastore = self._butler._datastore  # noqa: SLF001 -- it has no public name
        known = datastore.knows_these([ref for transfer in transfers for ref in transfer.dataset.refs])
        new = [t for t in transfers if not any(known[ref] for ref in t.dataset.refs)]
        old = [t for t in transfers if any(known[ref] for ref in t.dataset.refs)]
        groups: dict[_Group, list[DatasetRef]] = defaultdict(list)
        for ref in (*(ref for t in new for ref in t.dataset.refs), *products.refs):
            groups[ref.datasetType.dimensions, ref.run].append(ref)
        for (_, _), refs in sorted(groups.items(), key=lambda item: item[0][1]):
            # What upstream's ingest and transfer_from do; for few datasets without the look at what is there.
            self._butler._registry._importDatasets(  # noqa: SLF001
                refs, expand=False, assume_new=len(refs) < self._many
            )
        datastore.import_records(products.records)
        ingest(datastore.ingest, new)
        self._ingest(old)

    def _merge(self, transfers: Sequence[Transfer], products: Products) -> None:
        self._ingest(transfers)
        if not products.refs:
            return
        try:
            self._datastore.import_records(products.records)
            source = QuantumBackedButler(
                [],
                [ref.id for ref in products.refs],
                self._butler.dimensions,
                self._datastore,
                self._storage_classes,
                dataset_types=self._dataset_types,
            )
            self._butler.transfer_from(source, products.refs)
        finally:
            self._datastore.forget(products.refs)

    def _ingest(self, transfers: Iterable[Transfer]) -> None:
        ingest(functools.partial(self._butler.ingest, skip_existing=True), transfers)
