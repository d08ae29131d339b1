"""The one writer of the registry: batched, in a thread of its own."""

from __future__ import annotations

__all__ = ("Committer",)

import enum
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

from .._phases import Phase, reached
from ..plan import is_away
from ._items import Committed, Item, RawItem, RemoveItem, RunItem, ShardItem
from ._registrar import Registrar

_LOG = logging.getLogger(__name__)

_BACKOFF = (0.5, 1.0, 2.0, 5.0, 10.0)


class _Signal(enum.Enum):
    """What stands between items in the queue."""

    FLUSH = enum.auto()
    END = enum.auto()


class Committer:
    """Registers what it is given, in batches, each batch one transaction.

    Parameters
    ----------
    registrar
        Makes the writer; called in the committer's thread.
    on_committed
        Called in the committer's thread for every item, once, in the order in which they were submitted
        within a batch.
    interval
        Longest wait of an item for others of its batch, seconds; `flush` ends it.
    batch
        Most items in one batch.

    Notes
    -----
    Every item that was submitted before `close` is dealt with before `close` returns, unless the
    registry stays out of reach: then the items that are left are told as errors.  Items are registered in the
    order of submission, so that a raw is in the registry before the products made of it.  A batch that fails
    for one of its items is rolled back and done again item by item: one poisoned result loses nothing else.
    While the registry is out of reach the same batch is tried again.
    """

    def __init__(
        self,
        registrar: Callable[[], Registrar],
        on_committed: Callable[[Committed], None],
        *,
        interval: float = 0.25,
        batch: int = 200,
    ) -> None:
        self._make = registrar
        self._on_committed = on_committed
        self._interval = interval
        self._batch = batch
        self._queue: queue.SimpleQueue[Item | _Signal] = queue.SimpleQueue()
        self._started: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._main, name="committer", daemon=True)
        self._closing = threading.Event()

    def start(self) -> None:
        """Start the thread and wait until it has its connection.

        Raises
        ------
        Exception
            What opening the repository raised.
        """
        self._thread.start()
        if (error := self._started.get()) is not None:
            raise error

    def submit(self, item: Item) -> None:
        """Hand an item over; returns at once."""
        self._queue.put(item)

    def flush(self) -> None:
        """Have what was submitted registered without waiting for more; returns at once."""
        self._queue.put(_Signal.FLUSH)

    def close(self) -> None:
        """Register all that was submitted, then end the thread."""
        self._closing.set()
        self._queue.put(_Signal.END)
        self._thread.join()

    def _main(self) -> None:
        try:
            registrar = self._make()
        except BaseException as err:  # noqa: BLE001 -- told to the thread that waits in `start`
            self._started.put(err)
            return
        self._started.put(None)
        with registrar:
            while (items := self._next_batch(registrar)) is not None:
                if items:
                    self._commit(registrar, items)

    def _next_batch(self, registrar: Registrar) -> list[Item] | None:
        """Wait for an item, then for more until the batch is full, time is up, or it is flushed."""
        first = self._queue.get()
        if isinstance(first, _Signal):
            return None if first is _Signal.END else []
        items = [first]
        until = time.monotonic() + self._interval
        try:
            registrar.prepare(first)
        except Exception as err:  # noqa: BLE001 -- the commit will fail for it, too, and tell
            _LOG.debug("Could not prepare for %s: %s", _name(first), err)
        while len(items) < self._batch:
            try:
                item = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if isinstance(item, _Signal):
                if item is _Signal.END:
                    self._queue.put(item)
                break
            items.append(item)
        return items

    def _commit(self, registrar: Registrar, items: Sequence[Item]) -> None:
        attempt = 0
        while True:
            try:
                committed = registrar.commit(items)
            except Exception as err:  # noqa: BLE001 -- whatever an item is refused for, the others go on
                if is_away(err):
                    attempt += 1
                    told = getattr(err, "orig", err)
                    if self._closing.is_set() and attempt > len(_BACKOFF):
                        self._fail(items, f"the registry is out of reach: {told}")
                        return
                    self._wait(attempt, f"The registry is out of reach ({told}); {len(items)} item(s) wait")
                    continue
                if len(items) == 1:
                    _LOG.exception("Could not register %s.", _name(items[0]))
                    self._fail(items, f"{type(err).__name__}: {err}")
                    return
                _LOG.warning(
                    "A batch of %d failed (%s); its items are registered one by one.", len(items), err
                )
                for item in items:
                    self._commit(registrar, [item])
                return
            else:
                reached(Phase.BATCH_COMMITTED)
                # Outside the try: what was committed is never committed again because it could not be told.
                self._tell(committed)
                return

    def _wait(self, attempt: int, told: str) -> None:
        """Wait before the next attempt; who closes the committer waits for it, so then only shortly."""
        seconds = _BACKOFF[min(attempt, len(_BACKOFF)) - 1]
        _LOG.warning("%s %g s.", told, seconds)
        if self._closing.is_set():
            time.sleep(min(seconds, 1.0))
        else:
            self._closing.wait(seconds)

    def _fail(self, items: Sequence[Item], error: str) -> None:
        self._tell([Committed(item, time.time(), error=error) for item in items])

    def _tell(self, committed: Sequence[Committed]) -> None:
        for one in committed:
            self._on_committed(one)


def _name(item: Item) -> str:
    match item:
        case RunItem():
            return f"RUN {item.run}"
        case RawItem():
            return f"raw {item.path}"
        case ShardItem():
            return str(item.shard)
        case RemoveItem():
            return f"the removal of {', '.join(map(str, item.shards))}"
