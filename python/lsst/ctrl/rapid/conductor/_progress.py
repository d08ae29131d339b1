"""How far the shards of an exposure, a group or a day are."""

from __future__ import annotations

__all__ = ("Progress",)

import abc
import itertools
from collections.abc import Iterable

from ..model import Shard
from ._decisions import Replace, Withdraw
from ._pass import Pass
from ._steps import Place, State, StepRule
from ._turns import Turn


class Progress(abc.ABC):
    """The shards of some steps of one exposure, one group or one observing day.

    Parameters
    ----------
    pipeline, instrument
        What is run, and of what.
    rules
        The steps, each after those that it depends on.
    newness
        The greater, the earlier its turn.
    """

    def __init__(self, pipeline: str, instrument: str, rules: Iterable[StepRule], newness: float) -> None:
        self.pipeline = pipeline
        self.instrument = instrument
        self.rules = tuple(rules)
        self.newness = newness
        self.is_past = False
        """Whether there was a newer exposure when its first raw came."""
        self.arrived: set[int] = set()
        self.states: dict[tuple[str, int | None], State] = {}
        self.ready: dict[Shard, int] = {}
        """What waits for a worker, and in which order it has begun to."""
        self._count = itertools.count()
        self._ready_of: dict[int | None, dict[Shard, None]] = {}
        self.committed: set[tuple[str, int | None]] = set()
        self.entered = 0
        self.queued: Turn | None = None

    @property
    def turn(self) -> Turn:
        """When it is its turn, compared with others."""
        return -self.newness, self.entered

    @property
    def has_work(self) -> bool:
        """Whether something waits for a worker."""
        return bool(self.ready)

    @property
    @abc.abstractmethod
    def place(self) -> Place:
        """Where it is found among all."""

    def make_ready(self, shard: Shard) -> None:
        """A shard waits for a worker."""
        self.states[shard.step, shard.detector] = State.READY
        self.ready[shard] = next(self._count)
        self._ready_of.setdefault(shard.detector, {})[shard] = None

    def ready_of(self, detector: int | None) -> Iterable[Shard]:
        """Return the shards of a detector that wait for a worker, or the gathers."""
        return self._ready_of.get(detector, ())

    def take(self, shard: Shard) -> None:
        """A shard runs."""
        self._waits_no_more(shard)
        self.states[shard.step, shard.detector] = State.RUNNING

    def _waits_no_more(self, shard: Shard) -> None:
        del self.ready[shard]
        of_detector = self._ready_of[shard.detector]
        del of_detector[shard]
        if not of_detector:
            del self._ready_of[shard.detector]

    def end(self, shard: Shard, state: State, now: float) -> None:  # noqa: ARG002 -- exposures need the time
        """A shard has ended, or never will be run."""
        self.states[shard.step, shard.detector] = state

    def state(self, step: str, detector: int | None) -> State:
        """Return how far a shard is."""
        return self.states.get((step, detector), State.WAITING)

    @abc.abstractmethod
    def shard(self, step: str, detector: int | None) -> Shard:
        """Return a step's shard, of all detectors if none is named."""

    def next_pass(self, now: float) -> Pass | None:  # noqa: ARG002 -- a group has no passes
        """Return the pass that is to begin now, if one is."""
        return None

    def removal(self, coming: Pass) -> Replace | Withdraw | None:  # noqa: ARG002 -- a group has no passes
        """Return what must be removed before a pass begins, asked before `begin`; `None`: nothing."""
        return None

    def begin(self, coming: Pass) -> list[Shard]:
        """Begin a pass; returns the shards of the last one that are not run any more."""
        raise NotImplementedError(f"{type(self).__name__} has no passes: {coming}")

    @abc.abstractmethod
    def gate_is_open(self, rule: StepRule, detector: int | None, now: float) -> bool:
        """Tell whether all that a shard waits for has happened."""

    @abc.abstractmethod
    def blocked(self, rule: StepRule, detector: int | None) -> bool:
        """Tell whether a step cannot run because one that it reads from failed.

        A gather runs without the detectors that failed.
        """

    @property
    @abc.abstractmethod
    def finished(self) -> bool:
        """Whether nothing is left to do for what has come so far."""

    @property
    def is_settled(self) -> bool:
        """Whether everything that has ended is in the registry, or never will be."""
        return self.states.keys() <= self.committed

    @property
    @abc.abstractmethod
    def due(self) -> float | None:
        """When time alone may open a gate; `None` if it cannot."""

    @abc.abstractmethod
    def pass_time(self, now: float) -> None:
        """Note what has become due, so that it is not due again."""

    @abc.abstractmethod
    def shift(self, seconds: float) -> None:
        """The clock was set by so many seconds: what is due moves with it."""

    @abc.abstractmethod
    def close(self, now: float) -> None:
        """No more raws will come."""

    @property
    @abc.abstractmethod
    def waits(self) -> bool:
        """Whether a gather has not become ready yet."""
