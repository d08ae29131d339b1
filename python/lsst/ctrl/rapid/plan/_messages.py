"""Datasets and datastore records as plain data, for messages between processes."""

from __future__ import annotations

__all__ = (
    "DatasetMessage",
    "RecordsMessage",
    "records_from_message",
    "records_to_message",
    "refs_by_type",
    "split_records",
)

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from lsst.daf.butler import DataCoordinate, DatasetRef, DatasetType, DimensionGroup
from lsst.daf.butler.datastore.record_data import DatastoreRecordData, SerializedDatastoreRecordData

from ..model import Model
from ._records import RecordStore

type RecordsMessage = dict[str, dict[str, Any]]


class DatasetMessage(Model):
    """A dataset by its type's name and the required values of its data ID."""

    dataset_type: str
    id: UUID
    run: str
    values: tuple[str | int, ...]

    @classmethod
    def of(cls, ref: DatasetRef) -> DatasetMessage:
        """Return the message for a dataset; a storage class override is not kept."""
        return cls.model_construct(
            dataset_type=ref.datasetType.nameAndComponent()[0],
            id=ref.id,
            run=ref.run,
            values=tuple(ref.dataId.required_values),
        )

    def to_ref(self, dataset_type: DatasetType, records: RecordStore) -> DatasetRef:
        """Return the dataset in the repository's definition, its data ID expanded from memory.

        Raises
        ------
        LookupError
            If a dimension record that it needs is not known.
        """
        dimensions: DimensionGroup = dataset_type.dimensions
        data_id = (
            records.expand(dimensions, **dict(zip(dimensions.required, self.values, strict=True)))
            if dimensions
            else DataCoordinate.make_empty(dimensions.universe)
        )
        return DatasetRef(dataset_type, data_id, run=self.run, id=self.id, conform=False)


def records_to_message(records: Mapping[str, DatastoreRecordData]) -> RecordsMessage:
    """Return datastore records as plain data."""
    return {name: data.to_simple().model_dump(mode="json") for name, data in records.items()}


def records_from_message(message: RecordsMessage) -> dict[str, DatastoreRecordData]:
    """Return datastore records out of plain data."""
    return {
        name: DatastoreRecordData.from_simple(SerializedDatastoreRecordData.model_validate(data))
        for name, data in message.items()
    }


def split_records(message: RecordsMessage) -> dict[UUID, RecordsMessage]:
    """Return the datastore records of each dataset apart."""
    split: dict[UUID, RecordsMessage] = {}
    for datastore, data in message.items():
        for identity in data["dataset_ids"]:
            key = UUID(str(identity))
            tables = {
                table: {key.hex: rows[key.hex]} for table, rows in data["records"].items() if key.hex in rows
            }
            split.setdefault(key, {})[datastore] = {"dataset_ids": [str(key)], "records": tables}
    return split


def refs_by_type(
    messages: Iterable[DatasetMessage], dataset_types: Mapping[str, DatasetType], records: RecordStore
) -> dict[str, list[DatasetRef]]:
    """Return datasets out of messages, by the name of their type."""
    found: dict[str, list[DatasetRef]] = {}
    for message in messages:
        ref = message.to_ref(dataset_types[message.dataset_type], records)
        found.setdefault(message.dataset_type, []).append(ref)
    return found
