"""Named points of a run at which a test has a process killed: what no test could hit by waiting."""

from __future__ import annotations

__all__ = ("VARIABLE", "Phase", "arm", "reached")

import dataclasses
import enum
import multiprocessing
import os
import signal
from collections.abc import Mapping
from multiprocessing.sharedctypes import Synchronized

from .model import InputError, did_you_mean

VARIABLE = "RAPID_EXEC_KILL"
"""Environment variable with the order: ``PHASE:N``, or ``head/PHASE:N`` for a phase of a worker."""

_HEAD = "head/"


class Phase(enum.StrEnum):
    """Where a run is: between any two of them something else would be lost if nobody took care of it."""

    ARRIVAL_SEEN = "arrival-seen"
    """A watch is about to tell of a file."""
    HEADER_READ = "header-read"
    """A raw is known in memory, and nowhere else."""
    RAW_COMMITTED = "raw-committed"
    """The head hears that a raw is registered."""
    GATHER_OPEN = "gather-open"
    """The gate of a gather has opened; it waits for a worker."""
    DISPATCHED = "dispatched"
    """A shard is about to be sent to a worker."""
    RUNNING = "running"
    """A worker is about to run a quantum; it may have written what earlier ones of its shard made."""
    WRITTEN = "written"
    """A worker has written all that its shard made, and has not answered."""
    RETURNED = "returned"
    """The answer of a worker is here, and has not been handed to the committer."""
    BATCH_OPEN = "batch-open"
    """All of a batch with products is inserted, in a transaction that is open."""
    RAWS_OPEN = "raws-open"
    """As `BATCH_OPEN`, of a batch with raws: those that are to be moved are in the datastore."""
    BATCH_COMMITTED = "batch-committed"
    """A batch is registered, and nobody has been told."""
    SPOOL_WRITTEN = "spool-written"
    """A batch is in the spool, because the registry is away."""
    SUPERSEDED = "superseded"
    """A complete gather is registered, and the partial one that it takes the place of, still is, too."""
    REMOVED = "removed"
    """What a gather made is removed from the registry, because it is to be made again."""


_OF_WORKERS = frozenset({Phase.RUNNING, Phase.WRITTEN})


@dataclasses.dataclass(frozen=True)
class _Order:
    """What is to be killed, and when.

    Attributes
    ----------
    phase, at
        The process is killed when this phase is reached for the ``at``-th time.
    head
        Process to be killed in place of the one that reaches it.
    count
        How often it was reached; shared by the head and the workers that are forked from it, so that the
        one that takes the place of a killed worker is not killed, too.
    """

    phase: Phase
    at: int
    head: int | None
    count: Synchronized[int]

    def reached(self, phase: Phase) -> None:
        if phase is not self.phase:
            return
        with self.count.get_lock():
            self.count.value += 1
            now = self.count.value
        if now == self.at:
            victim = self.head or os.getpid()
            os.write(2, f"{VARIABLE}: process {victim} is killed at {phase}:{now}.\n".encode())
            os.kill(victim, signal.SIGKILL)


_order: _Order | None = None


def reached(phase: Phase) -> None:
    """Note that this process has reached a phase, and kill it, with SIGKILL, if that was ordered.

    Parameters
    ----------
    phase
        The phase.

    Notes
    -----
    Nothing is done but for a look at one name unless `arm` found an order.
    """
    if _order is not None:
        _order.reached(phase)


def arm(environment: Mapping[str, str] = os.environ) -> None:
    """Take an order from the environment, for this process and all that are forked from it.

    It is for a process that a test has started for this, before it has forked workers or started threads.

    Parameters
    ----------
    environment
        Where the order is, if there is one.

    Raises
    ------
    InputError
        If the order is none that can be followed.
    """
    global _order
    told = environment.get(VARIABLE)
    _order = _parse(told) if told else None


def _parse(told: str) -> _Order:
    name, _, number = told.removeprefix(_HEAD).rpartition(":")
    if not (number.isascii() and number.isdigit() and int(number)):
        raise InputError(f"{VARIABLE}={told}: it must end with the number of a time, like 'dispatched:2'.")
    if name not in Phase:
        raise InputError(
            f"{VARIABLE}={told}: there is no phase {name!r}{did_you_mean(name, map(str, Phase))}"
        )
    phase = Phase(name)
    if told.startswith(_HEAD) and phase not in _OF_WORKERS:
        raise InputError(f"{VARIABLE}={told}: it is the head that reaches {name!r}; leave out {_HEAD!r}.")
    head = os.getpid() if told.startswith(_HEAD) else None
    # The lock is one that forked processes share without a name.
    count = multiprocessing.get_context("fork").Value("i", 0)
    return _Order(phase, int(number), head, count)
