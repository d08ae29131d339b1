"""The way of an arrival: read, refused or known, and made ready."""

from __future__ import annotations

__all__ = ("Intake",)

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..arrival import FoundRaws
from ..commit import RawItem
from ..ingest import Ingestor, Raw, RawReady, RegisteredRaw
from ..instruments import RefusedError
from ..model import Arrival, Shard
from ._flow import Parts, ShardFlow

_LOG = logging.getLogger(__name__)


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
    ) -> None:
        self._parts = parts
        self._flow = flow
        self._ingestor = ingestor
        self._reading = reading
        self._registry = registry
        self.refused = 0

    async def take(self, arrival: Arrival) -> None:
        """Take in an arrival."""
        loop = asyncio.get_running_loop()
        try:
            await self._ready(await loop.run_in_executor(self._reading, self._ingestor.read, arrival))
        except RefusedError as err:
            self._refuse(arrival.path, str(err))
        except Exception as err:  # noqa: BLE001 -- one file's fault must not end the run
            _LOG.exception("%s could not be read.", arrival.path)
            self._refuse(arrival.path, f"it could not be read: {type(err).__name__}: {err}")

    async def take_registered(self, raw: RegisteredRaw) -> None:
        """Take in a raw that the registry has already."""
        try:
            await self._ready(raw)
        except Exception as err:  # noqa: BLE001 -- one raw's fault must not end the run
            _LOG.exception("%s could not be taken in.", raw.ref)
            found = FoundRaws(raw.instrument, raw.exposure, frozenset([raw.detector]))
            self.refuse_registered(found, f"{type(err).__name__}: {err}")

    def refuse_registered(self, found: FoundRaws, reason: str) -> None:
        """Refuse registered raws of which the registry does not tell what is needed."""
        detectors = ", ".join(map(str, sorted(found.detectors)))
        what = f"{found.instrument} exposure {found.exposure} detector(s) {detectors}"
        self._refuse(Path(what), f"what is registered of it cannot be read: {reason}")

    def _refuse(self, path: Path, reason: str) -> None:
        _LOG.error("%s is refused: %s", path, reason)
        self.refused += 1
        self._parts.record.refused(self._parts.ledger.refuse(path, reason))

    async def _ready(self, raw: Raw) -> None:
        parts = self._parts
        if isinstance(raw, RawReady) and raw.instrument not in parts.compiled.expected:
            self._refuse(raw.arrival.path, f"this run takes no raws of {raw.instrument}")
            return
        before = parts.requests.add(raw)
        if before is not None:
            self._came_before(raw, before)
            return
        item = self._item(raw)
        expected = parts.compiled.expected[raw.instrument]
        pipeline = parts.compiled.choose(raw)
        if pipeline is None or raw.detector not in expected:
            if item is not None:
                parts.outbox.submit(item)
            self._shed(raw, None if pipeline is None else pipeline.name)
            return
        ended = await self._count_ended(raw, pipeline.name)
        if item is not None and parts.settings.transfer == "move":
            parts.outbox.defer(raw.instrument, raw.exposure, item)
        elif item is not None and not ended:
            parts.outbox.submit(item)
        awaited = parts.conductor.expected(raw.instrument, raw.exposure)
        parts.board.arrived(raw, pipeline.name, len(awaited), ended=ended)
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

    def _came_before(self, raw: Raw, before: Raw) -> None:
        """Refuse a second file of a raw; what the registry has is the same raw, whichever was first."""
        match raw, before:
            case RawReady(), RawReady() if raw.arrival.path != before.arrival.path:
                self._refuse(
                    raw.arrival.path, f"it is the same raw as {before.arrival.path}, which came before"
                )
            case _:
                _LOG.debug("%s came before.", raw.ref)

    def _item(self, raw: Raw) -> RawItem | None:
        """Return what registers a raw; nothing of one that is registered already."""
        if not isinstance(raw, RawReady):
            return None
        return RawItem(
            raw.ref, raw.arrival.path, raw.formatter, self._parts.settings.transfer, raw.to_register
        )

    async def _count_ended(self, raw: Raw, pipeline: str) -> bool:
        """Tell the conductor what an earlier run ended of this detector and of its exposure.

        Returns
        -------
        ended
            Whether this detector was ended.
        """
        parts = self._parts
        ended = False
        for step in parts.compiled.pipelines[pipeline].steps:
            detector = raw.detector if step.per_detector else None
            group = raw.group if step.per_group else None
            shard = Shard(pipeline, step.label, raw.instrument, raw.exposure, detector, group)
            run = parts.ended_before.ended.get(shard.key)
            if run is None:
                continue
            ended = ended or step.per_detector
            if not parts.conductor.is_known(shard):
                parts.conductor.already_ended(shard, failed=False, now=time.time())
                await asyncio.get_running_loop().run_in_executor(
                    self._registry, parts.compiled.restore, shard, run, parts.requests.products
                )
        return ended

    def _shed(self, raw: Raw, pipeline: str | None) -> None:
        """End a raw that is not to be worked on."""
        pipelines = self._parts.compiled.pipelines
        name = pipeline or next(iter(pipelines))
        reason = "no pipeline selects its exposure"
        if pipeline is not None:
            reason = "its detector is not among those selected"
        step = next((s.label for s in pipelines[name].steps if s.per_detector), None)
        if step is None:
            return
        shard = Shard(name, step, raw.instrument, raw.exposure, raw.detector)
        before = self._parts.ended_before
        if shard.key not in before.ended and shard.key not in before.shed:
            self._flow.shed(shard, raw, reason)
