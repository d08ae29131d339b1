"""When things happened to a shard."""

from __future__ import annotations

__all__ = ("QuantumTimes", "Times")

from ._base import Model


class QuantumTimes(Model):
    """When one quantum ran, UNIX seconds."""

    label: str
    start: float
    end: float


class Times(Model):
    """When things happened to a shard, UNIX seconds; `None` where they did not, or not yet.

    For a gather ``file_closed``, ``seen`` and ``ready`` are those of the event that opened its gate: the last
    input's end or the deadline.
    """

    shutter_closed: float | None = None
    """End of the exposure, from the header."""
    file_closed: float | None = None
    """The file was whole, by its modification time."""
    seen: float | None = None
    """The arrival reached the executor."""
    ready: float | None = None
    """The shard could have started, had a worker been free."""
    dispatched: float | None = None
    """It was sent to a worker."""
    started: float | None = None
    """The worker began with it."""
    quanta: tuple[QuantumTimes, ...] = ()
    """Each quantum in the order in which they ran."""
    finished: float | None = None
    """The worker ended it."""
    committed: float | None = None
    """Its datasets were in the registry, readable for everybody."""
    published: float | None = None
    """Its products for people were in the published folder."""
