"""The soak as a whole."""

from __future__ import annotations

__all__ = ("soak",)

import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import yaml

from ..check import check_balance
from ..control import ControlClient, DrainRequest
from ..model import InputError
from ._bad_files import drop_bad_files
from ._config import Disturbance, SoakConfig
from ._memory import MemorySampler
from ._processes import Camera, Head
from ._registry import Registry, open_registry
from ._result import SoakResult

_SITE = {"gather_timeout": 5.0, "gather_deadline": 15.0, "attempts": 3}
"""Gathers must not wait for detectors that never come as long as they may at the summit."""

_FAULTS = (
    "late:part=0.05,seconds=8",
    "missing:part=0.03",
    "duplicate:part=0.1,seconds=3",
    "out-of-order:depth=1",
    "burst:first=3,exposures=3",
)

_GAP = (2.0, 7.0)
_AWAY = (2.0, 6.0)
_TICK = 0.2
_AT_START = 0.3
"""How often a head that was killed is killed once more while it starts."""
_STARTING = (0.5, 8.0)
_STOPPED_WELL = (0, 3)
"""Exit codes of a head that is told to stop: the second, where something is left for the next start."""

_DRAIN_SECONDS = 600.0
_OUTLIVE_SECONDS = 10.0
_IDLE_SECONDS = 5.0


def soak(config: SoakConfig, tell: Callable[[str], None]) -> SoakResult:
    """Have an executor work under random faults, let it drain, and tell whether everything balances.

    Parameters
    ----------
    config
        What is asked for.
    tell
        Is told each thing that happens, a line each.

    Returns
    -------
    result
        Also written to ``soak.json`` in the work folder, where ``soak.jsonl`` has a line for each event.

    Raises
    ------
    lsst.ctrl.rapid.model.InputError
        If the work folder is not empty, or PostgreSQL is not here.
    RuntimeError
        If the executor does not start at all.
    """
    config.work_dir.mkdir(parents=True, exist_ok=True)
    if any(config.work_dir.iterdir()):
        raise InputError(f"{config.work_dir}: the folder is not empty; name another one, or remove it.")
    with contextlib.ExitStack() as stack:
        registry = stack.enter_context(open_registry(config.database, config.work_dir / "repo"))
        night = _Soak(config, registry, tell)
        stack.callback(night.end)
        result = night.run()
    (config.work_dir / "soak.json").write_text(result.model_dump_json(indent=1) + "\n")
    return result


class _Soak:
    """A soak under way."""

    def __init__(self, config: SoakConfig, registry: Registry, tell: Callable[[str], None]) -> None:
        self._config = config
        self._registry = registry
        self._tell = tell
        self._random = random.Random(config.seed)  # noqa: S311 -- chance, not secrets
        self._landing = config.work_dir / "landing"
        self._landing.mkdir()
        self._site = config.work_dir / "site.yaml"
        self._site.write_text(yaml.safe_dump(_SITE))
        self._done: Counter[str] = Counter()
        self._unexpected: list[str] = []
        self._heads: list[Head] = []
        self._cameras: list[Camera] = []
        self._sampler = MemorySampler(self._processes)

    def run(self) -> SoakResult:
        """Do all of it."""
        config = self._config
        self._start_head()
        if not self._head.wait_until_running():
            raise RuntimeError(f"The executor does not start; its log is {self._head.log}.")
        self._start_camera()
        self._sampler.start()
        started = time.monotonic()
        ends = started + config.minutes * 60
        deck = self._deck()
        while (now := time.monotonic()) < ends - config.calm:
            self._watch_until(min(now + self._random.uniform(*_GAP), ends - config.calm))
            if time.monotonic() < ends - config.calm and (what := next(deck, None)) is not None:
                self._disturb(what)
        self._note("calm", seconds=round(config.calm))
        self._watch_until(ends)
        self._cameras[-1].stop()
        sent_until, minutes = time.time(), (time.monotonic() - started) / 60
        self._note("sending-ended")
        self._drain()
        self._sampler.stop()
        drained = time.time() - sent_until
        if left := sum(head.end_leftovers(_OUTLIVE_SECONDS) for head in self._heads):
            self._surprise(f"{left} worker(s) have outlived their head by {_OUTLIVE_SECONDS:g} s and more")
        balance = check_balance(
            str(config.work_dir / "repo"),
            "rapid",
            landing=[self._landing],
            sent=[path for path in (self._manifest, self._bad_manifest) if path.exists()],
            ledgers=[config.work_dir / "ledger.jsonl"],
        )
        self._note("checked", balanced=balance.balanced, sent=balance.sent)
        return SoakResult(
            database=config.database,
            seed=config.seed,
            minutes=minutes,
            disturbances=dict(self._done),
            restarts=len(self._heads) - 1,
            unexpected=tuple(self._unexpected),
            drained_seconds=drained,
            slopes=tuple(self._sampler.slopes(config.memory_slope)),
            memory_slope=config.memory_slope,
            balance=balance,
        )

    def end(self) -> None:
        """End all processes that are left."""
        for process in (*self._cameras, *self._heads):
            if process.ended is None:
                process.kill()
        for head in self._heads:
            head.end_leftovers()

    # Processes

    @property
    def _head(self) -> Head:
        return self._heads[-1]

    @property
    def _manifest(self) -> Path:
        return self._config.work_dir / "sent.jsonl"

    @property
    def _bad_manifest(self) -> Path:
        return self._config.work_dir / "bad.jsonl"

    def _start_head(self, *more: str) -> None:
        config, number = self._config, len(self._heads) + 1
        words = ["run", str(config.pipeline), "--site", str(self._site), "--work-dir", str(config.work_dir)]
        words += ["--watch", str(self._landing), "--workers", str(config.workers), "--scale", config.scale]
        words += ["--detectors", ",".join(map(str, config.detectors)), *more]
        log = config.work_dir / f"head-{number:03d}.log"
        self._heads.append(Head(words, log, config.work_dir))
        self._note("head-started", pid=self._head.pid, log=log.name)

    def _start_camera(self) -> None:
        config, number = self._config, len(self._cameras) + 1
        exposures = int(config.minutes * 60 / max(config.cadence, 0.1)) + 10
        words = ["simulate", str(self._landing), "--manifest", str(self._manifest), "--scale", config.scale]
        words += ["--exposures", str(exposures), "--cadence", str(config.cadence)]
        words += ["--detectors", ",".join(map(str, config.detectors)), "--seed", str(config.seed + number)]
        for fault in _FAULTS:
            words += ["--fault", fault]
        self._cameras.append(Camera(words, config.work_dir / f"camera-{number:03d}.log"))
        self._note("camera-started", pid=self._cameras[-1].pid)

    def _processes(self) -> Iterator[tuple[str, psutil.Process]]:
        """Yield what the sampler looks at; called in its thread."""
        head = self._head
        with contextlib.suppress(psutil.Error):
            yield "head", psutil.Process(head.pid)
            for worker in head.workers():
                yield "worker", worker

    def _watch_until(self, moment: float) -> None:
        """Wait, and start what ends though nobody has ended it."""
        while time.monotonic() < moment:
            if (code := self._head.ended) is not None:
                self._surprise(f"the head ended by itself with exit code {code}; see {self._head.log.name}")
                self._start_again()
            if (code := self._cameras[-1].ended) is not None:
                self._surprise(f"the camera ended by itself with exit code {code}")
                self._start_camera()
            time.sleep(_TICK)

    def _start_again(self) -> None:
        self._start_head()
        if not self._head.wait_until_running():
            self._surprise(f"the head did not get to work; see {self._head.log.name}")

    # Disturbances

    def _deck(self) -> Iterator[Disturbance]:
        """Yield disturbances in random order; kills of head and workers come twice as often as others."""
        kills = [Disturbance.HEAD_KILLED, Disturbance.WORKER_KILLED]
        wanted = [one for one in [*kills, *Disturbance] if one not in self._config.without]
        while wanted:
            self._random.shuffle(wanted)
            yield from wanted

    def _disturb(self, what: Disturbance) -> None:
        match what:
            case Disturbance.HEAD_KILLED:
                self._note(what, pid=self._head.pid)
                self._head.kill()
                if self._random.random() < _AT_START:
                    self._start_head()
                    time.sleep(self._random.uniform(*_STARTING))
                    self._note("killed-at-start", pid=self._head.pid)
                    self._head.kill()
                self._start_again()
            case Disturbance.HEAD_STOPPED:
                self._note(what, pid=self._head.pid)
                if (code := self._head.stop()) not in _STOPPED_WELL:
                    self._surprise(f"the head did not stop well: exit code {code}; see {self._head.log.name}")
                self._start_again()
            case Disturbance.WORKER_KILLED:
                workers = self._head.workers()
                if not workers:
                    return
                chosen = self._random.choice(workers)
                self._note(what, pid=chosen.pid)
                with contextlib.suppress(psutil.NoSuchProcess):
                    chosen.kill()
            case Disturbance.CAMERA_KILLED:
                self._note(what, pid=self._cameras[-1].pid)
                self._cameras[-1].kill()
                self._start_camera()
            case Disturbance.BAD_FILES:
                dropped = drop_bad_files(self._landing, self._bad_manifest, self._random)
                self._note(what, files=[path.name for path in dropped])
            case Disturbance.REGISTRY_AWAY:
                seconds = self._random.uniform(*_AWAY)
                self._note(what, seconds=round(seconds, 1))
                how = self._registry.away(seconds, self._random)
                self._note("registry-back", how=how)
        self._done[what] += 1

    # End

    def _drain(self) -> None:
        """Let the executor finish what has come; then start it once more, to take up what came meanwhile."""

        def order(client: ControlClient) -> None:
            client.do(DrainRequest(by="soak"))

        refused = self._head.do(order)
        if refused:
            self._surprise(f"the head does not drain: {refused}")
        elif (code := self._head.wait(_DRAIN_SECONDS)) != 0:
            self._surprise(f"the head did not drain well: exit code {code}; see {self._head.log.name}")
        self._note("drained")
        if self._head.ended is None:
            self._head.kill()
        self._start_head("--until-idle", str(_IDLE_SECONDS))
        if (code := self._head.wait(_DRAIN_SECONDS)) != 0:
            self._surprise(f"the last head did not end well: exit code {code}; see {self._head.log.name}")

    # Events

    def _surprise(self, what: str) -> None:
        self._unexpected.append(what)
        self._note("unexpected", what=what)

    def _note(self, event: str, **facts: object) -> None:
        """Write an event down, and tell it."""
        line = {"time": round(time.time(), 3), "event": str(event), **facts}
        with (self._config.work_dir / "soak.jsonl").open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        told = ", ".join(f"{key} {value}" for key, value in facts.items())
        self._tell(f"{event}{': ' if told else ''}{told}")
