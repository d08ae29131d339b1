"""What each shard reads: products of earlier steps and calibrations, for the message to its worker."""

from __future__ import annotations

__all__ = ("CalibrationTable", "Products")

import contextlib
import time
from collections.abc import Container, Iterable, Mapping
from typing import Any
from uuid import UUID

from astropy.time import Time

from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, Timespan

from ..model import Shard
from ..plan import (
    CalibrationError,
    Calibrations,
    CompiledPipeline,
    DatasetMessage,
    InputKind,
    RecordsMessage,
    RecordStore,
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

    def refs(self) -> Iterable[DatasetRef]:
        """Return all calibrations."""
        return self._calibrations.refs()

    def find(
        self, step: Step, data_ids: Iterable[DataCoordinate]
    ) -> tuple[list[DatasetMessage], RecordsMessage]:
        """Return the calibrations that a step reads for a shard's raws, those that there are.

        Parameters
        ----------
        step
            The step.
        data_ids
            Expanded data IDs of the raws.

        Raises
        ------
        CalibrationError
            If two hold, or none does of a type that a task cannot run without.
        """
        names = step.reads(InputKind.CALIBRATION)
        found: dict[UUID, DatasetMessage] = {}
        missing: dict[str, str | int] = {}
        for data_id in data_ids if names else ():
            for name in names:
                ref = self._calibrations.find(name, data_id, data_id.timespan)
                if ref is not None:
                    found[ref.id] = DatasetMessage.of(ref)
                elif name in step.required:
                    missing[name] = data_id.get("physical_filter", "any")
        if missing:
            raise CalibrationError(
                f"no {', '.join(missing)} is certified in {', '.join(self._inputs)} for this exposure's "
                f"time, detector and filter ({', '.join(map(str, set(missing.values())))}); certify what is "
                "missing"
            )
        records = merge_records(self._records.get(identity, {}) for identity in found)
        return list(found.values()), records

    def shared_by_detectors(
        self, instrument: str, records: RecordStore
    ) -> tuple[list[DatasetMessage], RecordsMessage]:
        """Return the calibrations of an instrument that hold now for all of its detectors and filters."""
        data_id = records.expand(records.universe.conform(["instrument"]), instrument=instrument)
        # Seconds do not count here, so no table of leap seconds is asked for.
        now = Timespan.fromInstant(Time(time.time(), format="unix_tai"))
        found: dict[UUID, DatasetMessage] = {}
        for name in self._calibrations.common(data_id.dimensions):
            with contextlib.suppress(CalibrationError):  # it is told when a shard needs it
                if (ref := self._calibrations.find(name, data_id, now)) is not None:
                    found[ref.id] = DatasetMessage.of(ref)
        return list(found.values()), merge_records(self._records.get(identity, {}) for identity in found)


class Products:
    """Datasets that later steps of an exposure read, as they were reported by the workers.

    Parameters
    ----------
    pipelines
        Those of the run: what none of their steps reads of an earlier one is not kept.
    """

    def __init__(self, pipelines: Iterable[CompiledPipeline]) -> None:
        self._read = {name for p in pipelines for s in p.steps for name in s.reads(InputKind.EARLIER_STEP)}
        self._made: dict[tuple[str, int | str], list[tuple[int | None, DatasetMessage, RecordsMessage]]] = {}

    def add(self, shard: Shard, outputs: Iterable[DatasetMessage], records: RecordsMessage) -> None:
        """Remember what a shard made, as far as it is read later."""
        wanted = [message for message in outputs if message.dataset_type in self._read]
        if not wanted:
            return
        kept = self._made.setdefault((shard.instrument, shard.group or shard.exposure), [])
        split = split_records(records)
        kept += [(shard.detector, message, split.get(message.id, {})) for message in wanted]

    def forget(self, instrument: str, of: int | str) -> None:
        """Forget what was made of an exposure or of a group."""
        self._made.pop((instrument, of), None)

    def forget_gathers(self, instrument: str, exposure: int, run: str) -> None:
        """Forget what gathers of an exposure made in a RUN: they are made again."""
        place = (instrument, exposure)
        self._made[place] = [
            one for one in self._made.get(place, ()) if one[0] is not None or one[1].run != run
        ]

    def find(
        self, shard: Shard, step: Step, run: str, detectors: Container[int]
    ) -> tuple[list[DatasetMessage], RecordsMessage]:
        """Return what a shard reads of earlier steps.

        Parameters
        ----------
        shard, step
            The shard.
        run
            Its RUN: what other gathers of its exposure made is read from there alone.
        detectors
            Those that a gather takes; others read what was made of their own detector.
        """
        wanted = set(step.reads(InputKind.EARLIER_STEP))
        places: list[int | str] = (
            [*shard.exposures] if shard.group is None else [*shard.exposures, shard.group]
        )
        found = [
            (message, records)
            for place in places
            for detector, message, records in self._made.get((shard.instrument, place), ())
            if message.dataset_type in wanted and _is_read(shard, detector, message, run, detectors)
        ]
        return [message for message, _ in found], merge_records(records for _, records in found)


def _is_read(
    shard: Shard, detector: int | None, message: DatasetMessage, run: str, detectors: Container[int]
) -> bool:
    """Tell whether a shard reads what was made of a detector, or of all."""
    if detector is None:
        return shard.group is not None or message.run == run
    return detector == shard.detector if shard.detector is not None else detector in detectors


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
