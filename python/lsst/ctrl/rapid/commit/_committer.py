"""The one writer of the registry: batched, in a thread of its own."""

from __future__ import annotations

__all__ = ("Committer", "RegistryState")

import dataclasses
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ..model import InputError, is_full
from ..plan import is_away
from ._items import Committed, Item, RawItem, RemoveItem, RunItem, ShardItem
from ._line import Batch, Line
from ._output_lock import OutputTakenError
from ._registrar import Registrar
from ._spool import Spool
from ._spooled import SpoolError

_LOG = logging.getLogger(__name__)

_BACKOFF = (0.5, 1.0, 2.0, 3.0, 5.0)
_SPILL_SECONDS = 1.0
"""How long what ends while the registry is away stays in memory alone."""
_MOST_IN_MEMORY = 2000
"""Items that wait in memory; tens of kilobytes each where a shard has many quanta."""
_STUCK_SECONDS = 60.0
"""A registry that has not answered for so long when the run ends is not waited for."""


@dataclasses.dataclass(frozen=True, slots=True)
class RegistryState:
    """How the registry is.

    Attributes
    ----------
    away_since
        Since when nothing can be registered, UNIX seconds; `None` if something can.
    spooled
        How many items wait on disk.
    full
        Why the spool takes no more; ``""`` while it does.
    reason
        Why nothing can be registered; ``""`` while something can.
    """

    away_since: float | None = None
    spooled: int = 0
    full: str = ""
    reason: str = ""


class Committer:
    """Registers what it is given, in batches, each batch one transaction.

    Parameters
    ----------
    registrar
        Makes the writer; called in the committer's thread.
    on_committed
        Called in the committer's thread for every item that is dealt with, once, in the order of submission.
    interval
        Longest wait of an item for others of its batch, seconds; `flush` ends it.
    batch
        Most items in one batch.
    spool
        Keeps what the registry cannot take; without one it stays in memory.
    on_broken
        Called in the committer's thread if it ends by a fault, or because the output is somebody else's now.
    in_memory
        Most items in memory; what is more goes to the spool.

    Attributes
    ----------
    drained
        What an earlier run had left in the spool and `start` has registered.
    left
        After `close`: how many items are left in the spool, and how many of them are shards.

    Notes
    -----
    Items are registered in the order of submission, so that a raw is in the registry before the products made
    of it, and each once: a batch that an earlier attempt or an earlier process committed without our hearing
    of it is recognised by its dataset IDs.  A batch that fails for one of its items is rolled back and done
    again item by item: one poisoned result loses nothing else.

    While the registry is out of reach, what is submitted is on disk within a second or two; when it is back,
    that is registered before anything newer.  Every item that was submitted before `close` is dealt with
    before `close` returns, or is in the spool, where the next `start` registers it.
    """

    def __init__(
        self,
        registrar: Callable[[], Registrar],
        on_committed: Callable[[Committed], None],
        *,
        interval: float = 0.25,
        batch: int = 200,
        spool: Spool | None = None,
        on_broken: Callable[[BaseException], None] | None = None,
        in_memory: int = _MOST_IN_MEMORY,
    ) -> None:
        self._make = registrar
        self._on_committed = on_committed
        self._on_broken = on_broken
        self._interval = interval
        self._spool = spool
        self._most_in_memory = in_memory
        self._line = Line(spool, batch)
        self._started: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._main, name="committer", daemon=True)
        self._spiller = ThreadPoolExecutor(1, "spool")
        self._spilling = threading.Event()
        self._closing = threading.Event()
        self._current: Batch | None = None
        self._away_since: float | None = None
        self._away = ""
        self.drained: list[Committed] = []
        self.left = (0, 0)

    def start(self) -> None:
        """Start the thread, and wait until it has its connection and has registered what the spool holds.

        Raises
        ------
        Exception
            What opening the repository raised, or that the registry is away: the spool stays as it is.
        InputError
            If what the spool holds is another output's, or was made by another pipeline.
        """
        self._thread.start()
        if (error := self._started.get()) is not None:
            raise error

    def submit(self, item: Item) -> None:
        """Hand an item over; returns at once."""
        self._line.add(item)
        if self._line.in_memory > self._most_in_memory and not self._spilling.is_set():
            self._spilling.set()
            self._spiller.submit(self._spill)

    def flush(self) -> None:
        """Have what was submitted registered without waiting for more; returns at once."""
        self._line.flush()

    @property
    def state(self) -> RegistryState:
        """How the registry is; may be asked for in any thread."""
        away = self._away_since
        return RegistryState(away, self._line.spooled, self._line.full, "" if away is None else self._away)

    def close(self) -> None:
        """Register all that was submitted, or leave it in the spool, then end the thread."""
        self._closing.set()
        self._line.end()
        before, since = self._line.left, time.monotonic()
        while self._thread.is_alive():
            self._thread.join(1.0)
            if (left := self._line.left) != before:
                before, since = left, time.monotonic()
            elif self._spool is not None and time.monotonic() - since > _STUCK_SECONDS:
                self._away = self._away or f"no answer of the registry for {_STUCK_SECONDS:.0f} s"
                break
        self._spiller.shutdown()
        self._line.spill(self._is_current)
        for batch in self._line.lost():
            self._tell([Committed(item, time.time(), error=self._away) for item in batch])
        self.left = self._line.left
        if self.left[0] and self._spool is not None:
            _LOG.warning(
                "%d item(s), %d shard(s) among them, are not registered yet (%s). They are kept in %s; the "
                "next start with this work folder registers them first.",
                *self.left,
                self._away,
                self._spool.folder,
            )

    # In the committer's thread

    def _main(self) -> None:
        try:
            registrar = self._make()
        except BaseException as err:  # noqa: BLE001 -- told to the thread that waits in `start`
            self._started.put(err)
            return
        with registrar:
            try:
                self._drain(registrar)
            except BaseException as err:  # noqa: BLE001 -- told to the thread that waits in `start`
                self._started.put(err)
                return
            self._started.put(None)
            try:
                while self._step(registrar):
                    pass
            except BaseException as err:
                self._away = self._away or str(err)
                self._line.spill(self._is_current)
                if self._on_broken is None:
                    raise
                self._on_broken(err)

    def _drain(self, registrar: Registrar) -> None:
        """Register what an earlier run left in the spool."""
        if self._spool is None or not (numbers := self._spool.numbers):
            return
        for number in numbers:
            try:
                items = self._spool.read(number)
            except SpoolError as err:
                _LOG.error("%s", err)
                continue
            told = self._attempt(registrar, Batch(number, items, on_disk=True), items)
            if refused := [one for one in told if one.error]:
                aside = self._spool.keep_aside(number, [one.item for one in refused])
                _LOG.error(
                    "%d item(s) that an earlier run left cannot be registered (%s) and are kept as %s; raws "
                    "that are still there are processed anew.", len(refused), refused[0].error, aside,
                )  # fmt: skip
            self._spool.remove(number)
            self.drained += [one for one in told if not one.error]
        _LOG.info("%d item(s) that an earlier run left in %s are registered.", len(self.drained),
                  self._spool.folder)  # fmt: skip

    def _step(self, registrar: Registrar) -> bool:
        """Register the next batch; returns whether to go on."""
        batch = self._line.first()
        if batch is None:
            return False
        self._current = batch
        if not batch.closed and self._away_since is None and batch.items:
            until = time.monotonic() + self._interval
            try:
                registrar.prepare(batch.items[0])
            except Exception as err:  # noqa: BLE001 -- the commit will fail for it, too, and tell
                _LOG.debug("Could not prepare for %s: %s", _name(batch.items[0]), err)
            self._line.close(batch, until)
        return self._register(registrar, batch)

    def _register(self, registrar: Registrar, batch: Batch) -> bool:
        """Register a batch, however long the registry is away; returns `False` if it is left at the end."""
        attempt = 0
        while True:
            try:
                items = self._line.load(batch)
            except SpoolError as err:
                _LOG.error("%s", err)
                self._line.done(batch)
                return True
            try:
                told = self._attempt(registrar, batch, items)
            except Exception as err:
                if not is_away(err):
                    raise
                attempt += 1
                self._note_away(err)
                if self._closing.is_set() and attempt > (0 if self._spool is not None else len(_BACKOFF)):
                    return False
                self._wait(_BACKOFF[min(attempt, len(_BACKOFF)) - 1])
                continue
            self._note_back()
            # Before it is told: what is told may be followed by what must not be registered before it.
            self._line.done(batch)
            self._tell(told)
            return True

    def _attempt(self, registrar: Registrar, batch: Batch, items: Sequence[Item]) -> list[Committed]:
        """Register items, one by one where they cannot be together; raises only what is no item's fault."""
        if batch.told is None:
            try:
                return registrar.commit(items)
            except (InputError, OutputTakenError):
                raise
            except Exception as err:
                if is_away(err):
                    raise
                if len(items) > 1:
                    _LOG.warning(
                        "A batch of %d failed (%s); its items are registered one by one.", len(items), err
                    )
                batch.told = []
        for item in items[len(batch.told) :]:
            try:
                batch.told += registrar.commit([item])
            except (InputError, OutputTakenError):
                raise
            except Exception as err:
                if is_away(err):
                    raise
                _LOG.exception("Could not register %s.", _name(item))
                batch.told.append(Committed(item, time.time(), error=f"{type(err).__name__}: {err}"))
        return batch.told

    def _note_away(self, err: BaseException) -> None:
        why = " ".join(str(getattr(err, "orig", err)).split())
        self._away = f"there is no room: {why}" if is_full(err) else f"the registry is out of reach: {why}"
        if self._away_since is None:
            self._away_since = time.time()
            kept = "memory" if self._spool is None else str(self._spool.folder)
            _LOG.warning(
                "Nothing can be registered (%s). Processing goes on; what ends is kept in %s meanwhile.",
                self._away, kept,
            )  # fmt: skip

    def _note_back(self) -> None:
        if self._away_since is not None:
            _LOG.warning(
                "The registry takes results again after %.0f s; %d item(s) that waited are registered now.",
                time.time() - self._away_since, self._line.left[0],
            )  # fmt: skip
            self._away_since = None

    def _wait(self, seconds: float) -> None:
        """Wait before the next attempt, and bring to the disk what ends meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._line.spill(self._is_current)
            if self._closing.is_set():
                time.sleep(min(left, _SPILL_SECONDS))
                return
            self._closing.wait(min(left, _SPILL_SECONDS))

    # Both

    def _spill(self) -> None:
        # First: what is submitted while it is written asks for another time.
        self._spilling.clear()
        try:
            self._line.spill(self._is_current)
        except Exception:  # noqa: BLE001 -- it is tried again; what waits is in memory still
            _LOG.exception("What waits for the registry could not be written to the spool.")

    def _is_current(self, batch: Batch) -> bool:
        return batch is self._current

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
