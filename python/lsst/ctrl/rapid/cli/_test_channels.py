"""``rapid-exec test-channels``."""

from __future__ import annotations

__all__ = ("test_channels",)

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..model import InputError
from ._logging import log_options, start_logging
from ._options import NumberList
from ._pipeline_options import PipelineCommand, find_pipeline, override_options

if TYPE_CHECKING:
    from .payloads import Case


@click.command(cls=PipelineCommand)
@click.argument("pipeline")
@override_options
@click.option(
    "--work-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the repository and the logs are made, and stay.  [default: a temporary folder]",
)
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="JUnit XML to write.")
@click.option(
    "--detectors", type=NumberList(), help="Detectors to simulate, like 90..91.  [default: two in the middle]"
)
@click.option(
    "--step",
    "steps",
    multiple=True,
    help="Run this step, and those that it reads from, rather than all; repeatable.",
)
@click.option("--instrument", default="LSSTCamSim", show_default=True, help="Camera to simulate.")
@click.option("--keep", is_flag=True, help="Leave the temporary folder, and say where it is.")
@click.option(
    "-j",
    "--processes",
    type=click.IntRange(1),
    help="Pipelines that are tested at the same time.  [default: number of cores]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=900.0,
    show_default=True,
    help="Seconds after which a step is ended, and has failed.",
)
@log_options
def test_channels(
    pipeline: str,
    overrides: tuple[tuple[str, str], ...],
    work_dir: Path | None,
    junit: Path | None,
    detectors: tuple[int, ...] | None,
    steps: tuple[str, ...],
    instrument: str,
    keep: bool,
    processes: int | None,
    timeout: float,
) -> None:
    """Test the channels of PIPELINE and its companions with plain pipetask, on simulated exposures.

    One exposure of each kind is simulated into a small repository.  Each step of each pipeline is run by
    pipetask in a process of its own, on the exposures that its expression selects.  Then every quantum must
    have left its log and its metadata, and every output must be there and readable.

    Exit code 1 when something failed.
    """
    from ..ingest import check_cameras
    from .payloads import find_pipetask, make_stage, plan_companions, try_companions, write_junit

    started = time.monotonic()
    start_logging()
    check_cameras([instrument])
    find_pipetask()
    companions = plan_companions(find_pipeline(pipeline, overrides), steps)
    with _folder(work_dir, keep=keep) as folder:
        stage = make_stage(folder, instrument, detectors)
        click.echo(
            f"Simulated {', '.join(stage.kinds())} of {instrument} ({time.monotonic() - started:.1f} s)."
        )
        cases = try_companions(
            stage, companions, processes=processes or os.cpu_count() or 1, timeout=timeout, told=_tell
        )
    if junit is not None:
        write_junit(cases, junit)
    failed = sum(bool(case.failure) for case in cases)
    skipped = sum(bool(case.skipped) for case in cases)
    passed = len(cases) - failed - skipped
    click.echo(
        f"{passed} passed, {failed} failed, {skipped} skipped in {time.monotonic() - started:.0f} s"
        + (f"; see {junit}." if junit is not None else ".")
    )
    sys.exit(1 if failed else 0)


@contextlib.contextmanager
def _folder(work_dir: Path | None, *, keep: bool) -> Iterator[Path]:
    if work_dir is None:
        with tempfile.TemporaryDirectory(prefix="rapid-payloads-", delete=not keep) as folder:
            yield Path(folder)
            if keep:
                click.echo(f"Repository and logs: {folder}")
        return
    if (work_dir / "repo").exists():
        raise InputError(f"{work_dir}: there is a repository of an earlier test; remove it, or name another.")
    work_dir.mkdir(parents=True, exist_ok=True)
    yield work_dir.absolute()
    click.echo(f"Repository and logs: {work_dir}")


def _tell(cases: Sequence[Case]) -> None:
    """Print a line on a step, and one on each thing that failed."""
    first = cases[0]
    where = " ".join(part for part in (first.pipeline, first.step) if part)
    failed = [case for case in cases if case.failure]
    state = "FAILED" if failed else "skipped" if all(case.skipped for case in cases) else "passed"
    lines = [f"{where:30} {state:8} {first.seconds:6.1f} s"]
    lines += [f"  {case.name}: {case.failure}" for case in failed]
    click.echo("\n".join(lines))
