"""Which raws a registry has that were not told yet: what is asked, in which order, and at what cost."""

from __future__ import annotations

__all__ = ("FoundRaws", "Lookout")

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import astropy.time

from lsst.daf.butler import Butler

from ..model import NOON, day_begins, observing_day

_NEWEST = 16
"""Exposures with the greatest numbers that are asked for at every look."""

_HOT_SECONDS = 60.0
_HOT_AT_ONCE = 16
"""How long after its last news, and how many together, exposures are asked for raws at every look."""

_LISTING_SECONDS = 10.0
_RECENT_CHUNK = 16
_OLDER_CHUNK = 4
"""With more, PostgreSQL reads the whole table of datasets rather than look the ingest dates up one by one."""


@dataclasses.dataclass(frozen=True, slots=True)
class FoundRaws:
    """Raws of one exposure that are registered and were not told yet."""

    instrument: str
    exposure: int
    detectors: frozenset[int]


@dataclasses.dataclass(slots=True)
class _Hot:
    """An exposure that was heard of a short while ago."""

    news: float
    looked: float = 0.0


class Lookout:
    """Finds the raws of one instrument that were not told yet.

    Parameters
    ----------
    instrument
        Name of the instrument.
    collections
        Where raws are searched.
    since
        Observing day from which on raws are wanted, whatever their ingest date.
    expected
        Detectors after which nothing more is awaited of an exposure; what comes all the same is still found.
    without_ended
        Leaves out, of raws of exposures of which none was told yet, those of which all that could be made was
        made before; is given the butler that looks.
    day_offset
        How long after midnight (UTC) an observing day of the instrument begins, seconds.

    Notes
    -----
    No raw that is wanted is skipped and none is found again after it was told, in whatever order raws and
    exposures are registered and however late a transaction becomes visible: what is there is compared with
    what was told; no time stamp decides about an exposure of the current and the previous day.

    Every look asks for the exposures with the greatest numbers, for the raws of those that were heard of in
    the last minute, and, as far as its budget goes, for the raws of the next exposures of two rings: of the
    current and the previous day, and of all others.  Of the others, raws that were ingested since the
    beginning of ``since`` are wanted.  On PostgreSQL each is a range of an index, however large the
    repository is: by the exposures' key (instrument, number), and by (instrument, exposure) of the table that
    associates datasets with data IDs.  An ingest date has no index, so it is never asked for but with a few
    exposures.
    """

    def __init__(
        self,
        instrument: str,
        collections: Sequence[str],
        since: int,
        expected: Iterable[int] = (),
        without_ended: Callable[[Butler, Sequence[FoundRaws]], Sequence[FoundRaws]] = lambda _, found: found,
        *,
        day_offset: float = NOON,
    ) -> None:
        self._instrument = instrument
        self._collections = list(collections)
        self._since = since
        self._day_offset = day_offset
        self._ingested_since = astropy.time.Time(day_begins(since, offset=day_offset), format="unix").tai
        self._expected = _mask(expected)
        self._without_ended = without_ended
        self._told: dict[int, int] = {}
        self._hot: dict[int, _Hot] = {}
        self._days: dict[int, int] = {}
        self._newest: frozenset[int] | None = None
        self._recent: frozenset[int] | None = None
        self._listed = 0.0
        self._ring: list[int] = []
        self._cursor: int | None = None
        self._passes = 0

    @property
    def caught_up(self) -> bool:
        """Whether all exposures since the first day that is wanted were looked at once."""
        return self._passes > 0

    def look(self, butler: Butler, now: float, budget: float) -> Iterable[FoundRaws]:
        """Yield raws that were not told yet, those of exposures that were heard of lately first.

        Parameters
        ----------
        butler
            Read-only is enough.
        now
            The time, UNIX seconds.
        budget
            Seconds for the rings; a little of each is looked at when it is positive, nothing when it is zero.
        """
        until = time.monotonic() + budget
        self._hear_of_new_exposures(butler, now)
        yield from self._look_at_hot(butler, now)
        first_pass, whole_recent, whole_older = not self.caught_up, False, False
        while budget > 0 and not (whole_recent and whole_older):
            if not whole_recent:
                found, whole_recent = self._next_of_recent(butler)
                yield from self._with_news(found, None if first_pass else now)
            if not whole_older:
                found, whole_older = self._next_of_older(butler)
                yield from self._with_news(found, now)
            if time.monotonic() >= until:
                break

    def told(self, found: FoundRaws) -> None:
        """Note that raws were told; until then they are found again."""
        self._told[found.exposure] = self._told.get(found.exposure, 0) | _mask(found.detectors)

    # Exposures

    def _hear_of_new_exposures(self, butler: Butler, now: float) -> None:
        """Look for exposures of which nothing was known, and make them hot."""
        newest = self._exposures(butler, limit=_NEWEST)
        heard = set() if self._newest is None else newest.keys() - self._newest
        self._newest = frozenset(newest)
        self._days.update(newest)
        if self._recent is None or now - self._listed >= _LISTING_SECONDS:
            yesterday = observing_day(now, before=1, offset=self._day_offset)
            first = self._since if self._recent is None else max(self._since, yesterday)
            recent = self._exposures(butler, "day_obs >= :first", {"first": first})
            if self._recent is None:
                self._ring = sorted(recent)
            else:
                heard |= recent.keys() - self._recent
            self._recent = frozenset(recent)
            self._listed = now
            self._days = {**recent, **newest, **{e: self._days[e] for e in self._hot if e in self._days}}
        for exposure in heard - self._hot.keys():
            self._hot[exposure] = _Hot(now)

    def _exposures(
        self,
        butler: Butler,
        where: str = "",
        bind: Mapping[str, object] | None = None,
        limit: int | None = None,
    ) -> dict[int, int]:
        """Return the observing days of exposures, those with the greatest numbers when they are limited."""
        with butler.query() as query:
            rows = query.data_ids(["exposure"]).where(where, instrument=self._instrument, bind=bind)
            if limit is not None:
                rows = rows.order_by("-exposure").limit(limit)
            return {int(row["exposure"]): int(row["day_obs"]) for row in rows}

    # Raws

    def _look_at_hot(self, butler: Butler, now: float) -> Iterable[FoundRaws]:
        """Look at the exposures that were heard of lately, those that waited longest first."""
        cold = [e for e, hot in self._hot.items() if now - hot.news > _HOT_SECONDS or self._is_complete(e)]
        for exposure in cold:
            del self._hot[exposure]
        turn = sorted(self._hot, key=lambda e: self._hot[e].looked)[:_HOT_AT_ONCE]
        for exposure in turn:
            self._hot[exposure].looked = now
        wanted = [e for e in turn if self._days.get(e, 0) >= self._since]
        others = [e for e in turn if self._days.get(e, 0) < self._since]
        yield from self._with_news(self._untold(butler, wanted), now)
        for first in range(0, len(others), _OLDER_CHUNK):
            chunk = others[first : first + _OLDER_CHUNK]
            yield from self._with_news(self._untold(butler, chunk, self._ingested_since), now)

    def _is_complete(self, exposure: int) -> bool:
        return bool(self._expected) and not self._expected & ~self._told.get(exposure, 0)

    def _next_of_recent(self, butler: Butler) -> tuple[list[FoundRaws], bool]:
        """Look at the next of the recent exposures, newest first; tells whether they were the last."""
        chunk = [self._ring.pop() for _ in range(min(_RECENT_CHUNK, len(self._ring)))]
        found = self._untold(butler, chunk)
        if self._ring:
            return found, False
        self._passes += 1
        self._ring = sorted(self._recent or ())
        return found, True

    def _next_of_older(self, butler: Butler) -> tuple[list[FoundRaws], bool]:
        """Look at the next of all exposures, newest first; tells whether they were the last."""
        where, bind = ("", {}) if self._cursor is None else ("exposure < :cursor", {"cursor": self._cursor})
        chunk = list(self._exposures(butler, where, bind, limit=_OLDER_CHUNK))
        self._cursor = min(chunk) if len(chunk) == _OLDER_CHUNK else None
        older = [exposure for exposure in chunk if exposure not in (self._recent or ())]
        return self._untold(butler, older, self._ingested_since), self._cursor is None

    def _untold(
        self, butler: Butler, exposures: Sequence[int], ingested_since: astropy.time.Time | None = None
    ) -> list[FoundRaws]:
        """Return the raws of some exposures that were not told yet, in the order of these."""
        if not exposures:
            return []
        where, bind = "exposure IN (:exposures)", {"exposures": list(exposures)}
        if ingested_since is not None:
            where, bind = f"{where} AND raw.ingest_date >= :since", {**bind, "since": ingested_since}
        found: dict[int, set[int]] = {exposure: set() for exposure in exposures}
        with butler.query() as query:
            query = query.join_dataset_search("raw", self._collections)
            rows = query.data_ids(["exposure", "detector"])
            for row in rows.where(where, instrument=self._instrument, bind=bind):
                exposure, detector = int(row["exposure"]), int(row["detector"])
                if not self._told.get(exposure, 0) >> detector & 1:
                    found[exposure].add(detector)
        raws = [
            FoundRaws(self._instrument, e, frozenset(detectors))
            for e, detectors in found.items()
            if detectors
        ]
        return self._leave_ended(butler, raws)

    def _leave_ended(self, butler: Butler, raws: Sequence[FoundRaws]) -> list[FoundRaws]:
        """Leave raws aside of which everything was made before."""
        first = [one for one in raws if not self._told.get(one.exposure)]
        left = set(self._without_ended(butler, first)) if first else set()
        ended = {one for one in first if one not in left}
        for one in ended:
            self.told(one)
        return [one for one in raws if one not in ended]

    def _with_news(self, found: Iterable[FoundRaws], now: float | None) -> Iterable[FoundRaws]:
        """Keep the exposures of what was found hot; with no time given they are not."""
        for one in found:
            if now is not None:
                self._hot.setdefault(one.exposure, _Hot(now)).news = now
            yield one


def _mask(detectors: Iterable[int]) -> int:
    """Return numbers as the bits of one."""
    mask = 0
    for detector in detectors:
        mask |= 1 << detector
    return mask
