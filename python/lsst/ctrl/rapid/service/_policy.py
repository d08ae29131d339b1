"""A policy against the pipelines and instruments of a run."""

from __future__ import annotations

__all__ = ("patterns_of_run", "run_limits")

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from ..conductor import PERIOD, InstrumentPatterns, PatternDetector, compile_policy
from ..model import InputError, PatternSpec, Policy, RapidFile, did_you_mean, format_numbers
from ..plan import CompiledPipeline
from ._settings import RunSettings

_LOG = logging.getLogger(__name__)


def run_limits(
    settings: RunSettings, cameras: Mapping[str, Collection[PatternDetector]]
) -> Mapping[str, frozenset[int]]:
    """Return the detectors to which a run is limited, for instruments for which it is.

    Those that are named, where some are; else, when raws are selected by an expression, it alone decides.

    Raises
    ------
    InputError
        If a detector is named that no instrument has.
    """
    there = {name: frozenset(d.number for d in detectors) for name, detectors in cameras.items()}
    named = frozenset(settings.detectors)
    if unknown := named.difference(*there.values()):
        raise InputError(f"--detectors: no detector {format_numbers(unknown)} in {', '.join(there)}.")
    if named:
        return {name: numbers & named for name, numbers in there.items()}
    return there if settings.data_query else {}


def patterns_of_run(
    policy: Policy,
    rapid: RapidFile,
    pipelines: Mapping[str, CompiledPipeline],
    cameras: Mapping[str, Collection[PatternDetector]],
    limits: Mapping[str, frozenset[int]],
) -> Mapping[str, InstrumentPatterns]:
    """Return the patterns of each instrument.

    Parameters
    ----------
    policy
        The policy: that of the run's beginning, or one that somebody wishes to have.
    rapid
        Facts of the pipeline, with patterns of steps and of companions.
    pipelines
        The pipelines by name.
    cameras
        The detectors of each instrument.
    limits
        The detectors to which the run is limited: see `run_limits`.

    Raises
    ------
    InputError
        If a pattern is not valid for one of the instruments, some exposures would have no detector, or a
        pattern is for a step that there is not or that is a gather.
    """
    steps = _steps_with_pattern(rapid, pipelines)
    own = {Path(choice.pipeline).stem: choice.pattern for choice in rapid.pipelines}
    patterns = compile_policy(
        policy,
        cameras,
        pipelines={name: pattern for name, pattern in own.items() if pattern is not None},
        steps=steps,
        limits=limits,
    )
    for instrument in sorted(patterns.keys() - limits.keys()):
        _warn_of_idle_steps(instrument, patterns[instrument], pipelines, steps)
    return patterns


def _steps_with_pattern(
    rapid: RapidFile, pipelines: Mapping[str, CompiledPipeline]
) -> Mapping[str, PatternSpec]:
    """Return the patterns of the steps that are run.

    Raises
    ------
    InputError
        If one is for a step that no pipeline has, or that is a gather.
    """
    steps = {step.label: step for pipeline in pipelines.values() for step in pipeline.steps}
    whole = all(pipeline.source is None or not pipeline.source.labels for pipeline in pipelines.values())
    for label in rapid.patterns:
        if label not in steps:
            # When only a part of a pipeline is run, its other steps are not known here.
            if whole:
                raise InputError(f"patterns: no pipeline has a step {label!r}{did_you_mean(label, steps)}")
        elif not steps[label].per_detector:
            raise InputError(
                f"patterns.{label}: this step runs once for all detectors of an exposure; "
                "only steps that run for each detector can have a pattern."
            )
    return {label: pattern for label, pattern in rapid.patterns.items() if label in steps}


def _warn_of_idle_steps(
    instrument: str,
    patterns: InstrumentPatterns,
    pipelines: Mapping[str, CompiledPipeline],
    labels: Collection[str],
) -> None:
    """Say which steps have a pattern that has no detector in common with their pipeline's exposures."""
    for pipeline in pipelines.values():
        for label in sorted({step.label for step in pipeline.steps}.intersection(labels)):
            if not any(patterns.of_step(pipeline.name, label, turn) for turn in range(PERIOD)):
                _LOG.warning(
                    "%s: step %s of pipeline %s will not run: its pattern has none of the detectors that are "
                    "processed of the exposures.",
                    instrument,
                    label,
                    pipeline.name,
                )
