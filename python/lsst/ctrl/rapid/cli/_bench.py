"""``rapid-exec bench``."""

from __future__ import annotations

__all__ = ("bench",)

import contextlib
import logging
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from ..bench import (
    SUITES,
    Database,
    SuiteSettings,
    draw_plots,
    render_markdown,
    run_suite,
)
from ..model import InputError
from ._logging import log_options, start_logging

_LOG = logging.getLogger(__name__)

_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)
_DATABASES: Mapping[str, tuple[Database, ...]] = {
    "sqlite": ("sqlite",),
    "postgresql": ("postgresql",),
    "both": ("sqlite", "postgresql"),
}


def _epilog() -> str:
    """Return the list of suites, as click prints it."""
    width = max(map(len, SUITES))
    return "\b\nSuites:\n" + "\n".join(f"  {suite.name:{width}}  {suite.title}" for suite in SUITES.values())


@click.command(epilog=_epilog())
@click.argument("suite", type=click.Choice(list(SUITES)), metavar="SUITE")
@click.option("--json", "json_file", type=_FILE, help="Write all figures here.")
@click.option("--markdown", "markdown_file", type=_FILE, help="Write the table here, too.")
@click.option("--plots", type=_FOLDER, help="Draw pictures in this folder.")
@click.option("--check", is_flag=True, help="Exit with 1 when a goal is not met.")
@click.option("--repetitions", type=click.IntRange(1), help="Of each measurement.  [default: by suite]")
@click.option(
    "-j",
    "--workers",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Worker processes, of each peer.",
)
@click.option(
    "--database",
    type=click.Choice(list(_DATABASES)),
    default="both",
    show_default=True,
    help="Where the registry is; suites that measure in one only leave the other out.",
)
@click.option(
    "--work-dir", type=_FOLDER, help="Where repositories and files are made, and stay.  [default: temporary]"
)
@click.option("--quick", is_flag=True, help="Tiny sizes, to see that all works; the figures mean nothing.")
@log_options
def bench(
    suite: str,
    json_file: Path | None,
    markdown_file: Path | None,
    plots: Path | None,
    check: bool,
    repetitions: int | None,
    workers: int,
    database: str,
    work_dir: Path | None,
    quick: bool,
) -> None:
    """Measure SUITE: the executor and what it is compared with, on this machine, in one run.

    What is compared is measured by turns; medians and spread are printed, then each goal with its target
    and value.  Other work on the machine changes the figures.
    """
    start_logging()
    for file in (json_file, markdown_file):
        if file is not None and not file.absolute().parent.is_dir():
            raise InputError(f"{file}: there is no folder {file.absolute().parent}.")
    with _folder(work_dir, suite) as folder:
        settings = SuiteSettings(
            work_dir=folder,
            repetitions=repetitions,
            workers=workers,
            databases=_DATABASES[database],
            quick=quick,
        )
        result = run_suite(SUITES[suite], settings, _command(suite, settings), _LOG.info)
    markdown = render_markdown(result)
    click.echo(markdown)
    if json_file is not None:
        json_file.write_text(result.model_dump_json(indent=1) + "\n")
    if markdown_file is not None:
        markdown_file.write_text(markdown)
    if plots is not None:
        for path in draw_plots(result, plots):
            click.echo(f"Drawn: {path}")
    sys.exit(1 if check and not all(goal.met for goal in result.goals) else 0)


def _command(suite: str, settings: SuiteSettings) -> str:
    """Return what repeats the measurement."""
    words = ["rapid-exec", "bench", suite]
    if settings.repetitions is not None:
        words += ["--repetitions", str(settings.repetitions)]
    words += ["--workers", str(settings.workers)]
    if len(settings.databases) == 1:
        words += ["--database", *settings.databases]
    return " ".join([*words, *(["--quick"] if settings.quick else [])])


@contextlib.contextmanager
def _folder(work_dir: Path | None, suite: str) -> Iterator[Path]:
    """Give a suite a folder of its own."""
    if work_dir is None:
        with tempfile.TemporaryDirectory(prefix=f"rapid-bench-{suite}-") as temporary:
            yield Path(temporary)
        return
    folder = work_dir.absolute() / suite
    if folder.is_dir() and any(folder.iterdir()) and not SUITES[suite].keeps:
        raise InputError(f"{folder}: there are files of an earlier measurement; remove it, or name another.")
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
