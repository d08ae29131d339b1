"""The check as a whole."""

from __future__ import annotations

__all__ = ("check_balance",)

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from lsst.daf.butler import Butler

from .._opening import open_to_read
from ..instruments import RawReaders
from ..model import Outcome
from ._account import Ends, account_for, identify_file, told_raw
from ._disk import Disk
from ._ledger import read_ledgers
from ._model import Balance, Finding, Imbalance
from ._registry import Contents, RegisteredRaw, read_contents, read_raws
from ._sent import RawKey, SentFile, place_of, read_sent


def check_balance(
    repository: str,
    output: str,
    *,
    landing: Sequence[Path] = (),
    sent: Sequence[Path] = (),
    ledgers: Sequence[Path] = (),
    allow_waiting: bool = False,
) -> Balance:
    """Tell whether every file that was sent ended exactly once, and nothing is registered twice or half.

    Parameters
    ----------
    repository
        Butler configuration or root; it is only read, but for what a killed process
        has half written to an SQLite registry, which SQLite takes back.
    output
        The chain below which the executor's RUNs are.
    landing
        Folders where files land.
    sent
        Manifests of what was sent.  With neither, the raws are counted of the exposures that have outcomes.
    ledgers
        Ledgers of the executors that wrote to the output.
    allow_waiting
        Whether what has not ended is no imbalance: an executor is running.

    Returns
    -------
    balance
        What became of everything.

    Raises
    ------
    lsst.ctrl.rapid.model.InputError
        If the repository, a folder, a manifest or a ledger cannot be read.

    Notes
    -----
    It does not matter whether an executor runs meanwhile: what is sent is looked at first, and the registry
    afterwards, so that what ends in between is found ended.
    """
    files = read_sent(sent, landing)
    with open_to_read(repository) as butler:
        roots = {name: root for name, root in butler.get_datastore_roots().items() if root is not None}
        disk = Disk(roots, output)
        contents = read_contents(butler, output, disk)
        ends = Ends(contents.outcomes)
        raws, places = _find_raws(butler, disk, files, ends)
    refusals = read_ledgers(ledgers)
    account = account_for(files, refusals, raws, places, ends)
    findings = [
        *account.findings,
        *ends.without_gather(contents.gathers),
        *ends.twice(),
        *_raw_findings(raws, ends),
        *contents.findings,
    ]
    types = {name for found in contents.runs.values() for name in found}
    shards: defaultdict[str, Counter[Outcome]] = defaultdict(Counter)
    for left in contents.outcomes:
        if left.record is not None:
            shards[left.step][left.record.outcome] += 1
    return Balance(
        repository=repository,
        output=output,
        balanced=all(allow_waiting and found.imbalance.may_pass for found in findings),
        sent=account.counts.total(),
        done=account.counts[Outcome.DONE],
        failed=account.counts[Outcome.FAILED],
        shed=account.counts[Outcome.SHED],
        refused=account.counts[Outcome.REFUSED],
        waiting=account.counts["waiting"],
        exposures=len(account.exposures),
        never_visible=account.never_visible,
        sent_again=account.sent_again,
        linked=account.linked,
        others=account.others,
        shards={step: dict(counts) for step, counts in sorted(shards.items())},
        datasets=contents.datasets,
        scratch=disk.scratch,
        findings=tuple(findings),
        ended=tuple(account.ended),
        orphans=tuple(disk.orphans(contents.runs, types)),
        notes=tuple(_notes(contents, output, files, bool(ledgers), len(refusals.unknown))),
    )


def _find_raws(
    butler: Butler, disk: Disk, files: dict[str, SentFile], ends: Ends
) -> tuple[Mapping[RawKey, Sequence[RegisteredRaw]], Mapping[str, RawKey]]:
    """Return the registered raws of all that was sent or has ended, and which of them is where.

    Headers are read only of files that no manifest tells of and that are not the file of a registered raw.
    """
    wanted: defaultdict[str, set[int]] = defaultdict(set)
    for instrument, exposures in ends.exposures.items():
        wanted[instrument] |= exposures
    for file in files.values():
        if file.key is not None:
            wanted[file.key[0]].add(file.key[1])
    raws = dict(read_raws(butler, disk, wanted))
    places = _places(raws)
    more: defaultdict[str, set[int]] = defaultdict(set)
    unknown = [place for place, file in files.items() if file.key is None and place not in places]
    readers = RawReaders.from_butler(butler)
    for place in unknown:
        if (key := identify_file(place, readers)) is not None:
            files[place] = dataclasses.replace(files[place], key=key)
            if key[1] not in wanted[key[0]]:
                more[key[0]].add(key[1])
    raws |= read_raws(butler, disk, more)
    return raws, _places(raws)


def _places(raws: Mapping[RawKey, Sequence[RegisteredRaw]]) -> dict[str, RawKey]:
    return {
        place_of(one.path): key
        for key, found in raws.items()
        for one in found
        if one.path and not one.in_store
    }


def _raw_findings(raws: Mapping[RawKey, Sequence[RegisteredRaw]], ends: Ends) -> list[Finding]:
    """Return what is wrong with registered raws, and which outcomes have none."""
    found = []
    for key, registered in raws.items():
        what = f"raw {told_raw(key)}"
        if len(registered) > 1:
            why = " and in ".join(sorted(one.run for one in registered))
            found.append(Finding(imbalance=Imbalance.REGISTERED_TWICE, what=what, why=f"in {why}"))
        for one in registered:
            if not one.path:
                found.append(Finding(imbalance=Imbalance.NO_FILE, what=f"{what} in {one.run}"))
            elif not one.is_there:
                found.append(
                    Finding(imbalance=Imbalance.FILE_GONE, what=f"{what} in {one.run}", why=one.path)
                )
    found += [
        Finding(imbalance=Imbalance.RAW_NOT_REGISTERED, what=f"raw {told_raw(key)}")
        for key in ends.raws
        if key not in raws
    ]
    return found


def _notes(
    contents: Contents, output: str, files: Mapping[str, SentFile], has_ledger: bool, unknown: int
) -> list[str]:
    notes = []
    if not contents.runs:
        notes.append(f"There is no RUN below {output!r}: was nothing processed yet, or is the name wrong?")
    if not has_ledger:
        notes.append(
            "No ledger was given: which files were refused is not known (--ledger WORK-DIR/ledger.jsonl)."
        )
    if not files:
        notes.append(
            "Nothing was given that tells what was sent: raws that were never taken up are not seen."
        )
    if unknown:
        notes.append(f"{unknown} line(s) of the ledger cannot be read.")
    if contents.partial:
        notes.append(
            f"{len(contents.partial)} partial gather(s) are registered; complete ones take their place."
        )
    return notes
