"""What each shard reads: products of earlier steps and calibrations, for the message to its worker."""

from __future__ import annotations

__all__ = ("CalibrationTable", "Products")

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from lsst.daf.butler import Butler, DataCoordinate, DatasetRef

from ..model import Shard
from ..plan import (
    CalibrationError,
    Calibrations,
    CompiledPipeline,
    DatasetMessage,
    InputKind,
    RecordsMessage,
    Step,
    records_to_message,
    split_records,
)


class CalibrationTable:
    """The calibrations of all pipelines, with their datastore records, in memory.

    Parameters
    ----------
    pipelines
        The compiled pipelines.
    inputs
        Input collections.
    """

    def __init__(self, pipelines: Iterable[CompiledPipeline], inputs: Iterable[str]) -> None:
        types = {dataset_type.name: dataset_type for p in pipelines for dataset_type in p.calibrations}
        self._inputs = tuple(inputs)
        self._calibrations = Calibrations(types.values(), self._inputs)
        self._records: Mapping[UUID, RecordsMessage] = {}

    def refresh(self, butler: Butler) -> None:
        """Read all certifications anew; may be called while another thread calls `find`."""
        self._calibrations.refresh(butler)
        exported = butler._datastore.export_records(self._calibrations.refs())  # noqa: SLF001 -- as upstream's builder
        self._records = split_records(records_to_message(exported))

    def find(self, step: Step, data_id: DataCoordinate) -> tuple[list[DatasetMessage], RecordsMessage]:
        """Return the calibrations that a step reads for a data ID, those that there are.

        Raises
        ------
        CalibrationError
            If two hold, or none does of a type that a task cannot run without.
        """
        found: list[DatasetMessage] = []
        missing: list[str] = []
        records: list[RecordsMessage] = []
        for name in step.reads(InputKind.CALIBRATION):
            ref = self._calibrations.find(name, data_id, data_id.timespan)
            if ref is None and name in step.required:
                missing.append(name)
            if ref is not None:
                found.append(DatasetMessage.of(ref))
                records.append(self._records.get(ref.id, {}))
        if missing:
            physical_filter = data_id.get("physical_filter", "any")
            raise CalibrationError(
                f"no {', '.join(missing)} is certified in {', '.join(self._inputs)} for this exposure's "
                f"time, detector and filter ({physical_filter}); certify what is missing"
            )
        return found, merge_records(records)


class Products:
    """Datasets that later steps of an exposure read, as they were reported by the workers."""

    def __init__(self) -> None:
        self._exposures: dict[tuple[str, int], list[tuple[int | None, DatasetMessage, RecordsMessage]]]
        self._exposures = {}

    def add(self, shard: Shard, outputs: Iterable[DatasetMessage], records: RecordsMessage) -> None:
        """Remember what a shard made."""
        kept = self._exposures.setdefault((shard.instrument, shard.exposure), [])
        split = split_records(records)
        kept += [(shard.detector, message, split.get(message.id, {})) for message in outputs]

    def forget(self, instrument: str, exposure: int) -> None:
        """Forget what was made of an exposure."""
        self._exposures.pop((instrument, exposure), None)

    def add_refs(self, shard: Shard, refs: Iterable[DatasetRef], butler: Butler) -> None:
        """Remember what a shard of an earlier run made."""
        refs = list(refs)
        exported = butler._datastore.export_records(refs)  # noqa: SLF001 -- as upstream's builder
        self.add(shard, [DatasetMessage.of(ref) for ref in refs], records_to_message(exported))

    def find(self, shard: Shard, step: Step) -> tuple[list[DatasetMessage], RecordsMessage]:
        """Return what a shard reads of earlier steps: of its own detector, or of all when it is a gather."""
        wanted = set(step.reads(InputKind.EARLIER_STEP))
        found = [
            (message, records)
            for detector, message, records in self._exposures.get((shard.instrument, shard.exposure), ())
            if message.dataset_type in wanted
            and (shard.detector is None or detector in {None, shard.detector})
        ]
        return [message for message, _ in found], merge_records(records for _, records in found)


def merge_records(messages: Iterable[RecordsMessage]) -> RecordsMessage:
    """Return the datastore records of several datasets together."""
    merged: dict[str, dict[str, Any]] = {}
    for message in messages:
        for datastore, data in message.items():
            into = merged.setdefault(datastore, {"dataset_ids": [], "records": {}})
            into["dataset_ids"] += data["dataset_ids"]
            for table, rows in data["records"].items():
                into["records"].setdefault(table, {}).update(rows)
    return merged
