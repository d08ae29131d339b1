"""``rapid-exec new-channel``."""

from __future__ import annotations

__all__ = ("new_channel",)

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..model import InputError
from ._logging import log_options, start_logging

if TYPE_CHECKING:
    from .scaffold import OwnPackage, Written


@click.command()
@click.argument("name")
@click.option(
    "--dimensions",
    required=True,
    help="Of the channel, like exposure,detector or exposure or visit,detector or day_obs.",
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    required=True,
    metavar="TYPE",
    help="Dataset type to read: raw, or what a task of the pipeline reads or makes; repeatable.  Any other: "
    "NAME:STORAGE_CLASS:DIMENSION,DIMENSION.",
)
@click.option(
    "--output",
    "outputs",
    multiple=True,
    metavar="TYPE",
    help="Dataset type to write, or NAME:STORAGE_CLASS (StructuredDataDict, ArrowAstropy, Plot); "
    "repeatable.  [default: NAME in small letters, StructuredDataDict]",
)
@click.option(
    "--package",
    type=click.Path(path_type=Path),
    help="Folder of a package of your own, made if it is not there.  [default: this checkout]",
)
@click.option(
    "--pipeline",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Pipeline that gets the channel.  [default: pipelines/summit.yaml; with --package a new one, which "
    "imports it]",
)
@log_options
def new_channel(
    name: str,
    dimensions: str,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    package: Path | None,
    pipeline: Path | None,
) -> None:
    """Write a channel NAME that already runs: task, config, connections, unit test, a line in a pipeline.

    NAME is its label in pipelines, like quickSky.  The channel reads one dataset of each TYPE, or all that
    its data ID has, where TYPE has more dimensions than the channel.  It writes numbers on them, until its
    author has it do something better.  No file is ever overwritten.
    """
    from .scaffold import (
        Request,
        find_checkout,
        open_package,
        package_folder,
        write_in_checkout,
        write_in_package,
    )

    start_logging()
    request = Request(name, dimensions, inputs, outputs)
    if package is None:
        _tell(write_in_checkout(find_checkout(Path.cwd(), package_folder()), pipeline, request), None)
        return
    place = open_package(package)
    if pipeline is not None and not pipeline.resolve().is_relative_to(package.resolve()):
        raise InputError(
            f"--pipeline: {pipeline} is not in {package}; a package's channels go into its own pipelines."
        )
    _tell(write_in_package(place, pipeline, request), place)


def _tell(written: Written, place: OwnPackage | None) -> None:
    """Say what was written, and what to type next."""
    for path in written.new:
        click.echo(f"new      {_short(path)}")
    for path in written.changed:
        click.echo(f"changed  {_short(path)}")
    click.echo("\nNext:")
    if place is not None:
        click.echo(
            f"  export PYTHONPATH={shlex.quote(str(place.sources.absolute()))}${{PYTHONPATH:+:$PYTHONPATH}}"
        )
    click.echo(f"  pytest {_quoted(written.test)}")
    click.echo(f"  rapid-exec test-channels {_quoted(written.pipeline)}")
    click.echo(f"  rapid-exec run {_quoted(written.pipeline)} --simulate 1 --detectors 90..91")


def _short(path: Path) -> Path:
    """Return a path relative to the working directory, if it is below it."""
    absolute = path.absolute()
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute


def _quoted(path: Path) -> str:
    return shlex.quote(str(_short(path)))
