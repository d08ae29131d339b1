"""What a check found."""

from __future__ import annotations

__all__ = ("Balance", "Ended", "Finding", "Imbalance", "Orphan", "OrphanKind")

import enum
from typing import Literal

from ..model import Model, Outcome


class Imbalance(enum.StrEnum):
    """Ways in which the promise is not kept, or not yet."""

    WAITING = "waiting"
    """A file has not ended: it is neither refused nor has its raw an outcome."""
    GATHER_WAITING = "gather waiting"
    """Detectors of an exposure have ended, but a step that gathers them has no outcome."""
    ENDED_TWICE = "ended twice"
    """A file was refused, and its raw was processed all the same; or a shard has two outcomes."""
    REGISTERED_TWICE = "registered twice"
    """Two datasets of one type and data ID, in different RUNs."""
    RAW_NOT_REGISTERED = "raw not registered"
    """A file's raw has an outcome, but is not registered itself."""
    FILE_GONE = "file gone"
    """A dataset is registered, but its file is not there."""
    FILE_DIFFERS = "file differs"
    """A dataset is registered, but its file has another size."""
    NO_FILE = "no file"
    """A dataset is registered, but the datastore knows no file of it."""
    NO_OUTCOME = "no outcome"
    """Products are registered that belong to no outcome."""
    NO_PRODUCT = "no product"
    """An outcome says done, but something that its quanta wrote is not registered."""
    UNREADABLE = "unreadable"
    """An outcome cannot be read."""

    @property
    def may_pass(self) -> bool:
        """Whether a running executor will put it right by going on."""
        return self in {Imbalance.WAITING, Imbalance.GATHER_WAITING}


class OrphanKind(enum.StrEnum):
    """Files below the output's RUNs that nothing registers, by how they came to be there."""

    TEMPORARY = "temporary"
    """Half-written under another name: its process died, or is writing it now."""
    UNREGISTERED = "unregistered"
    """A product that was never registered: its process died before, or its shard is under way."""
    FOREIGN = "foreign"
    """Nothing that the executor writes."""


class Finding(Model):
    """One thing that is not as was promised."""

    imbalance: Imbalance
    what: str
    """The file, data ID or dataset."""
    why: str = ""


class Ended(Model):
    """A file or data ID that ended otherwise than done, and why."""

    outcome: Outcome
    what: str
    reason: str


class Orphan(Model):
    """A file that nothing registers."""

    kind: OrphanKind
    path: str
    size: int
    """Bytes."""


class Balance(Model):
    """What became of everything that was sent.

    ``sent = done + failed + shed + refused + waiting``; each is a number of files.
    """

    schema_version: Literal[1] = 1
    repository: str
    output: str
    balanced: bool
    """Whether nothing was found; what waits does not count if that was allowed."""
    sent: int
    done: int
    failed: int
    shed: int
    refused: int
    waiting: int
    exposures: int
    """Of which raws were sent."""
    never_visible: int = 0
    """Files that were announced and never seen: what sends them died in between.  Not in ``sent``."""
    sent_again: int = 0
    """How often a file was replaced by one of the same name.  Not in ``sent``."""
    linked: int = 0
    """Files that are another name of a registered raw's file.  Not in ``sent``."""
    others: int = 0
    """Raws with outcomes that are not among the files that were given.  In ``sent``."""
    shards: dict[str, dict[Outcome, int]]
    """How many shards ended how, by the name of their outcomes' dataset type."""
    datasets: int
    """How many datasets the output's RUNs have."""
    scratch: int = 0
    """Scratch files: they are never registered."""
    findings: tuple[Finding, ...] = ()
    ended: tuple[Ended, ...] = ()
    """What failed, was shed or was refused."""
    orphans: tuple[Orphan, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader should know to judge the numbers."""
