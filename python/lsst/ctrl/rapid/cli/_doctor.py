"""``rapid-exec doctor``."""

from __future__ import annotations

__all__ = ("doctor",)

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..model import InputError, RapidFile, SiteFile, load_site_file
from ._logging import start_logging
from ._pipeline_options import PipelineCommand, find_pipeline
from ._policy import told_policy
from ._run_command import run

if TYPE_CHECKING:
    from ..doctor import Finding, Place

_STYLES: Mapping[str, Mapping[str, Any]] = {
    "ok": {"fg": "green"},
    "warn": {"fg": "yellow"},
    "FAIL": {"fg": "red", "bold": True},
}


@click.command(
    cls=PipelineCommand, params=[parameter for parameter in run.params if parameter.name != "pipeline"]
)
@click.argument("pipeline", required=False)
@click.option("--warm", is_flag=True, help="Also start a worker, which takes some seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
def doctor(pipeline: str | None, site: Path | None, warm: bool, as_json: bool, **options: Any) -> None:
    """Look whether a run with the same options could do its work tonight; nothing is changed.

    PIPELINE and the options are those of 'rapid-exec run'.  A line on each thing says ok, warn or FAIL, what
    was found, and what to do.  Without PIPELINE, what depends on one is not looked at.

    Exit code 1 when a line says FAIL.
    """
    from ..doctor import CHECKS, WARM, Level, diagnose

    start_logging("ERROR")
    place = _place(pipeline, site, options)
    found: list[Finding] = []
    for finding in diagnose(place, [*CHECKS, *([WARM] if warm else [])]):
        found.append(finding)
        if not as_json:
            level = click.style(f"{finding.level:<5}", **_STYLES[finding.level])
            click.echo(str(finding).replace(f"{finding.level:<5}", level, 1))
    counts = Counter(finding.level for finding in found)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(finding) for finding in found], indent=1))
    else:
        click.echo(f"{counts[Level.FAIL]} fault(s), {counts[Level.WARN]} warning(s).")
    sys.exit(1 if counts[Level.FAIL] else 0)


def _place(pipeline: str | None, site: Path | None, options: dict[str, Any]) -> Place:
    """Return what is looked at.

    Raises
    ------
    InputError
        If it was asked for something that is not possible.
    """
    from ..doctor import Place
    from ..plan import PipelineSource, read_choices
    from ._run import check_sources, settings_of

    facts = load_site_file(site) if site is not None else SiteFile()
    check_sources(options, facts)
    source, rapid = PipelineSource(Path()), RapidFile()
    if pipeline is not None:
        source = find_pipeline(pipeline, options["overrides"])
        rapid = read_choices(source).facts
    policy = told_policy(rapid, facts, options)
    settings, _ = settings_of(source, facts, policy, options | {"site": site})
    if options["repository"] is None and facts.repository is None and not Path(settings.repository).exists():
        raise InputError(
            "There is no repository to look at: name one with -b, or in the site file (the embedded one, "
            f"{settings.repository}, is made by the first 'rapid-exec run')."
        )
    return Place(settings, has_pipeline=pipeline is not None)
