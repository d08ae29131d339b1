"""The account of all files: which each is, and how it ended."""

from __future__ import annotations

__all__ = ("Account", "Ends", "account_for", "identify_file", "told_raw")

import dataclasses
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..instruments import RawReaders, RefusedError
from ..model import Outcome, OutcomeRecord
from ._ledger import Refusals
from ._model import Ended, Finding, Imbalance
from ._outcomes import LeftOutcome, told
from ._registry import RegisteredRaw
from ._sent import RawKey, SentFile

_SAME_SECONDS = 0.001
"""Moments nearer than this are the same: they were written as text."""

_RAW = {"instrument", "exposure", "detector"}
_EXPOSURE = {"instrument", "exposure"}


class Ends:
    """How raws ended, by the outcomes of the steps that are run for each detector of an exposure.

    Parameters
    ----------
    outcomes
        All outcomes but those of partial gathers.

    Notes
    -----
    A raw is failed if one of its shards failed, else done if one was done, else shed.  Where no pipeline has
    steps for detectors, a raw ends with its exposure.
    """

    def __init__(self, outcomes: Iterable[LeftOutcome]) -> None:
        self._of_raws: defaultdict[RawKey, list[LeftOutcome]] = defaultdict(list)
        self._of_exposures: defaultdict[tuple[str, int], list[LeftOutcome]] = defaultdict(list)
        for left in outcomes:
            of = left.data_id
            if of.keys() == _RAW:
                self._of_raws[str(of["instrument"]), int(of["exposure"]), int(of["detector"])].append(left)
            elif of.keys() == _EXPOSURE:
                self._of_exposures[str(of["instrument"]), int(of["exposure"])].append(left)

    def of(self, raw: RawKey) -> tuple[Outcome, str] | None:
        """Return how a raw ended, and why; `None` if it has not."""
        found = {record.outcome: record.reason for record in self._records(raw)}
        for outcome in (Outcome.FAILED, Outcome.DONE, Outcome.SHED):
            if outcome in found:
                return outcome, found[outcome]
        return None

    def written(self, raw: RawKey) -> float | None:
        """Return when the file of a raw that has ended was whole, UNIX seconds, as far as it is known."""
        return max((r.times.file_closed for r in self._records(raw) if r.times.file_closed), default=None)

    def taken(self, raw: RawKey) -> float | None:
        """Return when a raw that has ended was last taken, UNIX seconds, as far as it is known."""
        return max((r.times.seen for r in self._records(raw) if r.times.seen), default=None)

    def _records(self, raw: RawKey) -> list[OutcomeRecord]:
        left = self._of_raws.get(raw, []) if self._of_raws else self._of_exposures.get(raw[:2], [])
        return [one.record for one in left if one.record is not None]

    @property
    def exposures(self) -> Mapping[str, set[int]]:
        """Numbers of the exposures of which something ended, by instrument."""
        found: defaultdict[str, set[int]] = defaultdict(set)
        for instrument, exposure in (*(raw[:2] for raw in self._of_raws), *self._of_exposures):
            found[instrument].add(exposure)
        return found

    @property
    def raws(self) -> Iterable[RawKey]:
        """The raws of which something ended."""
        return self._of_raws.keys()

    def twice(self) -> Iterable[Finding]:
        """Yield the shards that ended more than once; one that was shed may be run later in another RUN."""
        for lefts in (*self._of_raws.values(), *self._of_exposures.values()):
            by_kind: defaultdict[str, list[LeftOutcome]] = defaultdict(list)
            for left in lefts:
                if left.record is not None and left.record.outcome is not Outcome.SHED:
                    by_kind[left.kind].append(left)
            for same in by_kind.values():
                if len(same) > 1:
                    runs = " and in ".join(sorted(left.run for left in same))
                    yield Finding(imbalance=Imbalance.ENDED_TWICE, what=str(same[0]), why=f"in {runs}")

    def without_gather(self, gathers: Mapping[str, Iterable[str]]) -> Iterable[Finding]:
        """Yield the exposures that a step should have gathered.

        Parameters
        ----------
        gathers
            By RUN the labels of its pipeline's steps that gather.
        """
        ran: dict[tuple[str, int], str] = {}
        for raw, lefts in self._of_raws.items():
            for left in lefts:
                if left.record is not None and left.record.outcome is not Outcome.SHED:
                    ran[raw[:2]] = left.run
        for place, run in ran.items():
            there = {left.kind for left in self._of_exposures.get(place, ())}
            for label in sorted(gathers.get(run, ())):
                if f"rapid_{label}_gather_outcome" not in there:
                    what = told({"instrument": place[0], "exposure": place[1]})
                    yield Finding(
                        imbalance=Imbalance.GATHER_WAITING, what=what, why=f"{label} has no outcome in {run}"
                    )


@dataclasses.dataclass(slots=True)
class Account:
    """What became of all files; the counts are those of `Balance`."""

    counts: Counter[Outcome | str] = dataclasses.field(default_factory=Counter)
    never_visible: int = 0
    sent_again: int = 0
    linked: int = 0
    others: int = 0
    exposures: set[tuple[str, int]] = dataclasses.field(default_factory=set)
    findings: list[Finding] = dataclasses.field(default_factory=list)
    ended: list[Ended] = dataclasses.field(default_factory=list)

    def end(self, what: str, outcome: Outcome, reason: str) -> None:
        """Enter how a file ended."""
        self.counts[outcome] += 1
        if outcome is not Outcome.DONE:
            self.ended.append(Ended(outcome=outcome, what=what, reason=reason))

    def wait(self, what: str, why: str) -> None:
        """Enter that a file has not ended."""
        self.counts["waiting"] += 1
        self.findings.append(Finding(imbalance=Imbalance.WAITING, what=what, why=why))


def identify_file(place: str, readers: RawReaders) -> RawKey | None:
    """Return which raw a file is by its header; `None` if no instrument of the repository takes it."""
    path = Path(place)
    try:
        reader, header = readers.open(path)
        identity = reader.identify(header, path)
    except (RefusedError, OSError, ValueError):
        return None
    return identity.instrument, identity.exposure_id, identity.detector


def account_for(
    sent: Mapping[str, SentFile],
    refusals: Refusals,
    raws: Mapping[RawKey, Sequence[RegisteredRaw]],
    places: Mapping[str, RawKey],
    ends: Ends,
) -> Account:
    """Tell how each file ended.

    Parameters
    ----------
    sent
        What was sent, by its place.
    refusals
        What was refused.
    raws
        The raws that are registered.
    places
        Which of them is where.
    ends
        How they ended.
    """
    account = Account()
    claimed: set[RawKey] = set()
    # Files that are there come first: what is not there may have been moved into the repository.
    order = sorted(sent.keys() | refusals.files.keys(), key=lambda p: not (p in sent and sent[p].visible))
    for place in order:
        file = sent.get(place, SentFile())
        key = places.get(place) or file.key
        refused = refusals.files.get(place)
        registered = raws.get(key, ()) if key is not None else ()
        is_it = place in places or (
            refused is None and key not in claimed and any(one.in_store for one in registered)
        )
        if not is_it and refused is None and not file.visible:
            account.never_visible += 1
            continue
        account.sent_again += max(0, file.announced - 1)
        if key is not None:
            account.exposures.add(key[:2])
        if is_it and key is not None:
            claimed.add(key)
            _processed(account, place, key, ends, refused)
        elif refused is not None:
            account.end(place, Outcome.REFUSED, refused[0])
        elif any(_same_file(place, one.path) for one in registered):
            account.linked += 1
        else:
            _unaccounted(account, place, key, registered, ends)
    _others(account, refusals, raws, claimed, ends, counted_all=not sent)
    return account


def _processed(
    account: Account, place: str, key: RawKey, ends: Ends, refused: tuple[str, float] | None
) -> None:
    """Enter a file whose raw is registered."""
    end = ends.of(key)
    if end is None and refused is not None:
        account.end(place, Outcome.REFUSED, refused[0])
        return
    if end is None:
        account.wait(place, "its raw is registered and has no outcome")
        return
    account.end(f"{place} ({told_raw(key)})", *end)
    if refused is None:
        return
    processed, now = ends.written(key), _written(place)
    if now > refused[1] or (processed is not None and now > processed + _SAME_SECONDS):
        # There were two files of this name, one after the other: one was refused, and one was processed.
        account.end(place, Outcome.REFUSED, refused[0])
        account.sent_again = max(0, account.sent_again - 1)
    elif (taken := ends.taken(key)) is None or taken < refused[1]:  # else what it was refused for was mended
        why = f"refused ({refused[0]}), and {end[0]}"
        account.findings.append(Finding(imbalance=Imbalance.ENDED_TWICE, what=place, why=why))


def _unaccounted(
    account: Account, place: str, key: RawKey | None, registered: Sequence[RegisteredRaw], ends: Ends
) -> None:
    """Enter a file that is neither refused nor registered."""
    if registered:
        account.wait(place, f"it is the same raw as {registered[0].path}, and is not refused")
    elif key is not None and (end := ends.of(key)) is not None:
        account.end(place, *end)
    else:
        account.wait(place, "it is neither refused nor registered")


def _others(
    account: Account,
    refusals: Refusals,
    raws: Mapping[RawKey, Sequence[RegisteredRaw]],
    claimed: set[RawKey],
    ends: Ends,
    *,
    counted_all: bool,
) -> None:
    """Enter registered raws that are none of the files, as far as they were this output's to process."""
    for key in raws.keys() - claimed:
        end, refused = ends.of(key), refusals.raws.get(key)
        if end is not None or refused is not None or counted_all:
            account.others += 1
            account.exposures.add(key[:2])
        if end is not None:
            account.end(told_raw(key), *end)
        elif refused is not None:
            account.end(told_raw(key), Outcome.REFUSED, refused)
        elif counted_all:
            account.wait(told_raw(key), "it is registered and has no outcome")
    for key, reason in refusals.raws.items():
        if key not in raws:
            account.end(told_raw(key), Outcome.REFUSED, reason)


def told_raw(key: RawKey) -> str:
    """Return a raw's data ID for a person."""
    return told({"instrument": key[0], "exposure": key[1], "detector": key[2]})


def _written(place: str) -> float:
    try:
        return Path(place).stat().st_mtime
    except OSError:
        return 0.0


def _same_file(place: str, path: str) -> bool:
    try:
        return os.path.samefile(place, path)  # noqa: PTH121 -- a path in text
    except OSError:
        return False
