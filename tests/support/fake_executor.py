"""An executor that is steered and does nothing: for tests of how orders reach it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from lsst.ctrl.rapid.control import (
    BacklogLine,
    Changes,
    ClusterReport,
    ControlServer,
    DetectorLoad,
    ExposureLine,
    LiveSettings,
    NotNowError,
    StatusReport,
    WorkersLine,
)
from lsst.ctrl.rapid.model import InputError

type Serve = Callable[..., contextlib.AbstractAsyncContextManager[ControlServer]]
"""Has orders taken as the keys of a site file say, which are its arguments."""

PATTERNS = {"all", "raft_checkerboard", "ccd_checkerboard", "5-on-a-die", "minimal", "ultra-minimal", "R22"}


class FakeExecutor:
    """Does what it is told, and remembers it."""

    def __init__(self) -> None:
        self.settings = LiveSettings()
        self.orders: list[str] = []
        self.paused = False
        self.ending = False
        self.loads = {90: DetectorLoad(), 94: DetectorLoad()}
        self.gathers = DetectorLoad()
        self.workers = WorkersLine(wanted=2, warm=2, busy=0)

    def status(self) -> StatusReport:
        now = time.time()
        line = ExposureLine(
            instrument="LSSTCam", exposure=2026112200007, pipeline="summit", observation_type="science",
            physical_filter="r_57", expected=189, arrived=180, done=170, failed=1, gathered="waits",
            latency=4.2,
        )  # fmt: skip
        return StatusReport(
            version="1", pid=4711, phase="paused" if self.paused else "running", paused=self.paused,
            started=now - 7200, now=now, settings=self.settings, exposures=(line,),
            backlog=BacklogLine(shards=12, exposures=3, oldest=2026112200002, waits_since=now - 90),
            running=2, uncommitted=3, ended={"done": 500, "shed": 81}, shed={"not in the pattern": 81},
            workers=self.workers, overhead_ms=9.0,
        )  # fmt: skip

    def cluster(self) -> ClusterReport:
        return ClusterReport("running", {"LATISS": {}, "LSSTCam": self.loads}, self.gathers, self.workers, 3)

    def change(self, changes: Changes, by: str) -> None:
        self._check()
        settings = self.settings.changed(changes)
        if unknown := set(settings.policy.pattern.include) - PATTERNS:
            raise InputError(f"there is no pattern {unknown.pop()!r}")
        self.settings = settings
        self.orders.append(f"{by}: {changes}")

    def pause(self, by: str) -> None:
        self._check()
        self.paused = True
        self.orders.append(f"{by}: pause")

    def resume(self, by: str) -> None:
        self._check()
        self.paused = False
        self.orders.append(f"{by}: resume")

    def drain(self, by: str) -> None:
        self._check()
        self.ending = True
        self.orders.append(f"{by}: drain")

    async def reload(self, by: str, *, code: bool) -> str:
        self._check()
        if code:
            raise InputError("reload --code: not yet")
        self.orders.append(f"{by}: reload")
        return "The calibrations were read anew."

    async def catch_up(self, since: int | None, where: str, by: str) -> str:
        self._check()
        if where == "fault":
            raise ZeroDivisionError
        self.orders.append(f"{by}: catch up {since} {where}")
        return "7 raws are taken."

    def _check(self) -> None:
        if self.ending:
            raise NotNowError("The run is ending.")
