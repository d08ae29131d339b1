"""``rapid-exec run``."""

from __future__ import annotations

__all__ = ("check_sources", "run_pipeline", "settings_of")

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

from .._earth_orientation import use_local_table
from ..arrival import DirectoryWatch, Quarantine
from ..ingest import check_cameras
from ..model import InputError, Policy, Report, SiteFile, check_output, load_site_file
from ..plan import PipelineSource, is_away, load_pipeline, notice_lost_servers, read_choices
from ..service import Executor, Feeder, RunSettings, start_again
from ..simulator import SimulationConfig
from ._demo import make_embedded_repository
from ._live import render
from ._logging import log_settings, start_logging
from ._options import make_place_for
from ._pipeline_options import find_pipeline
from ._policy import check_policy, told_policy
from ._report import print_summary
from ._signals import RunConsole, signals_to
from ._simulate import simulation_config, take_exposures

_LOG = logging.getLogger(__name__)

_EMBEDDED_INSTRUMENT = "LSSTCamSim"
_LEFT_FOR_THE_NEXT_START = 3


def run_pipeline(pipeline: str, site: Path | None, options: dict[str, Any]) -> None:
    """Run a pipeline as the options of ``rapid-exec run`` say, to the end of the run."""
    start_logging()
    notice_lost_servers()
    use_local_table(tell=True)
    facts = load_site_file(site) if site is not None else SiteFile()
    source = find_pipeline(pipeline, options["overrides"])
    settings, feeder = _prepare(source, facts, options | {"site": site})
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
    chosen = read_choices(source)
    for one in chosen.sources:
        load_pipeline(one)
    watch = _folders(_watched(options, facts))
    DirectoryWatch(watch, lambda _: None).check()
    if (quarantine := options["quarantine"] or facts.quarantine) is not None:
        Quarantine.check(quarantine, watch)
    policy = told_policy(chosen.facts, facts, options)
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
        pipeline=source.location,
        labels=source.labels,
        overrides=source.overrides,
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
        log=log_settings(),
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
        RichHandler(console=console, show_path=False, log_time_format="%H:%M:%S", omit_repeated_times=False),
        *(handler for handler in before if isinstance(handler, logging.FileHandler)),
    ]
    try:
        with Live(console=console, refresh_per_second=4, get_renderable=lambda: render(executor.status())):
            yield
    finally:
        root.handlers = before
