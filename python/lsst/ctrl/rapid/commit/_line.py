"""What waits for the registry: batches in memory, on disk, or both, in the order of submission."""

from __future__ import annotations

__all__ = ("Batch", "Line")

import dataclasses
import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from ._items import Committed, Item, ShardItem
from ._spool import Spool, SpoolFullError

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(slots=True, eq=False)
class Batch:
    """Items that are registered together.

    Attributes
    ----------
    number
        Its place in the line.
    items
        The items; `None` while they are on disk alone.
    size, shards
        How many items it has, and how many of them are shards.
    closed
        Whether nothing is added to it any more.
    flushed
        Whether it does not wait for more.
    on_disk
        Whether the spool has it.
    done
        Whether it has left the line.
    told
        What has become of its first items, once they are registered one by one.
    """

    number: int
    items: list[Item] | None
    size: int = 0
    shards: int = 0
    closed: bool = False
    flushed: bool = False
    on_disk: bool = False
    done: bool = False
    told: list[Committed] | None = None


class Line:
    """What waits for the registry.

    Parameters
    ----------
    spool
        Takes batches; `None`: all of them stay in memory.
    batch
        Most items in one batch.
    first
        Number of the first batch: more than those that the spool has.

    Notes
    -----
    What is on disk is always the oldest part of the line: before a batch is written, all older ones are,
    also the one that is being registered.  So whoever is killed leaves no products on disk without the raw
    that was submitted before them.  `add` and `flush` never wait for a disk.
    """

    def __init__(self, spool: Spool | None, batch: int, first: int = 1) -> None:
        self._spool = spool
        self._most = batch
        self._next = first
        self._batches: deque[Batch] = deque()
        self._changed = threading.Condition()
        self._spilling = threading.Lock()
        self._ended = False
        self._full = ""
        self._in_memory = 0

    # From the event loop

    def add(self, item: Item) -> None:
        """Put an item at the end."""
        with self._changed:
            last = self._batches[-1] if self._batches else None
            if last is None or last.closed or last.items is None:
                last = Batch(self._next, [])
                self._next += 1
                self._batches.append(last)
            assert last.items is not None, "It is open."
            last.items.append(item)
            last.size += 1
            last.shards += isinstance(item, ShardItem)
            last.closed = last.size >= self._most
            self._in_memory += 1
            self._changed.notify_all()

    def flush(self) -> None:
        """Have what is there not wait for more."""
        with self._changed:
            if self._batches:
                self._batches[-1].flushed = True
                self._changed.notify_all()

    def end(self) -> None:
        """Nothing is added any more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    # What there is

    @property
    def in_memory(self) -> int:
        """How many items are in memory."""
        return self._in_memory

    @property
    def spooled(self) -> int:
        """How many items are on disk."""
        with self._changed:
            return sum(batch.size for batch in self._batches if batch.on_disk)

    @property
    def full(self) -> str:
        """Why the spool takes no more; ``""`` while it does."""
        return self._full

    @property
    def left(self) -> tuple[int, int]:
        """How many items wait, and how many of them are shards."""
        with self._changed:
            return sum(b.size for b in self._batches), sum(b.shards for b in self._batches)

    # From the committer

    def first(self) -> Batch | None:
        """Wait for the first batch, which may still be open; `None` once all is done."""
        with self._changed:
            while not self._batches:
                if self._ended:
                    return None
                self._changed.wait()
            return self._batches[0]

    def close(self, batch: Batch, until: float) -> None:
        """Wait until a batch is full, flushed, or time is up (by the monotonic clock), and close it."""
        with self._changed:
            while not (batch.closed or batch.flushed or self._ended or self._batches[-1] is not batch):
                if (left := until - time.monotonic()) <= 0:
                    break
                self._changed.wait(left)
            batch.closed = True

    def load(self, batch: Batch) -> list[Item]:
        """Return the items of a batch, from disk where they are there alone.

        Raises
        ------
        SpoolError
            If they cannot be read.
        """
        if batch.items is None:
            assert self._spool is not None, "It has been written there."
            items = self._spool.read(batch.number)
            with self._changed:
                batch.items = items
                self._in_memory += len(items)
        return batch.items

    def done(self, batch: Batch) -> None:
        """Take the first batch out of the line: what has become of its items is known."""
        with self._changed:
            assert self._batches[0] is batch, "Nothing is dealt with before what is older."
            self._batches.popleft()
            batch.done = True
            self._in_memory -= len(batch.items or ())
            on_disk = batch.on_disk
        if on_disk and self._spool is not None:
            self._spool.remove(batch.number)
        if self._full and self._spool is not None and (not self._batches or self._spool.has_room()):
            self._full = ""
            _LOG.warning("The spool takes results again: shards are dispatched, and arrivals taken.")

    def lost(self) -> list[list[Item]]:
        """Take out of the line, at its end, what no disk has; returns it batch by batch."""
        with self._changed:
            lost = [batch.items for batch in self._batches if not batch.on_disk and batch.items is not None]
            self._batches = deque(batch for batch in self._batches if batch.on_disk)
        return lost

    def spill(self, keep: Callable[[Batch], bool]) -> None:
        """Write all that is not on disk yet, the oldest first; may be called in any thread.

        Parameters
        ----------
        keep
            Whether a batch stays in memory, too: it is being registered.
        """
        if (spool := self._spool) is None:
            return
        with self._spilling:
            with self._changed:
                waiting = [batch for batch in self._batches if not batch.on_disk]
                for batch in waiting:
                    batch.closed = True
            for batch in waiting:
                assert batch.items is not None, "Only what is on disk is not in memory."
                try:
                    spool.write(batch.number, batch.items)
                except OSError as err:
                    self._tell_full(err)
                    return
                with self._changed:
                    batch.on_disk = True
                    gone = batch.done
                    if not gone and not keep(batch):
                        self._in_memory -= len(batch.items)
                        batch.items = None
                if gone:
                    spool.remove(batch.number)
            self._full = ""

    def _tell_full(self, err: OSError) -> None:
        why = str(err) if isinstance(err, SpoolFullError) else f"the spool cannot be written: {err}"
        if not self._full:
            _LOG.error(
                "%s. Nothing more is dispatched, and arrivals wait where they are, until the registry has "
                "taken some of it; what has ended since is in memory alone.",
                why[:1].upper() + why[1:],
            )
        self._full = why
