"""``rapid-exec soak``."""

from __future__ import annotations

__all__ = ("soak",)

import importlib.resources
import logging
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, override

import click
from rich.console import Console
from rich.table import Table

from ._logging import log_options, start_logging
from ._options import NumberList

if TYPE_CHECKING:
    from ..soak import Disturbance, SoakResult

_LOG = logging.getLogger(__name__)


class _DisturbanceType(click.ParamType["Disturbance"]):
    """Something that a soak does to the executor."""

    name = "disturbance"

    @override
    def convert(
        self, value: str | Disturbance, param: click.Parameter | None, ctx: click.Context | None
    ) -> Disturbance:
        from ..model import did_you_mean
        from ..soak import Disturbance

        if value not in Disturbance:
            self.fail(f"{value!r} is not done to an executor{did_you_mean(value, map(str, Disturbance))}")
        return Disturbance(value)


@click.command()
@click.argument("pipeline", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    default=3.0,
    show_default=True,
    help="How long files are sent.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="What happens when depends on it.")
@click.option(
    "-j", "--workers", type=click.IntRange(1), default=2, show_default=True, help="Worker processes."
)
@click.option(
    "--database",
    type=click.Choice(["sqlite", "postgresql"]),
    default="sqlite",
    show_default=True,
    help="Where the registry is.",
)
@click.option(
    "-d", "--detectors", type=NumberList(), default="90,91,93,94", show_default=True, help="Detectors."
)
@click.option(
    "--cadence",
    type=click.FloatRange(0.1),
    default=6.0,
    show_default=True,
    help="Seconds from one exposure to the next.",
)
@click.option("--scale", default="1/8", show_default=True, help="Part of each detector that is simulated.")
@click.option(
    "--memory-slope",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    help="How fast a warm process may grow, MiB a minute, once it has grown by 150 MiB.",
)
@click.option(
    "--without",
    multiple=True,
    type=_DisturbanceType(),
    metavar="WHAT",
    help="Something that is not done, of head-killed, head-stopped, worker-killed, camera-killed, bad-files "
    "and registry-away; repeatable.",
)
@click.option(
    "--work-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where everything is written, and stays.  [default: temporary; kept if it does not pass]",
)
@click.option("--keep", is_flag=True, help="Keep the temporary folder.")
@log_options
def soak(
    pipeline: Path | None,
    work_dir: Path | None,
    keep: bool,
    without: tuple[Disturbance, ...],
    **values: Any,
) -> None:
    """Have an executor run PIPELINE under random faults, then tell whether everything balances.

    Files of a simulated camera land with its faults; meanwhile head, workers and camera are killed, the head
    is stopped and started again, the registry goes away, and files land that are no raws.  At the end of the
    time the executor finishes what has come, and 'rapid-exec check' looks at everything.

    PIPELINE is summit.yaml if none is given.  Exit codes: 0, everything balances and no memory grew; 1, not;
    2, it was asked for something that is not possible.
    """
    from ..soak import SoakConfig
    from ..soak import soak as run_soak

    start_logging()
    folder = work_dir or Path(tempfile.mkdtemp(prefix="rapid-soak-"))
    config = SoakConfig(
        pipeline=(pipeline or _summit()).absolute(),
        work_dir=folder.absolute(),
        without=frozenset(without),
        **values,
    )
    passed = False
    try:
        result = run_soak(config, _LOG.info)
        passed = result.passed
        _print(result, Console())
    except RuntimeError as err:
        raise click.ClickException(str(err)) from err
    finally:
        if work_dir is None and passed and not keep:
            shutil.rmtree(folder)
        else:
            click.echo(f"Logs, ledger, repository: {folder}")
    sys.exit(0 if passed else 1)


def _summit() -> Path:
    """Return the pipeline of the summit that comes with the package."""
    return Path(str(importlib.resources.files("lsst.ctrl.rapid"))) / "resources" / "pipelines" / "summit.yaml"


def _print(result: SoakResult, console: Console) -> None:
    from ._balance import print_balance

    print_balance(result.balance, console)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column()
    table.add_column()
    table.add_row("minutes", f"{result.minutes:.1f}, then {result.drained_seconds:.0f} s to drain")
    table.add_row("exposures", f"{result.balance.exposures}, {result.balance.sent} files")
    table.add_row("registry", f"{result.database}, seed {result.seed}")
    for what, count in result.disturbances.items():
        table.add_row(what, str(count))
    table.add_row("restarts", str(result.restarts))
    for slope in result.slopes:
        told = f"{slope.slope:+.1f} ± {slope.error:.1f} MiB/min over {slope.minutes:.1f} min"
        told += f", later {slope.later_slope:+.1f} ({slope.first_mib:.0f} to {slope.last_mib:.0f} MiB)"
        table.add_row(f"{slope.process} {slope.pid}", told + (" TOO STEEP" if slope.too_steep else ""))
    for what in result.unexpected:
        table.add_row("UNEXPECTED", what)
    console.print(table)
    console.print("The soak passed." if result.passed else "The soak did NOT pass.")
