"""How the executor is steered while it runs: what `control` asks for, carried out on its parts."""

from __future__ import annotations

__all__ = ("ExecutorControl", "taking_orders")

import asyncio
import contextlib
import dataclasses
import itertools
import logging
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Protocol

from .. import __version__
from ..conductor import Backlog
from ..control import (
    BacklogLine,
    Changes,
    ClusterReport,
    ControlDesk,
    ControlServer,
    DetectorLoad,
    ExposureLine,
    LiveSettings,
    NotNowError,
    RedisControl,
    RegistryLine,
    StatusReport,
    WorkersLine,
)
from ..model import InputError, Shard, SiteFile, load_site_file
from ._again import check_code, kept_settings
from ._flow import ShardFlow
from ._parts import Parts
from ._settings import RunSettings
from ._status import ExposureStatus, Status

_LOG = logging.getLogger(__name__)

_EXPOSURES_TOLD = 12

_TAKEN_AT_ONCE = ("policy", "gather_timeout", "gather_deadline")
"""Keys of the site file that are taken over while the executor runs."""


class Steered(Protocol):
    """What of the executor is steered."""

    def status(self) -> Status:
        """Return how far the run is."""

    @property
    def can_start_again(self) -> bool:
        """Whether all that is to be done is found again after a start."""

    def start_again(self, live: LiveSettings) -> None:
        """Finish what runs, and have the process start again with the code on disk and these settings."""

    def drain(self) -> None:
        """Take no more arrivals, finish what waits and runs, and end the run."""

    async def read_calibrations(self) -> None:
        """Read the calibrations anew."""

    async def catch_up(self, where: str) -> str:
        """Take registered raws in that have no outcome; returns what was found."""


class ExecutorControl:
    """Carries orders out.

    Parameters
    ----------
    settings
        What the run is told.
    executor
        What is steered.
    apply
        Takes what was changed over, from now on; raises `InputError` if that cannot be, and nothing changes.

    Notes
    -----
    Implements `~lsst.ctrl.rapid.control.Controllable`.

    Raises
    ------
    InputError
        If the site file is not valid.
    """

    def __init__(
        self, settings: RunSettings, executor: Steered, apply: Callable[[LiveSettings], None]
    ) -> None:
        self._settings = settings
        self._executor = executor
        self._apply = apply
        self._parts: Parts | None = None
        self._flow: ShardFlow | None = None
        self._live = LiveSettings()
        self._site_at_start = SiteFile() if settings.site is None else load_site_file(settings.site)
        self._site = self._site_at_start
        self._ending = False

    def begin(self, parts: Parts, flow: ShardFlow) -> None:
        """Take orders from now on; before, only the status is told."""
        settings, rapid = self._settings, parts.compiled.rapid
        self._live = LiveSettings(
            policy=parts.compiled.policy,
            gather_timeout=settings.gather_timeout or rapid.gather_timeout,
            gather_deadline=settings.gather_deadline or rapid.gather_deadline,
        )
        self._parts, self._flow = parts, flow
        if (kept := kept_settings()) is not None:
            try:
                self._take_over(kept)
            except InputError as err:
                _LOG.error("What was changed before the new code was loaded does not hold any more: %s", err)

    # Orders

    @property
    def settings(self) -> LiveSettings:
        """What can be changed, as it is now."""
        return self._live

    def change(self, changes: Changes, by: str) -> None:  # noqa: ARG002 -- who it is is logged at the desk
        """Change what is processed, and what comes first."""
        self._running()
        self._take_over(self._live.changed(changes))

    def pause(self, by: str) -> None:  # noqa: ARG002
        """Dispatch nothing more; what runs goes on, and arrivals are taken in."""
        parts, flow = self._running()
        parts.conductor.pause()
        flow.act()

    def resume(self, by: str) -> None:  # noqa: ARG002
        """Dispatch again."""
        parts, flow = self._running()
        parts.conductor.resume()
        flow.act()

    def drain(self, by: str) -> None:
        """Take no more arrivals, finish what waits and runs, and end the run; ends a pause."""
        self.resume(by)
        self._ending = True
        self._executor.drain()

    async def reload(self, by: str, *, code: bool) -> str:  # noqa: ARG002
        """Read calibrations and site file anew, or start again with new code; returns what is done."""
        self._running()
        if code:
            return await self._start_again()
        site = self._site if self._settings.site is None else load_site_file(self._settings.site)
        try:
            await self._executor.read_calibrations()
        except Exception as err:
            raise NotNowError(
                f"The calibrations could not be read anew ({type(err).__name__}: {err}); those known stay in "
                "use, and the site file was not looked at."
            ) from err
        told = ["The calibrations were read anew."]
        if self._settings.site is not None:
            told.append(self._take_site(site))
        return " ".join(told)

    async def _start_again(self) -> str:
        if not self._executor.can_start_again:
            raise InputError(
                "reload --code: this run brings its exposures itself (--simulate, -d), and would begin with "
                "them again; let it end, and start another one."
            )
        if self._executor.status().registry.away_since is not None:
            raise NotNowError(
                "The registry is out of reach, and no executor can start without it; try again later."
            )
        await check_code(self._settings)
        self._ending = True
        self._executor.start_again(self._live)
        return (
            "The code on disk can be loaded. What runs is finished; then the executor starts again with it, "
            "and takes up what waits."
        )

    async def catch_up(self, since: int | None, where: str, by: str) -> str:  # noqa: ARG002
        """Take registered raws in that have no outcome; returns what was found."""
        self._running()
        parts = [] if since is None else [f"day_obs >= {since}"]
        if where.strip():
            parts.append(f"({where})")
        return await self._executor.catch_up(" AND ".join(parts))

    # Status

    def status(self) -> StatusReport:
        """Return how far the run is."""
        status, flow = self._executor.status(), self._flow
        newest = sorted(status.exposures, key=lambda found: found.first_closed or 0.0, reverse=True)
        now = time.time()
        return StatusReport(
            version=__version__,
            pid=os.getpid(),
            phase=status.phase,
            paused=self._parts is not None and self._parts.conductor.paused,
            started=now - status.elapsed,
            now=now,
            settings=self._live,
            exposures=tuple(map(_exposure_line, itertools.islice(newest, _EXPOSURES_TOLD))),
            backlog=BacklogLine() if flow is None else _backlog(flow, status.backlog),
            running=status.running,
            uncommitted=status.uncommitted,
            registry=RegistryLine(**dataclasses.asdict(status.registry)),
            ended={} if flow is None else {str(o): n for o, n in flow.tally.outcomes.items()},
            shed={} if flow is None else dict(flow.tally.shed),
            failures=() if self._parts is None else self._parts.board.failures,
            refused=status.refused,
            refusals=() if self._parts is None else self._parts.refusals.latest,
            troubles=() if self._parts is None else (*status.troubles, *self._parts.troubles),
            workers=self._workers(status),
            overhead_ms=status.overhead_ms,
        )

    def cluster(self) -> ClusterReport:
        """Return what the workers do."""
        status, parts, flow = self._executor.status(), self._parts, self._flow
        waiting = {} if flow is None else flow.waiting
        running = {} if parts is None else parts.conductor.running
        loads = _loads(running, waiting)
        expected = {} if parts is None else parts.compiled.expected
        return ClusterReport(
            phase=status.phase,
            detectors={
                name: {detector: loads.get((name, detector), DetectorLoad()) for detector in detectors}
                for name, detectors in expected.items()
            },
            gathers=DetectorLoad(
                running=any(shard.detector is None for shard in running),
                waiting=sum(shard.detector is None for shard in waiting),
            ),
            workers=self._workers(status),
            uncommitted=status.uncommitted,
        )

    # How

    def _running(self) -> tuple[Parts, ShardFlow]:
        """Return what is steered.

        Raises
        ------
        NotNowError
            If nothing is dispatched yet, or the run is ending.
        """
        phase = self._executor.status().phase
        if self._flow is None or self._parts is None:
            raise NotNowError(f"The executor is not ready yet ({phase}); try again in some seconds.")
        if self._ending or phase in {"stopping", "committing"}:
            raise NotNowError(f"The run is ending ({phase}); nothing can be changed any more.")
        return self._parts, self._flow

    def _take_over(self, live: LiveSettings) -> None:
        self._apply(live)
        self._live = live

    def _take_site(self, site: SiteFile) -> str:
        """Take over what can be changed now; returns what, and what has to wait for the next start."""
        changed = {
            name: getattr(site, name)
            for name in _TAKEN_AT_ONCE
            if getattr(site, name) not in (getattr(self._site, name), None)
        }
        told = "Nothing that can be changed now is new in the site file."
        if changed:
            policy = self._live.policy.overridden(changed.get("policy"))
            self._take_over(self._live.model_copy(update={**changed, "policy": policy}))
            values = (f"{n}={v:g}" if isinstance(v, float) else n for n, v in changed.items())
            told = f"From the site file: {', '.join(values)}."
        self._site = site
        later = [
            name
            for name in type(site).model_fields
            if name not in {"extends", *_TAKEN_AT_ONCE}
            and getattr(site, name) != getattr(self._site_at_start, name)
        ]
        return f"{told} At the next start: {', '.join(later)}." if later else told

    def _workers(self, status: Status) -> WorkersLine:
        return WorkersLine(
            wanted=self._settings.workers, warm=status.workers, busy=status.workers - status.free_workers
        )


@contextlib.asynccontextmanager
async def taking_orders(settings: RunSettings, control: ExecutorControl) -> AsyncIterator[None]:
    """Take orders in every way that the site wants, while the executor runs.

    Raises
    ------
    InputError
        If another executor runs in the work folder, or what the site names cannot be opened.
    """
    desk = ControlDesk(control)
    server = ControlServer(settings.control, settings.work_dir, desk)
    server.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        if settings.redis is not None:
            redis = RedisControl(settings.redis, desk)
            _LOG.info("Orders are taken from Redis at %s.", settings.redis.place)
            stack.push_async_callback(redis.close)
            task = asyncio.create_task(redis.run())
            stack.push_async_callback(asyncio.wait, [task])
            stack.callback(task.cancel)
        yield


def _exposure_line(found: ExposureStatus) -> ExposureLine:
    known = found.first_closed is not None and found.last_committed is not None
    return ExposureLine(
        instrument=found.instrument,
        exposure=found.exposure,
        pipeline=found.pipeline,
        observation_type=found.observation_type,
        physical_filter=found.physical_filter,
        expected=found.expected,
        arrived=found.arrived,
        done=found.done,
        failed=found.failed,
        gathered=found.gathered,
        latency=(found.last_committed or 0.0) - (found.first_closed or 0.0) if known else None,
    )


def _backlog(flow: ShardFlow, older: Backlog | None) -> BacklogLine:
    waiting = flow.waiting
    exposures = {(shard.instrument, shard.exposure) for shard in waiting}
    return BacklogLine(
        shards=len(waiting),
        exposures=len(exposures),
        oldest=min((exposure for _, exposure in exposures), default=None),
        waits_since=min(waiting.values(), default=None),
        seconds=0.0 if older is None else older.seconds,
        reduced=older is not None and older.reduced,
    )


def _loads(running: Iterable[Shard], waiting: Iterable[Shard]) -> dict[tuple[str, int], DetectorLoad]:
    counts = Counter((shard.instrument, shard.detector) for shard in waiting if shard.detector is not None)
    runs = {(shard.instrument, shard.detector) for shard in running if shard.detector is not None}
    return {place: DetectorLoad(place in runs, counts[place]) for place in runs | counts.keys()}
