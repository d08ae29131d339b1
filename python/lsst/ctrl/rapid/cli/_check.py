"""``rapid-exec check``: the balance of what was sent and how it ended."""

from __future__ import annotations

__all__ = ("check",)

import sys
from pathlib import Path

import click
from rich.console import Console

from ._logging import start_logging

_LINES = 10


@click.command()
@click.argument("repo")
@click.option("-o", "--output", default="rapid", show_default=True, help="Chain of the executor's RUNs.")
@click.option(
    "--landing",
    multiple=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder where files land; repeatable.",
)
@click.option(
    "--sent",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="MANIFEST",
    help="What was sent: written by 'rapid-exec simulate --manifest'; repeatable.",
)
@click.option(
    "--ledger",
    "ledgers",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Ledger of an executor, WORK-DIR/ledger.jsonl: what was refused; repeatable.",
)
@click.option(
    "--allow-waiting", is_flag=True, help="An executor runs: what has not ended yet is no imbalance."
)
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0),
    default=_LINES,
    show_default=True,
    help="Most lines of each kind.",
)
def check(
    repo: str,
    output: str,
    landing: tuple[Path, ...],
    sent: tuple[Path, ...],
    ledgers: tuple[Path, ...],
    allow_waiting: bool,
    as_json: bool,
    lines: int,
) -> None:
    """Tell what became of every file that was sent, and whether nothing is registered twice or half.

    It reads the files that were sent, the repository REPO and the ledger, and shares no code with the
    executor.  It writes nothing, and may be used while an executor runs, or none.

    Exit codes: 0, it balances; 1, it does not; 2, it was asked for something that is not possible.
    """
    from ..check import check_balance
    from ._balance import print_balance

    start_logging("ERROR")
    balance = check_balance(
        repo, output, landing=landing, sent=sent, ledgers=ledgers, allow_waiting=allow_waiting
    )
    if as_json:
        click.echo(balance.model_dump_json(indent=1))
    else:
        print_balance(balance, Console(), lines)
    sys.exit(0 if balance.balanced else 1)
