"""What the framework costs for each detector, where the tasks cost next to nothing."""

from __future__ import annotations

__all__ = ("QUICK", "Sizes", "compare", "run")

import dataclasses
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from ..instruments import read_raw
from ._floor import tiny_floor
from ._model import Findings, Goal, Row, Series, SuiteSettings, Tell
from ._peers import ExecutorPeer
from ._raws import INSTRUMENT, TinyRaw, science_detectors
from ._trial import Measured, Trial, open_trials

_LETTERS = "acde"
_IDLE = "(e), idle worker"


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes
    ----------
    stream
        Detectors of one exposure that each peer processes one after another; (a) processes one.
    idle
        Files that come one by one.
    pause
        Seconds between them, longer than a shard takes.
    repetitions
        Of all but the idle worker.
    """

    stream: int
    idle: int
    pause: float
    repetitions: int

    @property
    def detectors(self) -> tuple[int, ...]:
        """Those of the largest exposure."""
        return science_detectors()[: max(self.stream, self.idle)]


_FULL = Sizes(stream=60, idle=189, pause=0.06, repetitions=2)
QUICK = Sizes(stream=3, idle=4, pause=0.1, repetitions=1)


def run(settings: SuiteSettings, tell: Tell) -> Findings:
    """Measure peers (a), (c), (d) and (e) with one worker each.

    Parameters
    ----------
    settings
        What was asked for; there is always one worker.
    tell
        Takes a line on each thing that is done.
    """
    sizes = QUICK if settings.quick else _FULL
    if settings.repetitions is not None:
        sizes = dataclasses.replace(sizes, repetitions=settings.repetitions)
    with open_trials(settings, "overhead", _LETTERS, 1, sizes.detectors, tell) as trials:
        return compare(trials, sizes, tell)


def compare(trials: Sequence[Trial], sizes: Sizes, tell: Tell) -> Findings:
    """Measure peers that are warm, one worker each.

    Parameters
    ----------
    trials
        One for each database.
    sizes
        How much is measured.
    tell
        Takes a line on each thing that is done.
    """
    found: dict[tuple[str, str], _Found] = defaultdict(_Found)
    for trial in trials:
        trial.warm("cd", sizes.detectors[:2])
        # Its workers keep the calibrations of all detectors; those of the others are at hand, or read anew.
        trial.warm("e", sizes.detectors[: sizes.stream])
    for number in range(sizes.repetitions):
        for trial in trials:
            tell(f"{trial.where}: repetition {number + 1} of {sizes.repetitions}.")
            _repeat(trial, sizes.detectors[: sizes.stream], found)
    idle = []
    for trial in trials:
        tell(f"{trial.where}: {sizes.idle} files one by one.")
        idle.append(_idle(trial, sizes.detectors[: sizes.idle], sizes.pause))
    raws = trials[0].camera.take(sizes.detectors[:20])
    payload, floor = _payload(raws), tiny_floor(raws[0])
    names = {letter: peer.name for letter, peer in trials[0].peers.items()}
    where = [trial.where for trial in trials]
    return Findings(
        rows=(
            *(
                found[place, letter].row(names[letter], place, floor)
                for place in where
                for letter in _LETTERS
            ),
            *idle,
            Row(what="reading a raw, in each of them", columns={"CPU per detector": payload}),
        ),
        goals=tuple(goal for row in idle for goal in _goals(row, found)),
        notes=_notes(sizes),
        settings={
            "repetitions": str(sizes.repetitions),
            "workers": "1",
            "detectors": str(sizes.stream),
        },
        versions={name: version for trial in trials for name, version in trial.site.versions.items()},
    )


class _Found:
    """What was measured of one peer in one database."""

    def __init__(self) -> None:
        self._streams: list[Measured] = []
        self._singles: list[Measured] = []

    def add(self, stream: Measured, single: Measured) -> None:
        self._streams.append(stream)
        self._singles.append(single)

    @property
    def per_detector(self) -> Series:
        return _milliseconds([one.seconds / one.detectors for one in self._streams])

    @property
    def cpu(self) -> Series:
        return _milliseconds([one.cpu_seconds / one.detectors for one in self._streams])

    def row(self, what: str, where: str, floor: float) -> Row:
        columns = {
            "per detector": self.per_detector,
            "CPU per detector": self.cpu,
            "CPU, of the floor": Series(unit="x", values=tuple(value / floor for value in self.cpu.values)),
            "one image until readable": _milliseconds([one.seconds for one in self._singles]),
        }
        return Row(what=what, where=where, columns=columns)


def _repeat(trial: Trial, detectors: Sequence[int], found: Mapping[tuple[str, str], _Found]) -> None:
    stream, single = trial.camera.take(detectors), trial.camera.take(detectors[:1])
    for letter in _LETTERS:
        one = trial.measure(letter, single)
        found[trial.where, letter].add(one if letter == "a" else trial.measure(letter, stream), one)


def _idle(trial: Trial, detectors: Sequence[int], pause: float) -> Row:
    peer = trial.peers["e"]
    assert isinstance(peer, ExecutorPeer), "It is the executor."
    done = peer.observe(peer.prepare(trial.camera.take(detectors)), pause)
    columns = {
        f"file closed to task start, p{percent}": Series(
            unit="ms", values=(float(np.percentile(done.overheads_ms, percent)),)
        )
        for percent in (50, 99)
    }
    return Row(what=_IDLE, where=trial.where, columns=columns)


def _payload(raws: Sequence[TinyRaw]) -> Series:
    """Return the CPU time of reading a raw, which every peer spends."""
    seconds = []
    for raw in (raws[0], *raws):
        started = time.process_time()
        read_raw(raw.path, instrument=INSTRUMENT, detector=raw.detector)
        seconds.append(time.process_time() - started)
    return _milliseconds(seconds[1:])


def _goals(idle: Row, found: Mapping[tuple[str, str], _Found]) -> list[Goal]:
    where = idle.where
    ours = found[where, "e"].per_detector.median
    p50, p99 = (series.median for series in idle.columns.values())
    return [
        Goal(name=f"file closed to task start, p50, {where}", bound="most", target=10, value=p50, unit="ms"),
        Goal(name=f"file closed to task start, p99, {where}", bound="most", target=50, value=p99, unit="ms"),
        *(
            Goal(
                name=f"times below ({letter}) per detector, {where}",
                bound="least",
                target=target,
                value=found[where, letter].per_detector.median / ours,
                unit="x",
            )
            for letter, target in (("c", 10), ("d", 10), ("a", 100))
        ),
    ]


def _notes(sizes: Sizes) -> tuple[str, ...]:
    """Return what a reader must know."""
    stream = (
        f"Per detector: {sizes.stream} raws of an exposure at once, for one worker; (a) gets one. The clock "
        "stops when another process has read the last output."
    )
    registered = (
        "Raws are registered before the clock starts for (a), (c) and (d); (e) registers them within it."
    )
    idle = (
        f"Idle worker: {sizes.idle} raws of an exposure, {sizes.pause:g} s apart, from file closed to task "
        "start less the wait for the worker; the first, whose header is translated and whose visit is "
        "defined, is among them."
    )
    floor = "Floor: reading the raw, one multiplication a pixel and writing 10 kB, without any framework."
    return stream, registered, idle, floor


def _milliseconds(seconds: Sequence[float]) -> Series:
    return Series(unit="ms", values=tuple(1e3 * value for value in seconds))
