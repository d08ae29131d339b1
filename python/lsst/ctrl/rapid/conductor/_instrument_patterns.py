"""A policy's patterns for the instruments of a run."""

from __future__ import annotations

__all__ = ("InstrumentPatterns", "compile_policy")

import dataclasses
from collections.abc import Collection, Mapping

from ..model import InputError, PatternSpec, Policy
from ._detectors import PatternDetector
from ._patterns import Pattern, compile_pattern

_NONE = frozenset[int]()


@dataclasses.dataclass(frozen=True)
class InstrumentPatterns:
    """Which detectors of an instrument's exposures are processed.

    Attributes
    ----------
    whole
        What ``all`` chooses.
    usual
        For the exposures of pipelines that have no pattern of their own.
    of_pipelines
        Pipelines' own patterns, by name.
    of_steps
        Patterns of steps, by label.
    reduced
        Replaces the usual pattern during down-selection; `None` if there is no down-selection.
    """

    whole: frozenset[int]
    usual: Pattern
    of_pipelines: Mapping[str, Pattern]
    of_steps: Mapping[str, Pattern]
    reduced: Pattern | None = None

    def detectors(self, pipeline: str, turn: int) -> frozenset[int]:
        """Return the detectors of a pipeline's exposure with this running number."""
        return self.of_pipelines.get(pipeline, self.usual).detectors(turn)

    def of_step(self, pipeline: str, step: str, turn: int) -> frozenset[int]:
        """Return those of the `detectors` that a step processes."""
        return self.limit_step(step, self.detectors(pipeline, turn), turn)

    def limit_step(self, step: str, detectors: frozenset[int], turn: int) -> frozenset[int]:
        """Return those of some detectors of an exposure that a step processes."""
        own = self.of_steps.get(step)
        return detectors if own is None else detectors & own.detectors(turn)

    @property
    def down_selected(self) -> InstrumentPatterns:
        """The same during down-selection: pipelines with a pattern of their own keep it."""
        return self if self.reduced is None else dataclasses.replace(self, usual=self.reduced)


def compile_policy(
    policy: Policy,
    cameras: Mapping[str, Collection[PatternDetector]],
    *,
    pipelines: Mapping[str, PatternSpec] | None = None,
    steps: Mapping[str, PatternSpec] | None = None,
    limits: Mapping[str, frozenset[int]] | None = None,
) -> Mapping[str, InstrumentPatterns]:
    """Find the detectors of all patterns for all instruments of a run.

    Parameters
    ----------
    policy
        The policy.
    cameras
        The detectors of each instrument.
    pipelines
        Pipelines' own patterns, by name.
    steps
        Patterns of steps, by label.
    limits
        The detectors to which the run is limited, for instruments for which it is: ``all`` chooses these, and
        of other patterns only they are left.  An instrument that is limited to none, or has none, is not
        refused.

    Returns
    -------
    patterns
        By instrument.

    Raises
    ------
    InputError
        If a pattern is not valid for one of the instruments, or some exposures would have no detector.
    """
    down_selection = policy.down_selection
    compiler = _Compiler(cameras, limits or {})
    usual = compiler.compile_without_gaps("pattern", policy.pattern)
    reduced = (
        None
        if down_selection is None
        else compiler.compile_without_gaps("down_selection.pattern", down_selection.pattern)
    )
    of_pipelines = {
        name: compiler.compile(f"pattern of pipeline {name!r}", spec)
        for name, spec in (pipelines or {}).items()
    }
    of_steps = {label: compiler.compile(f"patterns.{label}", spec) for label, spec in (steps or {}).items()}
    whole = compiler.compile("pattern", PatternSpec())
    return {
        instrument: InstrumentPatterns(
            whole[instrument].phases[0],
            usual[instrument],
            {name: found[instrument] for name, found in of_pipelines.items()},
            {label: found[instrument] for label, found in of_steps.items()},
            None if reduced is None else reduced[instrument],
        )
        for instrument in cameras
    }


@dataclasses.dataclass(frozen=True)
class _Compiler:
    """Compiles one pattern after another for the instruments of a run."""

    cameras: Mapping[str, Collection[PatternDetector]]
    limits: Mapping[str, frozenset[int]]

    def compile(self, told: str, spec: PatternSpec) -> dict[str, Pattern]:
        """Return a pattern for each instrument; ``told`` says where it was asked for, for messages."""
        found: dict[str, Pattern] = {}
        refused: list[InputError] = []
        for instrument in self.cameras:
            try:
                found[instrument] = self._compile_for(instrument, spec)
            except InputError as err:
                refused.append(err)
        if refused:
            fits = [name for name, pattern in found.items() if pattern.ever]
            hint = f" It is valid for {', '.join(fits)}; --instrument limits the run." if fits else ""
            raise InputError(f"{told}: {refused[0]}{hint}")
        return found

    def compile_without_gaps(self, told: str, spec: PatternSpec) -> dict[str, Pattern]:
        """Do the same for a pattern that must have a detector for every exposure, in a limited run, too."""
        found = self.compile(told, spec)
        for instrument, pattern in found.items():
            if (limit := self.limits.get(instrument)) and pattern.has_gaps:
                raise InputError(
                    f"{told}: {instrument}: {str(spec)!r} leaves exposures without any of the {len(limit)} "
                    "detectors to which the run is limited; name other detectors, or another pattern."
                )
        return found

    def _compile_for(self, instrument: str, spec: PatternSpec) -> Pattern:
        limit = self.limits.get(instrument)
        if limit == _NONE or not self.cameras[instrument]:
            return Pattern(spec, (_NONE, _NONE))
        if limit is None:
            return compile_pattern(spec, self.cameras[instrument], instrument)
        return compile_pattern(spec, self.cameras[instrument], instrument, everything=limit).within(limit)
