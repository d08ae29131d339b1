"""What workers read while they are warmed, so that the first image costs no more than the others."""

from __future__ import annotations

__all__ = ("first_reads",)

import time
from collections.abc import Iterable, Sequence

from lsst.daf.butler import Butler

from ..engine import FirstReads
from ..ingest import RegisteredRaw, read_registered
from ..plan import DatasetMessage, RecordStore, record_to_json
from ._inputs import CalibrationTable, merge_records

_NEWEST = 5
"""Exposures among which a raw is looked for; the last ones may have none."""


def first_reads(
    butler: Butler,
    instruments: Iterable[str],
    inputs: Sequence[str],
    calibrations: CalibrationTable,
    records: RecordStore,
) -> FirstReads:
    """Return one of the newest raws of each instrument, and the calibrations that all of its detectors share.

    Parameters
    ----------
    butler
        The repository.
    instruments
        Names of the instruments.
    inputs
        Where raws are looked for.
    calibrations
        The calibrations.
    records
        Dimension records that do not change with every exposure.

    Notes
    -----
    A repository without raws, or whose raws are gone, is as good: then workers import what reads them.
    """
    raws = [raw for instrument in instruments for raw in _newest_raw(butler, instrument, inputs)]
    shared = [calibrations.shared_by_detectors(instrument, records) for instrument in instruments]
    return FirstReads(
        datasets=(
            *(DatasetMessage.of(raw.ref) for raw in raws),
            *(message for messages, _ in shared for message in messages),
        ),
        dimension_records=tuple(record_to_json(record) for raw in raws for record in raw.records),
        datastore_records=merge_records(
            [*(raw.datastore_records for raw in raws), *(stored for _, stored in shared)]
        ),
    )


def _newest_raw(butler: Butler, instrument: str, inputs: Sequence[str]) -> Sequence[RegisteredRaw]:
    exposures = butler.query_dimension_records(
        "exposure", instrument=instrument, order_by="-exposure", limit=_NEWEST, explain=False
    )
    for exposure in exposures:
        found = butler.query_datasets(
            "raw", inputs, instrument=instrument, exposure=exposure.id, limit=1, explain=False
        )
        if found:
            detector = int(found[0].dataId["detector"])
            return read_registered(butler, instrument, exposure.id, [detector], inputs, time.time())
    return []
