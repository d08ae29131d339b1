"""The options of ``rapid-exec run``, which ``rapid-exec doctor`` has, too."""

from __future__ import annotations

__all__ = ("run",)

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from ._logging import log_options
from ._options import DayObs, NumberList, WatchSourceType, visits_option, workers_option
from ._pipeline_options import PipelineCommand, override_options
from ._policy import mode_option, pattern_option, vary_option
from ._simulate import fault_option, manifest_option


def _split(context: click.Context, parameter: click.Parameter, values: Iterable[str]) -> tuple[str, ...]:  # noqa: ARG001 -- click's signature
    """Take names apart that are separated by commas, as ``pipetask`` does."""
    return tuple(name for value in values for name in value.split(",") if name)


@click.command(cls=PipelineCommand)
@click.argument("pipeline")
@override_options
@click.option(
    "--site", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Facts of this place (YAML)."
)
@click.option(
    "-b", "--butler-config", "repository", help="Repository.  [default: an embedded one in the work folder]"
)
@click.option(
    "--instrument",
    "instruments",
    multiple=True,
    help="Instrument whose raws are taken; repeatable.  [default: all]",
)
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    callback=_split,
    help="Input collection, or several separated by commas; repeatable.  [default: INSTRUMENT/defaults]",
)
@click.option("-o", "--output", help="Chain of the RUNs that are written.  [default: rapid]")
@click.option(
    "--watch",
    multiple=True,
    type=WatchSourceType(),
    metavar="DIR|butler",
    help="Folder where raws land, or 'butler': the repository, where others ingest them; repeatable.",
)
@click.option(
    "--since",
    type=DayObs(),
    help="With --watch butler: first observing day whose raws are taken.  [default: yesterday]",
)
@click.option(
    "-d",
    "--data-query",
    metavar="WHERE",
    help="Take the raws of the repository that this butler expression selects, and stop when all have ended.",
)
@click.option("--polling", is_flag=True, default=None, help="Watch by polling (NFS).")
@click.option(
    "--quarantine",
    type=click.Path(file_okay=False, path_type=Path),
    help="Move refused files there, each with its reason beside it.  [default: they stay]",
)
@click.option(
    "--transfer",
    type=click.Choice(["direct", "copy", "move", "link", "hardlink", "symlink"]),
    help="How raws enter the repository.  [default: direct, where they are]",
)
@visits_option
@click.option(
    "--detectors",
    type=NumberList(),
    help="Detectors to which the run is limited, like 90..98 or 10,94.  [default: all]",
)
@pattern_option
@vary_option
@mode_option
@workers_option
@click.option(
    "--work-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Ledger, reports, published files, the embedded repository.  [default: ./rapid-data]",
)
@click.option(
    "--simulate",
    "exposures",
    type=click.IntRange(1),
    help="Take N exposures with the built-in camera, and stop when all have ended.",
)
@click.option(
    "--cadence",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Seconds between simulated exposures.",
)
@click.option("--scale", default="1/8", show_default=True, help="Part of each simulated detector, 1 to 1/8.")
@click.option(
    "--sequence",
    default="science",
    show_default=True,
    help="Kinds of simulated exposure, like science,bias,dark,flat.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="All that is random in the simulation depends on it.",
)
@fault_option
@manifest_option
@click.option(
    "--until-idle",
    type=click.FloatRange(0, min_open=True),
    help="Stop when nothing has happened for this many seconds.",
)
@click.option(
    "--drain-limit",
    type=click.FloatRange(0),
    help="Seconds that what runs has to end in, once the run is told to stop.  [default: 60]",
)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Also write the report here.")
@log_options
def run(pipeline: str, site: Path | None, **options: Any) -> None:
    """Run PIPELINE on raws as they arrive, on warm workers, and register what they give.

    PIPELINE is a YAML file, or FILE#LABEL,LABEL for some of its tasks, subsets or steps.

    Without a repository an embedded one is made, with demo calibrations of the simulated camera.  Without
    --simulate, --data-query and --until-idle it runs until it is interrupted: the first Ctrl-C or SIGTERM
    gives what is running the time of --drain-limit to end in, commits, writes the report and exits with 0, or
    with 3 if something was given up, which the next start takes up; the second stops now.
    """
    from ._run import run_pipeline

    run_pipeline(pipeline, site, options)
