"""The camera at work: exposure after exposure, each a burst of files when the shutter closes."""

from __future__ import annotations

__all__ = ("simulate",)

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path

from ._clock import SYSTEM_CLOCK, Clock
from ._config import SimulationConfig
from ._exposure import SentExposure, SentRaw, TakenExposure
from ._fate import Fate, FaultPlan
from ._schedule import Schedule
from ._sequence import ExposurePlan, ImageType, day_obs_of, image_types

_OVERHEAD = 2.0
"""Seconds between exposures in the headers of a simulation that has a start but no cadence."""


def simulate(
    config: SimulationConfig,
    folder: Path,
    *,
    on_exposure: Callable[[SentExposure], None] | None = None,
    clock: Clock = SYSTEM_CLOCK,
    announce: Path | None = None,
) -> Generator[SentRaw]:
    """Take exposures and write their raws.

    The pixels of an exposure are written under hidden names before its shutter closes; then its files get
    their times and, in the order of the detectors, their names:
    ``{day_obs}/{OBSID}/{OBSID}_{RAFT}_{SLOT}.fits``.  So a file with a name is whole.  After each a line is
    added to ``manifest.jsonl`` (the fields of `SentRaw`), and after the last of an exposure its truth is
    written to ``truth/`` (see `write_truth`).

    Faults change what comes when: a late raw stays hidden until it is due, while later exposures are taken.
    When a shutter closes, what the exposure suffers from is added to ``faults.jsonl``: a line for each fault
    and detector (the fields of `Injection`, with ``instrument``, ``exposure``, ``obs_id`` and the exposure's
    ``number`` in the simulation, from 1).  A duplicate of another name is
    ``{OBSID}_{RAFT}_{SLOT}_again.fits``.

    Nothing happens but while the iterator is advanced; it ends when everything was sent.  If it is closed or
    interrupted, the exposures at hand stay with the files that they have, with their truth, and no hidden
    files remain.

    Parameters
    ----------
    config
        What to take.  With the same ``seed`` and ``start``, raws are the same to the byte, whatever the
        faults.
    folder
        Where to; it is created.
    on_exposure
        Called after each exposure, when all that is to come of it was sent.
    clock
        What cadence and faults are kept by.
    announce
        File to which a line for each raw (`~lsst.ctrl.rapid.model.AnnouncedFile`) is added before the raw has
        its name; `None` for none.  It takes reading each file once more, for the digest.

    Yields
    ------
    raw
        Each raw as soon as it has its name.

    Raises
    ------
    FileExistsError
        If a raw of that name is in the folder already.
    ValueError
        If the day has no sequence numbers left.
    """
    night = _Night(config, folder, on_exposure, clock, announce)
    try:
        yield from night.take()
    finally:
        night.end()


class _Night:
    """The exposures of a simulation, and what is still to come of them.

    Parameters
    ----------
    config, folder, on_exposure, clock, announce
        As of `simulate`.
    """

    def __init__(
        self,
        config: SimulationConfig,
        folder: Path,
        on_exposure: Callable[[SentExposure], None] | None,
        clock: Clock,
        announce: Path | None,
    ) -> None:
        self._config = config
        self._folder = folder
        self._announce_in = announce
        self._on_exposure = on_exposure
        self._clock = clock
        self._shutter = _Shutter(config, clock)
        self._schedule = Schedule()
        self._underway: dict[int, TakenExposure] = {}

    def take(self) -> Generator[SentRaw]:
        """Take all exposures, and send what is due meanwhile and afterwards."""
        config = self._config
        plan = FaultPlan(
            config.faults, seed=config.seed, instrument=config.instrument, exposures=config.exposures
        )
        for number, exposure in enumerate(self._exposures(), start=1):
            fate = plan.fate(number, config.detector_numbers)
            yield from self._expose(exposure, fate)
        while (due := self._schedule.next_due) is not None:
            self._clock.wait_until(due)
            yield from self._send_due()

    def end(self) -> None:
        """Let go of what is still underway."""
        with contextlib.ExitStack() as stack:
            for taken in self._underway.values():
                stack.callback(taken.end)

    def _exposures(self) -> Generator[ExposurePlan]:
        config, shutter = self._config, self._shutter
        seq_num = config.first_seq_num
        for kind in image_types(config.sequence, config.exposures):
            begins = shutter.expected(config.time_of(kind)) - config.time_of(kind)
            day_obs = day_obs_of(begins)
            if seq_num is None:
                seq_num = _next_seq_num(self._folder / str(day_obs))
            if seq_num >= 100_000:
                raise ValueError(f"day_obs {day_obs} has no seq_num left: simulate into another folder.")
            yield ExposurePlan(
                instrument=config.instrument,
                type=kind,
                day_obs=day_obs,
                seq_num=seq_num,
                exposure_time=config.time_of(kind),
                physical_filter=config.physical_filter,
                flat_level=config.flat_level if kind is ImageType.FLAT else 0.0,
            )
            seq_num += 1

    def _expose(self, exposure: ExposurePlan, fate: Fate) -> Generator[SentRaw]:
        """Take an exposure, and send what is due of it and of those before."""
        taken = TakenExposure(self._config, self._folder, exposure, fate, self._announce_in)
        self._underway[fate.number] = taken
        for _ in taken.stage(self._shutter.expected(exposure.exposure_time)):
            yield from self._send_due()
        while (due := self._schedule.next_due) is not None and due < self._shutter.due:
            self._clock.wait_until(due)
            yield from self._send_due()
        self._clock.wait_until(self._shutter.due)
        closed = self._clock.now()
        taken.close(self._shutter.close(closed, exposure.exposure_time))
        self._schedule.close(fate, closed)
        yield from self._send_due()
        self._announce(fate.number)

    def _send_due(self) -> Generator[SentRaw]:
        while (sending := self._schedule.pop(self._clock.now())) is not None:
            yield self._underway[sending.number].send(sending, self._clock)
            self._announce(sending.number)

    def _announce(self, number: int) -> None:
        """Tell of an exposure, once, when all that is to come of it was sent."""
        taken = self._underway.get(number)
        if taken is not None and taken.complete:
            sent = taken.end()
            del self._underway[number]
            if self._on_exposure is not None:
                self._on_exposure(sent)


class _Shutter:
    """When the shutter closes: by the clock at a cadence, or, from a fixed start, by the headers alone.

    A cadence is kept by the clock even where the headers' times are not those of the clock.  ``due`` is when
    the next exposure may end by the clock, UNIX seconds.
    """

    def __init__(self, config: SimulationConfig, clock: Clock) -> None:
        self._cadence = config.cadence
        self._first = config.first_close
        self._clock = clock
        self._last: float | None = None
        self.due = 0.0

    def expected(self, exposure_time: float) -> float:
        """Return when the next shutter close will be, as far as one can know, UNIX seconds."""
        if self._first is None:
            return max(self._clock.now(), self.due)
        if self._last is None:
            return self._first
        return self._last + (self._cadence or _OVERHEAD + exposure_time)

    def close(self, now: float, exposure_time: float) -> float:
        """Close, and return what the header says of when it closed, UNIX seconds."""
        # An exposure that took too long to make delays the next ones: two shutters never close in a rush.
        self.due = now + self._cadence
        self._last = now if self._first is None else self.expected(exposure_time)
        return self._last


def _next_seq_num(day: Path) -> int:
    taken = (path.name.rpartition("_")[2] for path in day.glob("*_*_*_*"))
    return max((int(number) for number in taken if number.isdecimal()), default=0) + 1
