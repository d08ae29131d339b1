"""``rapid-exec run``."""

from __future__ import annotations

__all__ = ("check_sources", "run", "settings_of")

import asyncio
import contextlib
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, Literal

import click
import sqlalchemy.exc
from rich.live import Live
from rich.logging import RichHandler

from ..arrival import DirectoryWatch, Quarantine
from ..ingest import check_cameras
from ..model import InputError, Policy, Report, SiteFile, check_output, load_rapid_file, load_site_file
from ..plan import PipelineSource, is_away, load_pipeline, notice_lost_servers
from ..service import Executor, Feeder, RunSettings, start_again
from ..simulator import SimulationConfig
from ._demo import make_embedded_repository
from ._live import render
from ._main import start_logging
from ._options import DayObs, NumberList, WatchSourceType, log_level, make_place_for, visits_option
from ._policy import check_policy, mode_option, pattern_option, told_policy, vary_option
from ._report import print_summary
from ._signals import RunConsole, signals_to
from ._simulate import fault_option, manifest_option, simulation_config, take_exposures

_LOG = logging.getLogger(__name__)

_EMBEDDED_INSTRUMENT = "LSSTCamSim"
_EMBEDDED_SCALE = "1/8"
_LEFT_FOR_THE_NEXT_START = 3


@click.command()
@click.argument("pipeline")
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
    help="Input collection; repeatable.  [default: INSTRUMENT/defaults]",
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
@click.option("--workers", type=click.IntRange(1), help="Worker processes.  [default: number of cores]")
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
@click.option(
    "--scale", default=_EMBEDDED_SCALE, show_default=True, help="Part of each simulated detector, 1 to 1/8."
)
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
@log_level
def run(pipeline: str, site: Path | None, log_level: str, **options: Any) -> None:
    """Run PIPELINE on raws as they arrive, on warm workers, and register what they give.

    PIPELINE is a YAML file, or FILE#LABEL,LABEL for some of its tasks, subsets or steps.

    Without a repository an embedded one is made, with demo calibrations of the simulated camera.  Without
    --simulate, --data-query and --until-idle it runs until it is interrupted: the first Ctrl-C or SIGTERM
    gives what is running the time of --drain-limit to end in, commits, writes the report and exits with 0, or
    with 3 if something was given up, which the next start takes up; the second stops now.
    """
    start_logging(log_level)
    notice_lost_servers()
    facts = load_site_file(site) if site is not None else SiteFile()
    settings, feeder = _prepare(PipelineSource.parse(pipeline), facts, options | {"site": site})
    executor, report = _execute(settings, feeder)
    console = RunConsole()
    print_summary(report, console)
    if executor.following is not None:
        _keep_report(settings)
        start_again(executor.following)
    console.print(f"Repository: {settings.repository}", soft_wrap=True)
    console.print(f"Report: {settings.report or settings.work_dir / 'report.json'}", soft_wrap=True)
    if (settings.work_dir / "published").is_dir():
        console.print(f"Published: {settings.work_dir / 'published'}", soft_wrap=True)
    if executor.given_up or report.summary.unregistered:
        sys.exit(_LEFT_FOR_THE_NEXT_START)


def _prepare(
    source: PipelineSource, facts: SiteFile, options: dict[str, Any]
) -> tuple[RunSettings, Feeder | None]:
    """Check what was asked for, then make the folders and the embedded repository that it needs."""
    check_sources(options, facts)
    if options["output"] is not None:
        check_output(options["output"])
    rapid = load_rapid_file(source.path)
    for choice in rapid.pipelines:
        load_pipeline(PipelineSource(source.path.parent / choice.pipeline, source.labels))
    watch = _folders(_watched(options, facts))
    DirectoryWatch(watch, lambda _: None).check()
    if (quarantine := options["quarantine"] or facts.quarantine) is not None:
        Quarantine.check(quarantine, watch)
    policy = told_policy(rapid, facts, options)
    settings, simulation = settings_of(source, facts, policy, options)
    landing = settings.work_dir / "landing"
    if options["repository"] is None and facts.repository is None:
        _make_embedded(settings, policy, simulation)
    if landing in settings.watch:
        landing.mkdir(parents=True, exist_ok=True)
    settings.work_dir.mkdir(parents=True, exist_ok=True)
    if options["report"] is not None:
        make_place_for(options["report"], "--report")
    if simulation is None or not options["exposures"]:
        return settings, None
    return settings, _simulator(simulation, landing, options["manifest"])


def _execute(settings: RunSettings, feeder: Feeder | None) -> tuple[Executor, Report]:
    """Run to the end; returns what ran, and its report."""
    try:
        executor = Executor(settings, feeder)
        return executor, asyncio.run(_run(executor))
    except RuntimeError as err:
        raise click.ClickException(str(err)) from err
    except sqlalchemy.exc.SQLAlchemyError as err:
        if not is_away(err):
            raise
        told = " ".join(str(getattr(err, "orig", err)).split())
        raise click.ClickException(
            f"{settings.repository}: the registry is out of reach ({told}). "
            "Start again when it is back: nothing was done, and what waits in the spool stays there."
        ) from err


def _keep_report(settings: RunSettings) -> None:
    """Keep the report of what was done before new code is loaded beside that of what follows."""
    report = settings.work_dir / "report.json"
    if not report.exists():  # it could not be written
        return
    report.replace(report.with_name(f"report-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}.json"))


def check_sources(options: dict[str, Any], site: SiteFile) -> None:
    """Refuse sources of raws that exclude each other.

    Raises
    ------
    InputError
        If there are such.
    """
    if options["data_query"] is not None:
        if not options["data_query"].strip():
            raise InputError("-d/--data-query: the expression is empty; 'True' selects every raw.")
        for name, given in (("--watch", options["watch"]), ("--simulate", options["exposures"])):
            if given:
                raise InputError(
                    f"-d/--data-query takes what the repository has; it does not go with {name}."
                )
        if options["repository"] is None and site.repository is None:
            raise InputError("-d/--data-query needs the repository that has the raws: -b.")
    if options["since"] is not None and "butler" not in _watched(options, site):
        raise InputError("--since goes with --watch butler.")
    if options["faults"] and not options["exposures"]:
        raise InputError("--fault goes with --simulate.")
    if options["manifest"] is not None and not options["exposures"]:
        raise InputError("--manifest goes with --simulate.")


def _watched(options: dict[str, Any], site: SiteFile) -> tuple[Literal["butler"] | Path, ...]:
    """Return what is watched; nothing when raws are selected."""
    if options["data_query"] is not None:
        return ()
    return tuple(options["watch"]) or site.watch


def _folders(watched: Iterable[Literal["butler"] | Path]) -> tuple[Path, ...]:
    return tuple(source for source in watched if isinstance(source, Path))


def settings_of(
    source: PipelineSource, site: SiteFile, policy: Policy, options: dict[str, Any]
) -> tuple[RunSettings, SimulationConfig | None]:
    """Return the run's settings, options before the site file, and the camera that is simulated, if one is.

    Parameters
    ----------
    source
        The pipeline.
    site
        What the site file says.
    policy
        What is processed.
    options
        Those of the command line, and the ``site`` file's path.

    Raises
    ------
    InputError
        If something is not possible.
    """
    work_dir = Path(options["work_dir"] or site.work_dir or "rapid-data")
    landing = work_dir / "landing"
    instruments = options["instruments"] or site.instruments
    detectors = options["detectors"] or site.detectors
    repository = options["repository"] or site.repository
    simulation = None
    if options["exposures"] or repository is None:
        check_cameras(instruments)
        simulation = simulation_config(
            instrument=instruments[0] if instruments else _EMBEDDED_INSTRUMENT,
            exposures=options["exposures"],
            cadence=options["cadence"],
            detectors=detectors,
            scale=options["scale"],
            sequence=options["sequence"],
            seed=options["seed"],
            faults=options["faults"],
        )
    watched = _watched(options, site)
    watch = _folders(watched)
    if options["exposures"] or not (watched or options["data_query"]):
        watch = (*watch, landing)
    settings = RunSettings(
        repository=repository or str(work_dir / "repo"),
        pipeline=source.path,
        labels=source.labels,
        instruments=instruments,
        inputs=options["inputs"] or site.input,
        output=site.output or "rapid" if options["output"] is None else options["output"],
        watch=watch,
        watch_butler="butler" in watched,
        since=options["since"],
        data_query=options["data_query"] or "",
        polling=site.polling if options["polling"] is None else options["polling"],
        link_targets=site.link_targets,
        quarantine=options["quarantine"] or site.quarantine,
        transfer=options["transfer"] or site.transfer,
        workers=options["workers"] or site.workers.count or os.cpu_count() or 1,
        network=site.workers,
        detectors=detectors,
        policy=policy,
        detector_patterns=site.detector_patterns,
        define_visits=site.define_visits if options["define_visits"] is None else options["define_visits"],
        work_dir=work_dir,
        report=options["report"],
        until_idle=options["until_idle"],
        gather_timeout=site.gather_timeout,
        gather_deadline=site.gather_deadline,
        day_update=site.day_update,
        quantum_timeout=site.quantum_timeout,
        attempts=site.attempts,
        worker_memory_mb=site.worker_memory_mb,
        drain_limit=site.drain_limit if options["drain_limit"] is None else options["drain_limit"],
        commit_interval=site.commit_interval,
        commit_batch=site.commit_batch,
        spool_limit=site.spool_limit,
        calibration_cache_mb=site.calibration_cache_mb,
        calibration_ttl=site.calibration_ttl,
        site=options["site"],
        control=site.control,
        redis=site.redis,
    )
    return settings, simulation


def _make_embedded(settings: RunSettings, policy: Policy, simulation: SimulationConfig | None) -> None:
    """Make the embedded repository, or complete it."""
    assert simulation is not None, "Without a repository there is a simulated camera."
    instruments = settings.instruments or (_EMBEDDED_INSTRUMENT,)
    check_policy(policy, instruments, settings.detectors)
    make_embedded_repository(Path(settings.repository), instruments, simulation)


def _simulator(config: SimulationConfig, landing: Path, manifest: Path | None) -> Feeder:
    """Return what runs the simulated camera in a process of its own, out of reach of a terminal's Ctrl-C."""

    async def feed() -> None:
        camera = multiprocessing.get_context("forkserver").Process(
            target=take_exposures, args=(config, landing, manifest), daemon=True
        )
        camera.start()
        try:
            await asyncio.to_thread(camera.join)
        finally:
            camera.terminate()
        if camera.exitcode:
            raise RuntimeError(f"The simulated camera ended with exit code {camera.exitcode}.")

    return feed


async def _run(executor: Executor) -> Report:
    with signals_to(executor):
        async with _view(executor):
            return await executor.run()


@contextlib.asynccontextmanager
async def _view(executor: Executor) -> AsyncIterator[None]:
    """Show the live view where there is a terminal; log lines are printed above it."""
    console = RunConsole()
    if not console.is_terminal:
        yield
        return
    root = logging.getLogger()
    before = root.handlers[:]
    # Lines go above the view, through the same console; any other way would tear it apart.
    root.handlers = [
        RichHandler(console=console, show_path=False, log_time_format="%H:%M:%S", omit_repeated_times=False)
    ]
    try:
        with Live(console=console, refresh_per_second=4, get_renderable=lambda: render(executor.status())):
            yield
    finally:
        root.handlers = before
