"""Steps of a compiled pipeline: where each input comes from, and how their quanta are made."""

from __future__ import annotations

__all__ = ("InputKind", "Planner", "Step", "StepPart")

import dataclasses
import enum
from collections.abc import Mapping

from lsst.daf.butler import DimensionGroup

from ..model import Unit


class InputKind(enum.StrEnum):
    """Where an input of a task comes from."""

    TRIGGER = "trigger"
    """Its arrival triggers the work."""

    WITHIN = "within the shard"
    EARLIER_STEP = "from an earlier step"

    CALIBRATION = "cached prerequisite"
    """Does not depend on the exposure but for its time: all of them are kept in memory."""

    PREREQUISITE = "prerequisite looked up"
    """Upstream's finder asks the repository for each quantum."""

    EXISTING = "input looked up"
    """A regular input that no task of the pipeline makes: the repository is asked for each shard."""


class Planner(enum.StrEnum):
    """How the quanta of a step's shards are made; each later way asks more of the repository."""

    MEMORY = "memory"
    """From records and datasets in memory: no query."""

    TRIVIAL = "trivial"
    """By upstream's graph builder from data IDs in memory: it looks single inputs up, and needs no commit."""

    BUILDER = "builder"
    """By upstream's `AllDimensionsQuantumGraphBuilder`, once everything that the shard reads is committed."""


@dataclasses.dataclass(frozen=True)
class StepPart:
    """Tasks of a step that are connected through their datasets.

    Attributes
    ----------
    tasks
        Their labels.
    constraints
        Names of the dataset types that must be there for a data ID, or no task of the part has a quantum for
        it: the inner join of upstream's initial query.
    dimensions
        All dimensions of the tasks and of their regular inputs and outputs.
    detectors_of
        Names of the dataset types whose detectors a gather covers: triggers and products of earlier steps
        that are not optional.  If there are none, it covers every detector of which a raw has come.
    existing
        Names of the dataset types that are looked up for each shard.
    """

    tasks: frozenset[str]
    constraints: frozenset[str]
    dimensions: DimensionGroup
    detectors_of: frozenset[str]
    existing: frozenset[str]


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of a pipeline.

    Attributes
    ----------
    label
        Its label in the pipeline's ``steps:``.
    dimensions
        Its sharding dimensions.
    tasks
        Labels of its tasks, each after those whose outputs it reads.
    parts
        The same tasks, by what connects them.
    data_dimensions
        All dimensions of its tasks and of their regular inputs and outputs.
    inputs
        Kind of each dataset type that its tasks read, init-inputs aside.
    after
        Labels of the steps whose outputs it reads.
    required
        Names of the cached prerequisites that a task cannot run without.
    planner
        How its quanta are made.
    reasons
        Why not in a way that asks less of the repository, a line each.
    """

    label: str
    dimensions: DimensionGroup
    tasks: tuple[str, ...]
    parts: tuple[StepPart, ...]
    data_dimensions: DimensionGroup
    inputs: Mapping[str, InputKind]
    after: frozenset[str]
    required: frozenset[str] = frozenset()
    planner: Planner = Planner.MEMORY
    reasons: tuple[str, ...] = ()

    @property
    def per_detector(self) -> bool:
        """Whether a shard is one detector; otherwise it is a gather."""
        return "detector" in self.dimensions

    @property
    def per_group(self) -> bool:
        """Whether a shard is all exposures of a group; otherwise it is one exposure, or all of a day."""
        return "group" in self.dimensions.required

    @property
    def per_day(self) -> bool:
        """Whether a shard is all exposures of an observing day."""
        return "day_obs" in self.dimensions.required

    @property
    def unit(self) -> Unit:
        """What a shard takes all of, or a detector of."""
        return "day_obs" if self.per_day else "group" if self.per_group else "exposure"

    def reads(self, kind: InputKind) -> list[str]:
        """Return the names of the dataset types of one kind, in alphabetical order."""
        return sorted(name for name, found in self.inputs.items() if found is kind)
