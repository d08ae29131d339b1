"""How a pipeline is planned, for people and for scripts."""

from __future__ import annotations

__all__ = ("PipelinePlan", "StepPlan")

from ._base import Model
from ._shard import PlannedBy


class StepPlan(Model):
    """How the quanta of a step's shards are made."""

    label: str
    dimensions: tuple[str, ...]
    """Required sharding dimensions."""
    tasks: tuple[str, ...]
    """Labels, in the order in which they run."""
    after: tuple[str, ...]
    """Steps whose products it reads."""
    planned_by: PlannedBy
    reasons: tuple[str, ...]
    """Why not in a way that asks less of the repository."""
    inputs: dict[str, str]
    """Where each dataset type comes from."""
    cached: tuple[str, ...]
    """Prerequisites that are kept in memory."""
    constraints: tuple[str, ...]
    """Inputs without which a data ID has no quanta at all."""


class PipelinePlan(Model):
    """How a pipeline is planned."""

    pipeline: str
    where: str
    """Butler expression that selects its exposures; everything when empty."""
    hash: str
    steps_declared: bool
    """Whether the steps are the pipeline's own, not inferred."""
    steps: tuple[StepPlan, ...]
