"""A raw file known in memory, before the registry hears of it."""

from __future__ import annotations

__all__ = ("Ingestor", "Raw", "RawReady")

import dataclasses
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lsst.daf.butler import (
    DatasetIdGenEnum,
    DatasetRef,
    DatasetType,
    DimensionRecord,
    Formatter,
    FormatterV2,
)

from .._phases import Phase, reached
from ..instruments import Header, NotTakenError, RawReader, RawReaders, RefusedError, Visit
from ..model import Arrival
from ..plan import RecordStore
from ._door import Door
from ._visits import ReaderVisits, VisitDefiner

_EXPOSURES_KEPT = 2000
"""Exposures whose translation is remembered: more than a night has."""

_VISITS_KEPT = 50
"""Exposures whose visit is remembered: some 100 kB each; it can be made again from the exposure's record."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """A raw whose shards can be run.

    Attributes
    ----------
    ref
        The dataset, with an expanded data ID.
    records
        What its own data IDs need, beside what does not change with every exposure: the records of its
        exposure (physical_filter, day_obs, group, exposure) and, if that is of the sky, visit,
        visit_definition and the visit_detector_region of its detector.
    to_register
        All records that its exposure gives: those of ``records``, with visit_system, visit_system_membership
        and the visit_detector_region of every detector.  Raws of an exposure share one tuple.
    shutter_closed
        End of the exposure, UNIX seconds.
    file_closed
        When its file was whole, UNIX seconds.
    seen
        When the executor heard of it, UNIX seconds.
    ready
        When it was known, UNIX seconds.
    """

    ref: DatasetRef
    records: tuple[DimensionRecord, ...]
    to_register: tuple[DimensionRecord, ...]
    shutter_closed: float | None
    file_closed: float
    seen: float
    ready: float

    @property
    def instrument(self) -> str:
        """Name of the instrument."""
        return str(self.ref.dataId["instrument"])

    @property
    def exposure(self) -> int:
        """Number of the exposure."""
        return int(self.ref.dataId["exposure"])

    @property
    def detector(self) -> int:
        """Number of the detector."""
        return int(self.ref.dataId["detector"])

    @property
    def day_obs(self) -> int:
        """Observing day of the exposure."""
        return int(self.ref.dataId["day_obs"])

    @property
    def group(self) -> str:
        """Name of the group of its exposure."""
        return str(self.exposure_records["exposure"].group)

    @property
    def group_size(self) -> int:
        """How many exposures its group has, as the header says; 1 where it says nothing."""
        record = self.exposure_records["exposure"]
        first, last = getattr(record, "seq_start", None), getattr(record, "seq_end", None)
        return 1 if first is None or last is None else max(1, last - first + 1)

    @property
    def exposure_records(self) -> Mapping[str, DimensionRecord]:
        """Records of the data ID by element, for expressions."""
        return {
            e: r for e in self.ref.dataId.dimensions.elements if (r := self.ref.dataId.records[e]) is not None
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RawReady(Raw):
    """A raw whose shards can be run, though the registry may not know it yet.

    Its dataset ID is deterministic (data ID and RUN), as upstream's ingest makes it.

    Attributes
    ----------
    arrival
        How it came.
    formatter
        What reads the file.
    content
        Text that differs for files of different size or headers.
    """

    arrival: Arrival
    formatter: type[Formatter | FormatterV2]
    content: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class _Exposure:
    """What the first raw of an exposure told of it."""

    path: Path
    cards: Header
    records: Mapping[str, DimensionRecord]
    shutter_closed: float | None


class Ingestor:
    """Reads primary headers; translates one for each exposure.

    Parameters
    ----------
    raw
        The dataset type of raws in the repository.
    records
        Dimension records that do not change with every exposure; those of new filters are added to it.
    door
        What refuses files before they are opened; `None` for files that a person has named.
    visits
        What defines visits; each instrument's reader if `None`.
    readers
        What reads the raws of all instruments of the repository; if `None`, of those that ``records`` has.

    Notes
    -----
    Not for use by several threads at once.  Asks no database once it is prepared.
    """

    def __init__(
        self,
        raw: DatasetType,
        records: RecordStore,
        door: Door | None = None,
        visits: VisitDefiner | None = None,
        readers: RawReaders | None = None,
    ) -> None:
        self._raw = raw
        self._door = door
        self._records = records
        self._readers = readers or RawReaders.of(
            (record for record in records.static() if record.definition.name == "instrument"), raw
        )
        self._definer: VisitDefiner = visits or ReaderVisits()
        self._exposures: OrderedDict[tuple[str, int], _Exposure] = OrderedDict()
        self._visits: OrderedDict[tuple[str, int], tuple[Visit | None, tuple[DimensionRecord, ...]]] = (
            OrderedDict()
        )

    def prepare(self) -> None:
        """Import and read what visits need, so that the first raw does not wait for it."""
        self._definer.prepare(self._readers.readers.values())

    def close(self) -> None:
        """Release what `prepare` and raws have read, in the thread that has called `read`."""
        self._definer.close()

    def read(self, arrival: Arrival) -> RawReady:
        """Return a raw, known.

        Parameters
        ----------
        arrival
            The file.

        Raises
        ------
        RefusedError
            If it is not a raw that we handle: not FITS, truncated, of an instrument or detector that the
            repository has not, or in contradiction to another raw of its exposure.
        """
        try:
            return self._read(arrival)
        except RefusedError:
            raise
        except (ArithmeticError, LookupError, TypeError, ValueError) as err:
            # A header can have more that cannot be than anybody has thought of.
            self._forget(arrival.path)
            raise RefusedError(f"its header cannot be understood: {type(err).__name__}: {err}") from err

    def _read(self, arrival: Arrival) -> RawReady:
        try:
            if self._door is not None:
                self._door.check(arrival.path)
            reader, header = self._readers.open(arrival.path)
            if self._records.get("instrument", reader.instrument) is None:
                raise NotTakenError(f"this run takes no raws of {reader.instrument}")
            identity = reader.identify(header, arrival.path)
            content = reader.check_complete(arrival.path, identity)
        except FileNotFoundError:
            raise RefusedError("it was gone before it could be read") from None
        except OSError as err:
            raise RefusedError(f"it cannot be read: {err.strerror or err}") from err
        instrument = identity.instrument
        if self._records.get("detector", instrument, identity.detector) is None:
            raise RefusedError(f"{instrument} has no detector {identity.detector} in this repository")
        exposure = self._exposure(reader, identity.exposure_id, header, arrival.path)
        visit, to_register = self._visit(reader, identity.exposure_id, exposure.records)
        own = tuple(exposure.records.values())
        records = own if visit is None else (*own, *visit.records_for(identity.detector))
        self._records.add(records)
        try:
            data_id = self._records.expand(
                self._raw.dimensions,
                instrument=instrument,
                exposure=identity.exposure_id,
                detector=identity.detector,
            )
        finally:
            self._records.discard(records)
        mode = DatasetIdGenEnum.DATAID_TYPE_RUN
        ref = DatasetRef(self._raw, data_id, run=reader.raw_run, id_generation_mode=mode)
        reached(Phase.HEADER_READ)
        return RawReady(
            ref=ref,
            records=records,
            to_register=to_register,
            shutter_closed=exposure.shutter_closed,
            file_closed=arrival.file_closed,
            seen=arrival.seen,
            ready=time.time(),
            arrival=arrival,
            formatter=reader.formatter(identity.detector),
            content=content,
        )

    def _forget(self, path: Path) -> None:
        """Forget what a file told of its exposure, if it was the first: others are not measured by it."""
        newest = next(reversed(self._exposures), None)
        if newest is not None and self._exposures[newest].path == path:
            del self._exposures[newest]
            self._visits.pop(newest, None)

    def _exposure(self, reader: RawReader, exposure: int, header: Header, path: Path) -> _Exposure:
        """Return what is known of an exposure, translating this header if it is the first."""
        cards = reader.exposure_cards(header, path)
        known = self._exposures.get((reader.instrument, exposure))
        if known is not None:
            differing = sorted(k for k in cards.keys() & known.cards.keys() if cards[k] != known.cards[k])
            if differing:
                told = ", ".join(f"{k} is {cards[k]!r}, not {known.cards[k]!r}" for k in differing)
                raise RefusedError(
                    f"its header contradicts that of {known.path.name} of the same exposure: {told}"
                )
            return known
        info = reader.translate(header, path)
        records = self._with_known_filter(reader.exposure_records(info, self._records.universe))
        end = info.datetime_end
        found = _Exposure(path, cards, records, None if end is None else end.unix)
        self._exposures[reader.instrument, exposure] = found
        while len(self._exposures) > _EXPOSURES_KEPT:
            self._exposures.popitem(last=False)
        return found

    def _visit(
        self, reader: RawReader, exposure: int, records: Mapping[str, DimensionRecord]
    ) -> tuple[Visit | None, tuple[DimensionRecord, ...]]:
        """Return the visit of an exposure, and all records of both."""
        place = reader.instrument, exposure
        known = self._visits.get(place)
        if known is not None:
            return known
        visit = self._definer.define(reader, records, self._records)
        of_visit = () if visit is None else self._with_known_detectors(visit.records)
        self._visits[place] = made = (visit, (*records.values(), *of_visit))
        while len(self._visits) > _VISITS_KEPT:
            self._visits.popitem(last=False)
        return made

    def _with_known_filter(self, records: Mapping[str, DimensionRecord]) -> dict[str, DimensionRecord]:
        """Return records with the repository's own record of the filter, where it has one."""
        ours = records["physical_filter"]
        theirs = self._records.get("physical_filter", *ours.dataId.required_values)
        return {**records, "physical_filter": theirs or ours}

    def _with_known_detectors(self, records: Iterable[DimensionRecord]) -> Iterator[DimensionRecord]:
        """Leave out what is of a detector that the repository, made by somebody else, does not have."""
        for record in records:
            data_id = record.dataId
            if "detector" not in data_id or self._records.get(
                "detector", data_id["instrument"], data_id["detector"]
            ):
                yield record
