"""``rapid-exec simulate``: raws only."""

from __future__ import annotations

__all__ = ("fault_option", "manifest_option", "simulate", "simulation_config", "take_exposures")

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, override

import click
import pydantic

from ..model import InputError
from ._logging import log_options, start_logging
from ._options import NumberList

if TYPE_CHECKING:
    from ..simulator import Fault, SentExposure, SimulationConfig


class _FaultType(click.ParamType["Fault"]):
    """A fault of the simulated camera, like ``late:part=0.003,seconds=60``."""

    name = "fault"

    @override
    def convert(self, value: str | Fault, param: click.Parameter | None, ctx: click.Context | None) -> Fault:
        from ..simulator import parse_fault

        return parse_fault(value) if isinstance(value, str) else value


fault_option = click.option(
    "--fault",
    "faults",
    multiple=True,
    type=_FaultType(),
    metavar="KIND[:KEY=VALUE,...]",
    help="What goes wrong in the simulation; repeatable.  See the end of 'rapid-exec simulate --help'.",
)

manifest_option = click.option(
    "--manifest",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for a line of JSON for each simulated file, written before it becomes visible: for "
    "'rapid-exec check --sent'.",
)


def simulation_config(**values: Any) -> SimulationConfig:
    """Return a simulation's settings; options that were not given keep their defaults.

    Raises
    ------
    InputError
        If a value is not possible.
    """
    from ..simulator import SimulationConfig

    given = {name: value for name, value in values.items() if value is not None and value != ()}
    try:
        return SimulationConfig(**given)
    except pydantic.ValidationError as err:
        told = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'simulation'}: {e['msg'].removeprefix('Value error, ')}"
            for e in err.errors()
        )
        raise InputError(f"The simulation is not possible: {told}") from None


def take_exposures(config: SimulationConfig, directory: Path, manifest: Path | None) -> None:
    """Write simulated raws in this process, which ends with the executor, and else at SIGTERM alone."""
    from .._lifeline import end_with_head
    from ..simulator import simulate as take

    os.setsid()  # Ctrl-C does not reach it
    end_with_head()
    start_logging("ERROR")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with contextlib.closing(take(config, directory, announce=manifest)) as raws:
            for _ in raws:
                pass
    except OSError as err:
        sys.exit(f"{directory}: {err.strerror or err}")


_FAULTS = """\b
Faults, each KIND[:KEY=VALUE,...]:
  late:part=0.003,seconds=60     raws come so long after the shutter closed
  missing:detectors=90..92,94    raws never come
  duplicate:part=0.01,seconds=5  raws come again, so long after the first time;
                                 with name=same in place of the first
  out-of-order:depth=2           raws of an exposure come in random order, and up
                                 to 2 later exposures overtake it; without depth
                                 none does
  burst:exposures=5              so many exposures come at once, again and again;
                                 with first=3 once, from the third on

Late, missing and duplicate hit a random part=PART of the raws, those of detectors=DETECTORS, those of
exposures=NUMBERS (counted from 1), or, where several are given, what these have in common; out-of-order takes
exposures=NUMBERS.  What is random depends on --seed alone.
"""


@click.command(epilog=_FAULTS)
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
@fault_option
@manifest_option
@log_options
def simulate(directory: Path, physical_filter: str | None, manifest: Path | None, **values: Any) -> None:
    """Write simulated raws, in the real format, to DIRECTORY.

    The truth of what is in them is written to DIRECTORY/truth, a line for each file to
    DIRECTORY/manifest.jsonl, and a line for each fault to DIRECTORY/faults.jsonl.
    """
    from ..simulator import simulate as take

    start_logging()
    config = simulation_config(filter=physical_filter, **values)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    total = 0

    def sent(exposure: SentExposure) -> None:
        nonlocal total
        total += len(exposure.raws)
        without = f", {len(exposure.missing)} missing" if exposure.missing else ""
        click.echo(f"{exposure.plan.obs_id}: {len(exposure.raws)} raws{without}")

    try:
        with contextlib.closing(take(config, directory, on_exposure=sent, announce=manifest)) as raws:
            for _ in raws:
                pass
    except FileExistsError as err:
        raise InputError(str(err)) from None
    except OSError as err:
        raise click.ClickException(f"{directory}: {err.strerror or err}") from None
    click.echo(f"{total} raws are in {directory}.")
