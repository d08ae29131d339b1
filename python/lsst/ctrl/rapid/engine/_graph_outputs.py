"""The repository while a graph runs: where inputs are, which outputs exist already, and the one writer."""

from __future__ import annotations

__all__ = ("GraphOutputs", "GraphQuantum", "Made")

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from lsst.daf.butler import (
    Butler,
    ButlerConfig,
    DatasetRef,
    DatasetType,
    MissingCollectionError,
    MissingDatasetTypeError,
    Quantum,
    QuantumBackedButler,
    StorageClassFactory,
)
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.pipe.base.pipeline_graph import TaskNode

from ..datastore import open_datastore
from ..plan import RecordsMessage, records_to_message
from ._refs import all_refs, registered

_CHUNK = 5000


@dataclasses.dataclass(frozen=True)
class GraphQuantum:
    """A quantum of a graph.

    Attributes
    ----------
    id
        Its identity in the graph.
    node
        Its task.
    quantum
        Upstream's quantum.
    """

    id: UUID
    node: TaskNode
    quantum: Quantum

    def __str__(self) -> str:
        return f"{self.node.label} {self.quantum.dataId}"


@dataclasses.dataclass(frozen=True)
class Made:
    """What a quantum wrote.

    Attributes
    ----------
    quantum
        The quantum.
    refs
        Its datasets, in the repository's definition.
    records
        Their datastore records, by datastore.
    """

    quantum: GraphQuantum
    refs: Sequence[DatasetRef]
    records: Mapping[str, DatastoreRecordData]


class GraphOutputs:
    """The inputs and outputs of one execution of a graph; the only one that writes to the registry meanwhile.

    Parameters
    ----------
    butler
        The repository, writeable.
    repository
        Its configuration or root.
    dataset_types
        The repository's definition of every dataset type of the graph.
    quanta
        All quanta of the graph.

    Raises
    ------
    lsst.daf.butler.MissingDatasetTypeError
        If an output's dataset type is not registered: nothing could be registered afterwards.

    Notes
    -----
    Not for use by several threads at once.
    """

    def __init__(
        self,
        butler: Butler,
        repository: str,
        dataset_types: Mapping[str, DatasetType],
        quanta: Iterable[GraphQuantum],
    ) -> None:
        self._butler = butler
        self._types = dataset_types
        config = ButlerConfig(repository)
        self._datastore = open_datastore(config, butler.dimensions)
        self._storage_classes = StorageClassFactory()
        self._storage_classes.addFromConfig(config)
        quanta = list(quanta)
        outputs = {ref.id: ref for ref in self._refs(q.quantum.outputs.values() for q in quanta)}
        self._check_types({ref.datasetType.name for ref in outputs.values()})
        self._records = self._locate(
            ref
            for ref in (
                *self._refs(q.quantum.inputs.values() for q in quanta),
                *self._refs([q.quantum.initInputs.values()] for q in quanta),
            )
            if ref.id not in outputs
        )
        self._readers = Counter(ref_id for q in quanta for ref_id in _input_ids(q) if ref_id in outputs)
        self._there = self._existing(outputs.values())

    def records_for(self, quantum: GraphQuantum) -> RecordsMessage:
        """Return the datastore records of a quantum's inputs, as far as the inputs exist."""
        found = [self._records[ref_id] for ref_id in _input_ids(quantum) if ref_id in self._records]
        return records_to_message(DatastoreRecordData.merge_mappings(*found))

    def stored(self, quantum: GraphQuantum) -> list[DatasetRef]:
        """Return those of a quantum's outputs that an earlier execution of it has left in the repository.

        Raises
        ------
        lsst.daf.butler.registry.ConflictingDefinitionError
            If another graph has left an output there with the same data ID: the quantum would write over the
            file of a registered dataset.
        """
        refs = [ref for ref in self.outputs(quantum) if _key(ref) in self._there]
        for ref in refs:
            if self._there[_key(ref)] != ref.id:
                raise ConflictingDefinitionError(
                    f"{ref.datasetType.name} {ref.dataId} is in {ref.run} already, by another quantum graph."
                )
        return [ref for ref, there in self._butler.stored_many(refs).items() if there] if refs else []

    def outputs(self, quantum: GraphQuantum) -> list[DatasetRef]:
        """Return a quantum's predicted outputs, in the repository's definition."""
        return list(self._refs([quantum.quantum.outputs.values()]))

    def prune(self, refs: Sequence[DatasetRef]) -> None:
        """Remove outputs of an earlier execution, files and all."""
        self._butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
        for ref in refs:
            self._there.pop(_key(ref), None)

    def use(self, refs: Iterable[DatasetRef]) -> None:
        """Let outputs of an earlier execution serve the quanta that read them."""
        self._records |= self._locate(ref for ref in refs if ref.id in self._readers)

    def made(self, made: Made) -> None:
        """Let what was just written serve the quanta that read it, before it is registered."""
        for ref in made.refs:
            if ref.id in self._readers:
                self._records[ref.id] = _subset(made.records, ref.id)

    def ended(self, quantum: GraphQuantum) -> None:
        """Forget the inputs that only this quantum still had to read, so that memory stays flat."""
        for ref_id in _input_ids(quantum):
            if ref_id in self._readers:
                self._readers[ref_id] -= 1
                if not self._readers[ref_id]:
                    self._records.pop(ref_id, None)

    def register(self, batch: Sequence[Made]) -> None:
        """Register what quanta wrote: all in one transaction, or each quantum in its own where that fails.

        Raises
        ------
        Exception
            The first that the registry raised; what could be registered is registered then.
        """
        try:
            self._transfer(batch)
        except Exception as err:
            if len(batch) == 1:
                err.add_note(f"What {batch[0].quantum} wrote could not be registered.")
                raise
            failures = []
            for made in batch:
                try:
                    self.register([made])
                except Exception as one:  # noqa: BLE001 -- the others must be registered before it is raised
                    failures.append(one)
            if failures:
                raise failures[0] from None

    def _transfer(self, batch: Sequence[Made]) -> None:
        refs = [ref for made in batch for ref in made.refs]
        if not refs:
            return
        self._datastore.import_records(DatastoreRecordData.merge_mappings(*(made.records for made in batch)))
        source = QuantumBackedButler(
            [],
            [ref.id for ref in refs],
            self._butler.dimensions,
            self._datastore,
            self._storage_classes,
            dataset_types=self._types,
        )
        try:
            transferred = {ref.id for ref in self._butler.transfer_from(source, refs)}
        finally:
            self._datastore.forget(refs)
        if lost := [ref for ref in refs if ref.id not in transferred]:
            raise FileNotFoundError(f"{len(lost)} output(s) have no file: {', '.join(map(str, lost))}")

    def _refs(self, groups: Iterable[Iterable[Iterable[DatasetRef]]]) -> Iterable[DatasetRef]:
        return (registered(ref, self._types) for ref in all_refs(groups))

    def _locate(self, refs: Iterable[DatasetRef]) -> dict[UUID, Mapping[str, DatastoreRecordData]]:
        """Return where datasets are, by their ID."""
        unique = list({ref.id: ref for ref in refs}.values())
        found: dict[UUID, Mapping[str, DatastoreRecordData]] = {}
        for first in range(0, len(unique), _CHUNK):
            chunk = unique[first : first + _CHUNK]
            exported = self._butler._datastore.export_records(chunk)  # noqa: SLF001 -- as upstream's builder
            found |= {ref.id: located for ref in chunk if (located := _subset(exported, ref.id))}
        return found

    def _existing(self, outputs: Iterable[DatasetRef]) -> dict[tuple[object, ...], UUID]:
        """Return what the output RUNs have of the outputs' types already."""
        there: dict[tuple[object, ...], UUID] = {}
        for name, run in {(ref.datasetType.name, ref.run) for ref in outputs}:
            try:
                found = self._butler.query_datasets(
                    name, collections=run, find_first=False, explain=False, limit=None
                )
            except MissingCollectionError:
                continue
            there |= {_key(ref): ref.id for ref in found}
        return there

    def _check_types(self, names: Iterable[str]) -> None:
        missing = []
        for name in sorted(names):
            try:
                self._butler.get_dataset_type(name)
            except MissingDatasetTypeError:
                missing.append(name)
        if missing:
            raise MissingDatasetTypeError(
                f"The repository has no dataset type {', '.join(missing)}, which the graph writes; "
                "register the dataset types of its pipeline first."
            )


def _input_ids(quantum: GraphQuantum) -> set[UUID]:
    groups = (quantum.quantum.inputs.values(), [quantum.quantum.initInputs.values()])
    return {ref.id for ref in all_refs(groups)}


def _subset(records: Mapping[str, DatastoreRecordData], ref_id: UUID) -> Mapping[str, DatastoreRecordData]:
    found = {name: data.subset({ref_id}) for name, data in records.items()}
    return {name: data for name, data in found.items() if data is not None}


def _key(ref: DatasetRef) -> tuple[object, ...]:
    return ref.datasetType.name, ref.run, ref.dataId.required_values
