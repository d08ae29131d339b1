"""The way of an arrival: read, refused or known, and made ready."""

from __future__ import annotations

__all__ = ("Intake",)

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sqlalchemy.exc

from ..arrival import FoundRaws
from ..commit import RawItem
from ..conductor import Selected
from ..ingest import Ingestor, Raw, RawReady, RegisteredRaw, read_registered
from ..instruments import NotTakenError, RefusedError
from ..model import Arrival, DownSelected, Shard
from ..plan import CompiledPipeline, is_away
from ._days import Days
from ._ended import Ended, gathered_of, shards_of, still_read
from ._flow import ShardFlow
from ._parts import Parts

_LOG = logging.getLogger(__name__)

_AWAY_SECONDS = 5.0

_TAKEN_KEPT = 10_000
"""Files that are remembered as taken: more than the committer can be behind."""


class Intake:
    """Turns arrivals into shards that can run.

    Parameters
    ----------
    parts
        The parts of the run.
    flow
        Takes the shards.
    ingestor
        Reads headers; used in ``reading`` alone.
    reading, registry
        Threads that read headers and query the repository.
    tell
        Has a registered raw taken in later.

    Notes
    -----
    Every arrival of a file is refused with a line in the ledger, or its raw is handed to the committer before
    it is worked on.  A raw that is registered already is worked on as it is.
    """

    def __init__(
        self,
        parts: Parts,
        flow: ShardFlow,
        ingestor: Ingestor,
        reading: ThreadPoolExecutor,
        registry: ThreadPoolExecutor,
        tell: Callable[[RegisteredRaw], None],
    ) -> None:
        self._parts = parts
        self._flow = flow
        self._ingestor = ingestor
        self._reading = reading
        self._registry = registry
        self._tell = tell
        self._reduced = False
        self._taken: OrderedDict[Path, None] = OrderedDict()
        self._taking: set[asyncio.Task[None]] = set()
        self._away = asyncio.Event()
        self._asking = asyncio.Lock()
        self.days = Days(parts, flow, self._ask)

    @property
    def taking(self) -> int:
        """How many arrivals are being taken in, those that wait for the registry included."""
        return len(self._taking)

    def close(self) -> None:
        """Have the reading thread release what it has read; no raw is taken afterwards."""
        self._reading.submit(self._ingestor.close).result()

    async def take(self, arrival: Arrival | RegisteredRaw) -> None:
        """Take in an arrival.

        One of an exposure that an earlier run began with must ask the registry; while that is away, it keeps
        no other waiting.
        """
        task = asyncio.create_task(
            self._take(arrival) if isinstance(arrival, Arrival) else self._take_registered(arrival)
        )
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)
        away = asyncio.create_task(self._away.wait())
        await asyncio.wait({task, away}, return_when=asyncio.FIRST_COMPLETED)
        away.cancel()

    async def _take(self, arrival: Arrival) -> None:
        loop = asyncio.get_running_loop()
        try:
            raw = await loop.run_in_executor(self._reading, self._ingestor.read, arrival)
        except NotTakenError as err:
            self._parts.refusals.refuse(arrival.path, err.reason, arrival.version)
            return
        except RefusedError as err:
            self._refuse_arrival(arrival, err.reason)
            return
        except Exception as err:  # noqa: BLE001 -- one file's fault must not end the run
            _LOG.debug("An arrival could not be read.", exc_info=err)
            self._refuse_arrival(arrival, f"it could not be read: {type(err).__name__}: {err}")
            return
        try:
            await self._ready(raw)
        except Exception as err:  # noqa: BLE001 -- one raw's fault must not end the run
            _LOG.exception("%s could not be taken in.", raw.ref)
            # It stays where it is: some of it may have been done.
            reason = f"it could not be taken in: {type(err).__name__}: {err}"
            self._parts.refusals.refuse(arrival.path, reason, arrival.version)

    async def _take_registered(self, raw: RegisteredRaw) -> None:
        try:
            await self._ready(raw)
        except Exception as err:  # noqa: BLE001 -- one raw's fault must not end the run
            _LOG.exception("%s could not be taken in.", raw.ref)
            found = FoundRaws(raw.instrument, raw.exposure, frozenset([raw.detector]))
            self.refuse_registered(found, f"{type(err).__name__}: {err}")

    def refuse_registered(self, found: FoundRaws, reason: str) -> None:
        """Refuse registered raws of which the registry does not tell what is needed."""
        # One by one: the ledger's line is read by others.
        detectors = ", ".join(map(str, sorted(found.detectors)))
        what = f"{found.instrument} exposure {found.exposure} detector(s) {detectors}"
        self._parts.refusals.refuse(Path(what), f"what is registered of it cannot be read: {reason}")

    def _refuse_arrival(self, arrival: Arrival, reason: str, second_to: Path | None = None) -> None:
        refusals = self._parts.refusals
        if arrival.path in self._taken:
            told = f"it was changed after it had been taken, and is no raw now: {reason}"
            refusals.refuse(arrival.path, told, arrival.version)
        else:
            refusals.refuse_file(arrival, reason, second_to)

    def _note_taken(self, raw: Raw) -> None:
        """Remember that a file is needed where it is: it is registered, or will be."""
        if isinstance(raw, RawReady):
            self._taken[raw.arrival.path] = None
            while len(self._taken) > _TAKEN_KEPT:
                self._taken.popitem(last=False)

    async def _ready(self, raw: Raw) -> None:
        parts = self._parts
        if isinstance(raw, RawReady) and self._was_second(raw.arrival):
            return
        before = parts.requests.add(raw)
        pipeline = parts.compiled.choose(raw)
        if before is not None and not self._is_wanted_after_all(raw, pipeline):
            self._came_before(raw, before)
            return
        self._note_taken(raw)
        item = self._item(raw)
        if pipeline is None:
            await self._shed(
                raw, item, next(iter(parts.compiled.pipelines)), "no pipeline selects its exposure"
            )
            return
        is_first = not parts.conductor.is_selected(raw.instrument, raw.exposure)
        selected = parts.conductor.select(
            pipeline.name, raw.instrument, raw.exposure, guaranteed=is_first and parts.policy.guarantees(raw)
        )
        if is_first:
            self._note_selection(raw, selected)
        if raw.detector not in selected.detectors:
            await self._shed(raw, item, pipeline.name, selected.reason)
            return
        earlier = await self._ended(raw)
        ended = await self._count_ended(earlier, pipeline, raw)
        day_obs = await self.days.know(raw)
        if item is not None and parts.settings.transfer == "move":
            parts.outbox.defer(raw.instrument, raw.exposure, item)
        elif item is not None and not ended:
            parts.outbox.submit(item)
        gathered = earlier.has_gathers(pipeline, raw.instrument, raw.exposure)
        parts.board.arrived(raw, pipeline.name, len(selected.detectors), ended=ended, gathered=gathered)
        now = time.time()
        newness = raw.shutter_closed or raw.file_closed
        ready = parts.conductor.raw(
            pipeline.name,
            raw.instrument,
            raw.exposure,
            raw.detector,
            now,
            newness,
            raw.group,
            raw.group_size,
            day_obs,
        )
        self._flow.ready([s for s in ready if s.detector is not None], now, raw)
        self._flow.ready([s for s in ready if s.detector is None], now)
        if ended or item is None:
            self._flow.proceed(
                parts.conductor.raw_committed(raw.instrument, raw.exposure, raw.detector, now), now
            )
        if parts.conductor.is_finished(raw.instrument, raw.exposure):
            parts.outbox.release(raw.instrument, raw.exposure)
        self._flow.act()

    def _was_second(self, arrival: Arrival) -> bool:
        """Refuse a file that came after another one of its raw in an earlier run, which may tell of it first.

        Unless that other one is not going to be told of.
        """
        refusals = self._parts.refusals
        if (before := refusals.second(arrival)) is None or before.second_to is None:
            return False
        first = Path(before.second_to)
        if not any(first.is_relative_to(folder.absolute()) for folder in self._parts.settings.watch):
            return False
        self._refuse_arrival(arrival, before.reason, first)
        return True

    def _is_wanted_after_all(self, raw: Raw, pipeline: CompiledPipeline | None) -> bool:
        """Tell whether somebody has asked for a raw that was shed before in this run."""
        if pipeline is None or not isinstance(raw, RegisteredRaw):
            return False
        conductor = self._parts.conductor
        if raw.detector not in conductor.select(pipeline.name, raw.instrument, raw.exposure).detectors:
            return False
        first = [
            shard for step, shard in shards_of(pipeline, raw) if step.per_detector and not step.per_group
        ]
        if not first or any(map(conductor.is_known, first)):
            return False
        self._flow.run_after_all(first[0])
        return True

    def _note_selection(self, raw: Raw, selected: Selected) -> None:
        """Say when exposures begin to be processed in part because of the load, and when whole again."""
        if selected.reduced == self._reduced:
            return
        self._reduced = selected.reduced
        parts = self._parts
        seconds = parts.conductor.backlog.seconds
        told = "in part" if selected.reduced else "as usual again"
        _LOG.warning(
            "Exposures are processed %s from %d on: %d of its detectors; what waits is %.0f s of work.",
            told,
            raw.exposure,
            len(selected.detectors),
            seconds,
        )
        rule = parts.conductor.policy.down_selection
        pattern = parts.conductor.policy.pattern if rule is None or not selected.reduced else rule.pattern
        parts.record.down_selected(
            DownSelected(
                time=time.time(),
                exposure=raw.exposure,
                reduced=selected.reduced,
                pattern=str(pattern),
                waiting_seconds=seconds,
            )
        )

    def _came_before(self, raw: Raw, before: Raw) -> None:
        """Refuse a second file of a raw; what the registry has is the same raw, whichever was first."""
        match raw, before:
            case RawReady(), RawReady() if raw.arrival.path != before.arrival.path:
                other = "" if raw.content == before.content else " with other content; the first counts"
                first = before.arrival.path
                self._refuse_arrival(
                    raw.arrival, f"it is the same raw as {first}, which came before{other}", first
                )
            case RawReady(), RawReady() if raw.content != before.content:
                reason = "its content was changed after it had been taken; what was read first counts"
                self._parts.refusals.refuse(raw.arrival.path, reason, raw.arrival.version)
            case _:
                _LOG.debug("%s came before.", raw.ref)

    def _item(self, raw: Raw) -> RawItem | None:
        """Return what registers a raw; nothing of one that is registered already."""
        if not isinstance(raw, RawReady):
            return None
        return RawItem(
            raw.ref, raw.arrival.path, raw.formatter, self._parts.settings.transfer, raw.to_register
        )

    async def _count_ended(self, before: Ended, pipeline: CompiledPipeline, raw: Raw) -> bool:
        """Tell the conductor what an earlier run ended of this detector and of its exposure.

        Returns
        -------
        ended
            Whether this detector was ended.
        """
        conductor = self._parts.conductor
        ended = False
        for step, shard in shards_of(pipeline, raw):
            run = before.ended.get(shard.key)
            if run is None:
                continue
            ended = ended or step.per_detector
            if not conductor.is_known(shard):
                gathered = before.gathered.get(shard.key)
                conductor.already_ended(shard, failed=False, now=time.time(), gathered=gathered)
                for name in still_read(pipeline, step, before, raw):
                    await self._restore(before, shard, run, name)
        if before.is_outdated(pipeline, raw.instrument, raw.exposure, {raw.detector}):
            await self._gather_again(before, pipeline, raw)
        return ended

    async def _gather_again(self, before: Ended, pipeline: CompiledPipeline, raw: Raw) -> None:
        """Bring what a gather of an earlier run needs, to be made again with what came after it."""
        parts, place = self._parts, (raw.instrument, raw.exposure)
        for shard, run, name in gathered_of(pipeline, before, *place):
            await self._restore(before, shard, run, name)
        if before.is_told:
            return
        before.is_told = True
        # Those that came in the earlier run may not come again.
        wanted = frozenset(before.detectors(pipeline)) & parts.compiled.expected[raw.instrument]
        parts.conductor.expect_more(*place, wanted)
        butler, inputs = parts.compiled.butler, parts.compiled.inputs
        for other in await self._ask(lambda: read_registered(butler, *place, wanted, inputs, time.time())):
            self._tell(other)

    async def _ended(self, raw: Raw) -> Ended:
        """Return what earlier runs ended of a raw's exposure: nothing, from memory, of one that is new."""
        before = self._parts.ended_before
        if (found := before.at_hand(raw)) is not None:
            return found
        several = await self._ask(lambda: before.find(self._parts.compiled.butler, raw))
        before.remember(raw.instrument, several)
        return several[raw.exposure]

    async def _restore(self, before: Ended, shard: Shard, run: str, name: str) -> None:
        """Find what a shard of an earlier run made, for the later steps that are still to come."""
        if (name, shard.key) in before.restored:
            return
        before.restored.add((name, shard.key))
        parts, key = self._parts, (name, run, shard.exposure if shard.group is None else shard.group)
        if key not in before.made:
            read = parts.ended_before.read_made
            before.made[key] = await self._ask(lambda: read(parts.compiled.butler, shard, run, name))
        datasets, records = before.made[key].get(shard.detector, ((), {}))
        parts.requests.products.add(shard, datasets, records)
        parts.scratch.adopt(shard, datasets, records)

    async def _ask[T](self, question: Callable[[], T]) -> T:
        """Ask the repository in its thread; waits while the registry is away."""
        async with self._asking:
            while True:
                try:
                    answer = await asyncio.get_running_loop().run_in_executor(self._registry, question)
                except sqlalchemy.exc.SQLAlchemyError as err:
                    if not is_away(err):
                        raise
                    if not self._away.is_set():
                        _LOG.warning(
                            "The registry is out of reach (%s): raws of exposures that an earlier run began "
                            "with wait for it; others do not.", " ".join(str(err).split("\n")[0].split()),
                        )  # fmt: skip
                    self._away.set()
                    await asyncio.sleep(_AWAY_SECONDS)
                else:
                    self._away.clear()
                    return answer

    async def _shed(self, raw: Raw, item: RawItem | None, pipeline: str, reason: str) -> None:
        """End a raw that is not to be worked on; it is registered all the same."""
        if item is not None:
            self._parts.outbox.submit(item)
        steps = self._parts.compiled.pipelines[pipeline].steps
        step = next((s.label for s in steps if s.per_detector), None)
        if step is None:
            return
        shard = Shard(pipeline, step, raw.instrument, raw.exposure, raw.detector)
        before = await self._ended(raw)
        if shard.key not in before.ended and shard.key not in before.shed:
            self._flow.shed(shard, raw, reason)
