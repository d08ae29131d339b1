"""``rapid-exec init-repo`` and ``rapid-exec ingest-raws``."""

from __future__ import annotations

__all__ = ("ingest_raws", "init_repo", "register_raws")

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..model import Arrival, InputError
from ._logging import log_options, start_logging
from ._options import visits_option

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

    from ..ingest import RawReady

_BATCH = 200


@click.command()
@click.argument("repo")
@click.option(
    "--instrument",
    "instruments",
    multiple=True,
    required=True,
    metavar="NAME|CLASS",
    help="Instrument to register: a camera of the LSSTCam family, or any by the name of its class, like "
    "lsst.obs.subaru.HyperSuprimeCam; repeatable.",
)
@log_options
def init_repo(repo: str, instruments: tuple[str, ...]) -> None:
    """Make a repository at REPO that takes raws, or add instruments to one."""
    from ..ingest import make_repository

    start_logging()
    names = make_repository(repo, instruments)
    click.echo(f"{repo} takes raws of {', '.join(names)}.")


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-b", "--butler-config", "repo", required=True, help="Repository.")
@click.option(
    "--transfer",
    type=click.Choice(["direct", "copy", "move", "link", "hardlink", "symlink"]),
    default="direct",
    show_default=True,
    help="Register the files where they are, or transfer them into the repository.",
)
@visits_option
@log_options
def ingest_raws(files: tuple[Path, ...], repo: str, transfer: str, define_visits: bool | None) -> None:
    """Register raw FILES in a repository; a raw that is there already stays as it is.

    Exit code 1 when a file was refused; the others are registered.
    """
    start_logging()
    refused = register_raws(files, repo, transfer, define_visits=define_visits is not False)
    click.echo(f"{len(files) - refused} of {len(files)} file(s) are registered in {repo}.")
    sys.exit(1 if refused else 0)


def register_raws(files: Sequence[Path], repo: str, transfer: str, *, define_visits: bool = True) -> int:
    """Register raws in a repository; each that cannot be is told on the terminal.

    Returns
    -------
    refused
        How many could not be registered.

    Raises
    ------
    InputError
        If the repository cannot be opened, or takes no raws.
    """
    from lsst.daf.butler import Butler, MissingDatasetTypeError

    from .._earth_orientation import use_local_table
    from ..ingest import Ingestor, make_visit_definer, open_raw, registered_instruments
    from ..instruments import RefusedError
    from ..plan import RecordStore

    use_local_table(tell=True)
    try:
        butler = Butler.from_config(repo, writeable=True)
    except (FileNotFoundError, RuntimeError) as err:
        raise InputError(f"{repo}: the repository cannot be opened: {err}") from None
    with butler:
        try:
            raw = open_raw(butler)
        except MissingDatasetTypeError:
            raise InputError(
                f"{repo}: the repository takes no raws yet; run 'rapid-exec init-repo'."
            ) from None
        names = registered_instruments(butler)
        visits = make_visit_definer(repo, [f"{name}/defaults" for name in names], define=define_visits)
        ingestor = Ingestor(raw, RecordStore.from_butler(butler, names), visits=visits)
        refused = 0
        ready: list[RawReady] = []
        for path in files:
            try:
                now = time.time()
                ready.append(ingestor.read(Arrival(path.absolute(), now, now)))
            except RefusedError as err:
                refused += 1
                click.echo(f"{path} is refused: {err}", err=True)
        for first in range(0, len(ready), _BATCH):
            refused += _register(butler, ready[first : first + _BATCH], transfer)
    return refused


def _register(butler: Butler, raws: list[RawReady], transfer: str) -> int:
    """Register raws together, or one by one where that fails; returns how many could not be."""
    from lsst.daf.butler import FileDataset

    from ..commit import sync_records
    from ..plan import register_run

    try:
        sync_records(butler, (record for raw in raws for record in raw.to_register))
        for run in {raw.ref.run for raw in raws}:
            register_run(butler, run)
        datasets = [
            FileDataset(path=str(raw.arrival.path), refs=[raw.ref], formatter=raw.formatter) for raw in raws
        ]
        butler.ingest(*datasets, transfer=transfer, skip_existing=True)
    except Exception as err:  # noqa: BLE001 -- one file's fault must not lose the others
        if len(raws) > 1:
            return sum(_register(butler, [raw], transfer) for raw in raws)
        click.echo(f"{raws[0].arrival.path} could not be registered: {err}", err=True)
        return 1
    return 0
