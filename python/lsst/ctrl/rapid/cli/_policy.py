"""The options of ``rapid-exec run`` that say what is processed, and what comes first."""

from __future__ import annotations

__all__ = ("check_policy", "mode_option", "pattern_option", "told_policy", "vary_option")

from collections.abc import Iterable
from typing import Any

import click

from ..model import InputError, Mode, PatternSpec, Policy, RapidFile, SiteFile, Vary

pattern_option = click.option(
    "--pattern",
    "patterns",
    multiple=True,
    metavar="NAME[,NAME...]",
    help="Detectors of each exposure that are processed: patterns, vendors, rafts, detectors, ranges; "
    "-NAME excludes; repeatable.  [default: as the pipeline says]",
)
vary_option = click.option(
    "--vary",
    type=click.Choice([str(vary) for vary in Vary]),
    help="How a checkerboard changes from exposure to exposure.  [default: fixed]",
)
mode_option = click.option(
    "--mode",
    type=click.Choice([str(mode) for mode in Mode]),
    help="What workers do with what waits of older exposures.  [default: consuming]",
)


def told_policy(rapid: RapidFile, site: SiteFile, options: dict[str, Any]) -> Policy:
    """Return the policy: the pipeline's, with what the site and then the command line say otherwise.

    Raises
    ------
    InputError
        If the pattern of the command line cannot be read.
    """
    policy = rapid.policy.overridden(site.policy)
    told: dict[str, Any] = {}
    if options["patterns"]:
        try:
            told["pattern"] = PatternSpec.from_text(",".join(options["patterns"]))
        except InputError as err:
            raise InputError(f"--pattern: {err}") from None
    if options["vary"] is not None:
        pattern = told.get("pattern", policy.pattern)
        told["pattern"] = pattern.model_copy(update={"vary": Vary(options["vary"])})
    if options["mode"] is not None:
        told["mode"] = Mode(options["mode"])
    return policy.model_copy(update=told)


def check_policy(policy: Policy, instruments: Iterable[str], detectors: Iterable[int]) -> None:
    """Refuse a policy before there is a repository, for instruments that have a detector table.

    Parameters
    ----------
    policy
        The policy.
    instruments
        Their names; others are left to the run itself.
    detectors
        Numbers of the detectors to which the run is limited; none if it is not.

    Raises
    ------
    InputError
        If it is not valid for one of them.
    """
    from ..conductor import compile_policy
    from ..instruments import camera_names
    from ..service import camera_detectors

    cameras = {name: camera_detectors(name) for name in instruments if name in camera_names()}
    limit = frozenset(detectors)
    there = {name: frozenset(detector.number for detector in found) for name, found in cameras.items()}
    limits = {name: numbers & limit for name, numbers in there.items()} if limit else {}
    compile_policy(policy, cameras, limits=limits)
