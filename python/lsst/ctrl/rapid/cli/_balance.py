"""The balance of what was sent and how it ended, printed for a person."""

from __future__ import annotations

__all__ = ("print_balance",)

import itertools
from collections import Counter
from collections.abc import Callable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..check import Balance, Imbalance, OrphanKind
from ..model import Outcome

_LINES = 10

_ADVICE = {
    Imbalance.WAITING: (
        "not ended; if no executor runs, start it again: it takes them up. If one runs and they stay, keep "
        "its log and report it"
    ),
    Imbalance.GATHER_WAITING: "not gathered; start the executor again with the same landing folder",
    Imbalance.ENDED_TWICE: "ended twice; this is a fault of the executor: keep ledger and log, and report it",
    Imbalance.REGISTERED_TWICE: "registered twice; keep both RUNs, and report it",
    Imbalance.RAW_NOT_REGISTERED: "processed, but not registered themselves; use rapid-exec ingest-raws",
    Imbalance.FILE_GONE: "registered, but the file is gone; restore it, or use butler prune-datasets",
    Imbalance.FILE_DIFFERS: "registered, but the file has another size; do not use it, and report it",
    Imbalance.NO_FILE: "registered, but without a file; use butler prune-datasets",
    Imbalance.NO_OUTCOME: "registered products of which no outcome tells; report it",
    Imbalance.NO_PRODUCT: "said to be done, but its product is not registered; was it pruned by somebody?",
    Imbalance.UNREADABLE: "outcomes that cannot be read; the file is damaged",
}

_ORPHANS = {
    OrphanKind.TEMPORARY: "half-written: their process died, or writes now; delete them when nothing runs",
    OrphanKind.UNREGISTERED: "written, not registered: their process died before that, or their shard is "
    "under way; delete them when nothing runs",
    OrphanKind.FOREIGN: "nothing that the executor writes: somebody put them there",
}


def print_balance(balance: Balance, console: Console, lines: int = _LINES) -> None:
    """Print a balance for a person.

    Parameters
    ----------
    balance
        What was found.
    console
        Where to.
    lines
        Most lines of each kind.
    """

    def say(text: str) -> None:
        console.print(escape(text), soft_wrap=True, highlight=False)

    console.print(_table(balance))
    for step, counts in balance.shards.items():
        say(f"{step}: {', '.join(f'{count} {outcome}' for outcome, count in counts.items())}")
    say(f"{balance.datasets} datasets are registered below {balance.output}.")
    for kind, count in Counter(orphan.kind for orphan in balance.orphans).items():
        size = sum(orphan.size for orphan in balance.orphans if orphan.kind is kind) / 1e6
        say(f"{count} file(s), {size:.1f} MB, that nothing registers: {_ORPHANS[kind]}.")
    for note in balance.notes:
        say(f"Note: {note}")
    for outcome in (Outcome.REFUSED, Outcome.FAILED):
        _list(say, outcome, [f"{e.what}: {e.reason}" for e in balance.ended if e.outcome is outcome], lines)
    for imbalance in Imbalance:
        found = [f for f in balance.findings if f.imbalance is imbalance]
        told = [f"{f.what}: {f.why}" if f.why else f.what for f in found]
        _list(say, f"{imbalance.upper()}, {len(found)} {_ADVICE[imbalance]}", told, lines)
    faults = len(balance.findings)
    say("It balances." if balance.balanced else f"It does NOT balance: {faults} finding(s) above.")


def _table(balance: Balance) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    rows = [
        ("sent", balance.sent, f"files, of {balance.exposures} exposure(s)"),
        ("done", balance.done, ""),
        ("failed", balance.failed, ""),
        ("shed", balance.shed, "skipped on purpose"),
        ("refused", balance.refused, "not raws that are handled, or raws that were there already"),
        ("waiting", balance.waiting, "not ended"),
    ]
    more = [
        ("replaced", balance.sent_again, "sent again under the same name; not counted above"),
        ("linked", balance.linked, "another name of a raw that is registered; not counted above"),
        (
            "never seen",
            balance.never_visible,
            "announced, never visible: their sender died; not counted above",
        ),
        ("others", balance.others, "of those above: registered raws that are not among the files given"),
    ]
    for word, count, meaning in rows + [row for row in more if row[1]]:
        table.add_row(word, str(count), meaning)
    return table


def _list(say: Callable[[str], None], title: str, told: list[str], lines: int) -> None:
    if not told:
        return
    say(f"{title}:")
    for line in itertools.islice(sorted(told), lines):
        say(f"  {line}")
    if len(told) > lines:
        say(f"  ... and {len(told) - lines} more: --lines {len(told)}, or --json")
