"""``rapid-exec simulate``: raws only."""

from __future__ import annotations

__all__ = ("simulate", "simulation_config", "take_exposures")

import os
import signal
import sys
from pathlib import Path
from typing import Any

import click
import pydantic

from ..model import InputError
from ..simulator import SentExposure, SimulationConfig
from ..simulator import simulate as take
from ._main import start_logging
from ._options import NumberList, log_level


def simulation_config(**values: Any) -> SimulationConfig:
    """Return a simulation's settings; options that were not given keep their defaults.

    Raises
    ------
    InputError
        If a value is not possible.
    """
    given = {name: value for name, value in values.items() if value is not None and value != ()}
    try:
        return SimulationConfig(**given)
    except pydantic.ValidationError as err:
        told = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'simulation'}: {e['msg'].removeprefix('Value error, ')}"
            for e in err.errors()
        )
        raise InputError(f"The simulation is not possible: {told}") from None


def take_exposures(config: SimulationConfig, directory: Path) -> None:
    """Write simulated raws in this process, which leaves the terminal's session: Ctrl-C does not reach it."""
    os.setsid()
    start_logging("error")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        for _ in take(config, directory):
            pass
    except OSError as err:
        sys.exit(f"{directory}: {err.strerror or err}")


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--instrument", help="Instrument, as registered.  [default: LSSTCamSim]")
@click.option("--exposures", type=int, help="How many exposures.  [default: 1]")
@click.option("--cadence", type=float, help="Seconds from one shutter close to the next.  [default: 0]")
@click.option(
    "--detectors", type=NumberList(), help="Detectors, like 90..98 or 10,94.  [default: all for science]"
)
@click.option("--scale", help="Part of each detector that is simulated, 1 to 1/8.  [default: 1]")
@click.option("--compress", is_flag=True, default=None, help="Tile-compress the images.")
@click.option("--sequence", help="Kinds of exposure, like science,bias,dark,flat.  [default: science]")
@click.option("--filter", "physical_filter", help="Physical filter.  [default: the camera's r]")
@click.option("--seed", type=int, help="All that is random depends on it.  [default: 0]")
@click.option(
    "--start",
    help="When the first shutter closes (UTC), for raws that are the same every time.  [default: now]",
)
@log_level
def simulate(directory: Path, log_level: str, physical_filter: str | None, **values: Any) -> None:
    """Write simulated raws, in the real format, to DIRECTORY.

    The truth of what is in them is written to DIRECTORY/truth, a line for each file to
    DIRECTORY/manifest.jsonl.
    """
    start_logging(log_level)
    config = simulation_config(filter=physical_filter, **values)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    total = 0

    def sent(exposure: SentExposure) -> None:
        nonlocal total
        total += len(exposure.raws)
        click.echo(f"{exposure.plan.obs_id}: {len(exposure.raws)} raws")

    try:
        for _ in take(config, directory, on_exposure=sent):
            pass
    except FileExistsError as err:
        raise InputError(str(err)) from None
    except OSError as err:
        raise click.ClickException(f"{directory}: {err.strerror or err}") from None
    click.echo(f"{total} raws are in {directory}.")
