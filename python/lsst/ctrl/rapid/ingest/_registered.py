"""Raws that a registry has already, whoever registered them."""

from __future__ import annotations

__all__ = ("RegisteredRaw", "group_sizes", "read_registered", "select_registered")

import dataclasses
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from astropy.time import Time
from sqlalchemy.exc import DataError

from lsst.daf.butler import Butler, ButlerUserError, DimensionRecord

from ..model import InputError
from ..plan import RecordsMessage, check_where, records_to_message, split_records
from ._ingest import Raw

_INVALID = (ArithmeticError, ButlerUserError, LookupError, RecursionError, TypeError, ValueError, DataError)
"""What an expression raises that cannot be asked, by upstream or by the database."""

_EXPOSURE_ELEMENTS = ("physical_filter", "day_obs", "group", "exposure")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredRaw(Raw):
    """A raw that the registry knows.

    ``file_closed`` is when it was ingested, by its writer's clock.  ``records`` holds those of its visit,
    too, if the registry has one.

    Attributes
    ----------
    datastore_records
        Where its file is, and what reads it.
    """

    datastore_records: RecordsMessage


def read_registered(
    butler: Butler,
    instrument: str,
    exposure: int,
    detectors: Iterable[int],
    collections: Sequence[str],
    seen: float,
) -> list[RegisteredRaw]:
    """Return registered raws of an exposure, known.

    Parameters
    ----------
    butler
        The repository; read-only is enough.
    instrument, exposure, detectors
        Which; those that are not there are left out.
    collections
        Where they are searched: the first that has a data ID gives its raw.
    seen
        When the executor heard of them, UNIX seconds.
    """
    # A filter that was registered since the butler was opened is not in its cache of records.
    butler.registry.refresh()
    # Not ":exposure": a name that is bound hides the dimension of the same name.
    where = "exposure = :number AND detector IN (:wanted)"
    wanted = sorted(detectors)
    bind = {"number": exposure, "wanted": wanted}
    refs = butler.query_datasets(
        "raw", collections, where=where, instrument=instrument, bind=bind,
        with_dimension_records=True, limit=None, explain=False,
    )  # fmt: skip
    with butler.query() as query:
        rows = query.join_dataset_search("raw", collections).general(
            ["exposure", "detector"], dataset_fields={"raw": {"dataset_id", "ingest_date"}}, find_first=False
        )
        rows = rows.where(where, instrument=instrument, bind=bind)
        ingested: dict[UUID, float] = {
            row["raw.dataset_id"]: float(row["raw.ingest_date"].unix) for row in rows
        }
    of_visits, of_detectors = _visit_records(butler, instrument, exposure, wanted)
    exported = butler._datastore.export_records(refs)  # noqa: SLF001 -- as upstream's builder
    stored = split_records(records_to_message(exported))
    raws = []
    whole: tuple[DimensionRecord, ...] = ()
    for ref in refs:
        found = [
            record for element in _EXPOSURE_ELEMENTS if (record := ref.dataId.records[element]) is not None
        ]
        whole = whole or (*found, *of_visits, *(r for regions in of_detectors.values() for r in regions))
        own = [*of_visits, *of_detectors.get(int(ref.dataId["detector"]), ())]
        end = None if ref.dataId.timespan is None else ref.dataId.timespan.end
        raws.append(
            RegisteredRaw(
                ref=ref,
                records=(*found, *own),
                to_register=whole,
                shutter_closed=float(end.unix) if isinstance(end, Time) else None,
                file_closed=min(ingested.get(ref.id, seen), seen),
                seen=seen,
                ready=time.time(),
                datastore_records=stored.get(ref.id, {}),
            )
        )
    return raws


def _visit_records(
    butler: Butler, instrument: str, exposure: int, detectors: Sequence[int]
) -> tuple[list[DimensionRecord], Mapping[int, list[DimensionRecord]]]:
    """Return the records of an exposure's visits, and those of their regions by detector.

    Visits of several exposures are left out: nothing says when the last of these has come.
    """
    elements = butler.dimensions.elements.names
    if not {"visit_definition", "visit", "visit_detector_region"} <= set(elements):
        return [], {}
    definitions = butler.query_dimension_records(
        "visit_definition",
        data_id={"instrument": instrument, "exposure": exposure},
        limit=None,
        explain=False,
    )
    records: list[DimensionRecord] = []
    regions: dict[int, list[DimensionRecord]] = {}
    for definition in definitions:
        visit = {"instrument": instrument, "visit": definition.dataId["visit"]}
        members = butler.query_dimension_records("visit_definition", data_id=visit, limit=None, explain=False)
        if len(members) > 1:
            continue
        records.append(definition)
        records += butler.query_dimension_records("visit", data_id=visit, limit=None, explain=False)
        for region in butler.query_dimension_records(
            "visit_detector_region", data_id=visit, where="detector IN (:wanted)",
            bind={"wanted": detectors}, limit=None, explain=False,
        ):  # fmt: skip
            regions.setdefault(int(region.dataId["detector"]), []).append(region)
    return records, regions


def select_registered(
    butler: Butler, instruments: Iterable[str], collections: Sequence[str], where: str
) -> dict[tuple[str, int], frozenset[int]]:
    """Return the raws that an expression selects: detectors by instrument and exposure, newest first.

    Raises
    ------
    InputError
        If the expression is not valid, or selects nothing; the message says why.
    """
    check_where(where, "-d/--data-query")
    selected: dict[tuple[str, int], set[int]] = {}
    reasons: dict[str, None] = {}
    try:
        with butler.query() as query:
            for instrument in instruments:
                rows = query.join_dataset_search("raw", collections).data_ids(["exposure", "detector"])
                rows = rows.where(where, instrument=instrument)
                there = False
                for row in rows:
                    there = True
                    place = (instrument, int(row["exposure"]))
                    selected.setdefault(place, set()).add(int(row["detector"]))
                if not there:
                    reasons.update(dict.fromkeys(rows.explain_no_results()))
    except AssertionError:  # upstream's, of what has a value but no truth, like '0'
        raise InputError(f"-d/--data-query: {where!r} is not a condition.") from None
    except _INVALID as err:
        raise InputError(f"-d/--data-query: {where!r}: {err}") from None
    if not selected:
        raise InputError(
            f"-d/--data-query: {where!r} selects no raw in {', '.join(collections)}"
            + (f": {' '.join(reasons)}" if reasons else " (the registry gives no reason).")
        )
    newest_first = sorted(selected, key=lambda place: place[1], reverse=True)
    return {place: frozenset(selected[place]) for place in newest_first}


def group_sizes(butler: Butler, places: Iterable[tuple[str, int]]) -> Mapping[tuple[str, str], int]:
    """Return how many of some exposures belong to each group, by instrument and name of the group.

    Parameters
    ----------
    butler
        The repository.
    places
        Instruments and exposures.
    """
    of_instrument: defaultdict[str, list[int]] = defaultdict(list)
    for instrument, exposure in places:
        of_instrument[instrument].append(exposure)
    sizes: Counter[tuple[str, str]] = Counter()
    with butler.query() as query:
        for instrument, exposures in of_instrument.items():
            rows = query.data_ids(["exposure"]).where(
                "exposure IN (:wanted)", instrument=instrument, bind={"wanted": exposures}
            )
            sizes.update((instrument, str(row["group"])) for row in rows)
    return sizes
