"""What the conductor decides, and what it tells of itself."""

from __future__ import annotations

__all__ = (
    "Backlog",
    "Decision",
    "Dispatch",
    "Drop",
    "Give",
    "Hold",
    "Replace",
    "Selected",
    "Withdraw",
    "Yield",
)

import dataclasses
import enum
from collections.abc import Mapping
from types import MappingProxyType

from ..model import Shard


class Hold(enum.Enum):
    """Why nothing is dispatched, although shards wait and workers are free."""

    SPOOL_FULL = "what ends could not be kept until the registry is back"
    DISK_FULL = "nothing could be written"


@dataclasses.dataclass(frozen=True, slots=True)
class Dispatch:
    """Send a shard to a worker.

    Attributes
    ----------
    shard, worker, attempt
        What, where, and the how manieth time, from 1 on.
    detectors
        Of a gather, those that it gathers; `None` for all that have come.
    """

    shard: Shard
    worker: str
    attempt: int
    detectors: frozenset[int] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Give:
    """Give a shard up: it ends as failed without running (again)."""

    shard: Shard
    reason: str
    attempt: int


@dataclasses.dataclass(frozen=True, slots=True)
class Yield:
    """Ask the worker of a shard of an older exposure to stop after its current quantum.

    Then `Conductor.yielded` is told, or that the shard has ended after all.
    """

    shard: Shard
    worker: str


@dataclasses.dataclass(frozen=True, slots=True)
class Replace:
    """Have removed what the complete gathers of an exposure made, for they are made again.

    Then `Conductor.replaced` is told.
    """

    instrument: str
    exposure: int
    shards: tuple[Shard, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Withdraw:
    """Have removed what the steps of an observing day made, whole or in part.

    They are going to be made again.  Then `Conductor.withdrawn` is told.
    """

    shards: tuple[Shard, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Drop:
    """A shard that was ready is not run: a partial gather, in whose place the complete one runs."""

    shard: Shard


type Decision = Dispatch | Give | Yield | Replace | Withdraw | Drop


@dataclasses.dataclass(frozen=True, slots=True)
class Selected:
    """Which detectors of an exposure are processed, and why not the others.

    Attributes
    ----------
    detectors
        Those that are processed.
    only
        Of these, the detectors of which a step is run, by its label; all where it is not named.
    reason
        Why the others are not.
    reduced
        Whether there are fewer than usual, because of the load.
    """

    detectors: frozenset[int]
    only: Mapping[str, frozenset[int]] = MappingProxyType({})
    reason: str = "its detector is not among those selected"
    reduced: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Backlog:
    """What waits of older exposures.

    Attributes
    ----------
    shards, exposures
        How many shards, and of how many exposures.
    oldest
        Number of the oldest of these exposures; `None` if there is none.
    seconds
        How long all that waits would keep the workers busy, as far as is known.
    reduced
        Whether exposures are processed in part because of it.
    """

    shards: int
    exposures: int
    oldest: int | None
    seconds: float
    reduced: bool
