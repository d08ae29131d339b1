"""What the faults do to the raws of an exposure: without files, clock or camera."""

from __future__ import annotations

__all__ = ("Fate", "FaultPlan", "Injection", "Sending")

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from ._faults import Burst, Duplicate, Fault, FaultKind, Late, Missing, OutOfOrder
from ._random import Use, generator


@dataclasses.dataclass(frozen=True, slots=True)
class Sending:
    """One time that a raw comes.

    Attributes
    ----------
    number
        Its exposure, counted from 1.
    detector
        Number of the detector.
    seconds
        It comes no earlier than this after the shutter of its exposure closed.
    after
        It comes no earlier than the shutter of this exposure closed, counted from 1: its own, or a later one.
    delay
        It comes so much later still, seconds: a duplicate after the raw itself.
    overtaken
        Whether the raws of the exposure ``after`` come before it.
    fault
        What it suffers from; empty if nothing.
    copy
        Empty for the raw itself; for a duplicate, whether its name is an ``other`` or the ``same``.
    """

    number: int
    detector: int
    seconds: float
    after: int
    delay: float
    overtaken: bool
    fault: FaultKind | Literal[""]
    copy: Literal["", "other", "same"]

    def due(self, closed: float, released: float) -> float:
        """Return when it comes.

        Parameters
        ----------
        closed
            When the shutter of its own exposure closed.
        released
            When that of the exposure ``after`` closed.
        """
        return max(closed + self.seconds, released) + self.delay


@dataclasses.dataclass(frozen=True, slots=True)
class Injection:
    """A fault that an exposure or one of its detectors suffers from.

    Attributes
    ----------
    fault
        Its kind.
    detector
        Number of the detector; `None` for the whole exposure.
    seconds
        Of a late raw, from the shutter's close; of a duplicate, from the raw itself; else `None`.
    """

    fault: FaultKind
    detector: int | None
    seconds: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class _Whole:
    """What happens to an exposure as a whole: its order, and what it waits for."""

    order: tuple[int, ...]
    after: int
    overtaken: bool
    faults: tuple[FaultKind, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Fate:
    """What happens to the raws of one exposure.

    Attributes
    ----------
    number
        The exposure, counted from 1.
    sendings
        What comes, in this order where it is due at the same time.
    missing
        Numbers of the detectors that do not come.
    injections
        All faults that had an effect.
    """

    number: int
    sendings: tuple[Sending, ...]
    missing: tuple[int, ...]
    injections: tuple[Injection, ...]


class FaultPlan:
    """Tells what happens to each raw of each exposure.

    Parameters
    ----------
    faults
        What goes wrong.  Of faults of one kind that hit the same raw, the first counts.
    seed
        Seed of the simulation.
    instrument
        Name of the instrument.
    exposures
        How many exposures are taken; `None` for no end.

    Notes
    -----
    What is random depends on seed, instrument, fault, exposure and detector: not on which other detectors are
    read out, which faults of other kinds there are, or what was asked before.
    """

    def __init__(
        self, faults: Iterable[Fault], *, seed: int, instrument: str, exposures: int | None = None
    ) -> None:
        self._faults = tuple(faults)
        self._seed = seed
        self._instrument = instrument
        self._exposures = exposures

    def fate(self, number: int, detectors: Sequence[int]) -> Fate:
        """Return what happens to an exposure.

        Parameters
        ----------
        number
            The exposure, counted from 1.
        detectors
            Numbers of the detectors that are read out, in the order in which they come if nothing is wrong.
        """
        missing = self._hit(Missing, Use.MISSING, number, detectors)
        come = [detector for detector in detectors if detector not in missing]
        late = self._hit(Late, Use.LATE, number, come)
        again = self._hit(Duplicate, Use.DUPLICATE, number, come)
        whole = self._whole(number, come)
        firsts = tuple(_sending(number, detector, late.get(detector), whole) for detector in whole.order)
        copies = tuple(_copy(first, again[first.detector]) for first in firsts if first.detector in again)
        injections = (
            *(Injection(kind, None, None) for kind in whole.faults),
            *(Injection("missing", detector, None) for detector in missing),
            *(Injection("late", detector, fault.seconds) for detector, fault in late.items()),
            *(Injection("duplicate", detector, fault.seconds) for detector, fault in again.items()),
        )
        return Fate(number, firsts + copies, tuple(missing), injections)

    def _of[F](self, kind: type[F]) -> Iterator[tuple[int, F]]:
        """Yield the faults of a kind, with a number that tells their random streams apart."""
        yield from enumerate(fault for fault in self._faults if isinstance(fault, kind))

    def _hit[F: (Missing, Late, Duplicate)](
        self, kind: type[F], use: Use, number: int, detectors: Sequence[int]
    ) -> dict[int, F]:
        """Return the detectors that faults of a kind hit, with the fault, in the order of the detectors."""
        hit: dict[int, F] = {}
        for stream, fault in self._of(kind):
            if fault.exposures is not None and number not in fault.exposures:
                continue
            named = [d for d in detectors if fault.detectors is None or d in fault.detectors]
            if fault.part is not None and named:
                drawn = self._draw(use, stream, number, named)
                named = [d for d in named if drawn[d] < fault.part]
            hit = dict.fromkeys(named, fault) | hit
        return {detector: hit[detector] for detector in detectors if detector in hit}

    def _whole(self, number: int, come: Sequence[int]) -> _Whole:
        """Return what happens to an exposure as a whole."""
        burst_end = next(
            (end for _, fault in self._of(Burst) if (end := fault.end_of(number)) is not None), None
        )
        order, overtaken_by, faults = tuple(come), 0, list[FaultKind]()
        if burst_end is not None:
            faults.append("burst")
        for stream, fault in self._of(OutOfOrder):
            if fault.exposures is None or number in fault.exposures:
                drawn = self._draw(Use.ORDER, stream, number, come)
                order = tuple(sorted(come, key=drawn.__getitem__))
                random = generator(Use.OVERTAKING, self._seed, self._instrument, stream, number)
                overtaken_by = int(random.integers(fault.depth + 1))
                faults.append("out-of-order")
                break
        after = max(number + overtaken_by, burst_end or number)
        if self._exposures is not None:
            after = min(after, self._exposures)
        return _Whole(order, after, overtaken_by > 0 and after > number, tuple(faults))

    def _draw(self, use: Use, stream: int, number: int, detectors: Sequence[int]) -> list[float]:
        """Return a random number from 0 to 1 for each detector, whichever others there are."""
        random = generator(use, self._seed, self._instrument, stream, number)
        drawn: list[float] = random.random(max(detectors, default=0) + 1).tolist()
        return drawn


def _sending(number: int, detector: int, late: Late | None, whole: _Whole) -> Sending:
    return Sending(
        number=number,
        detector=detector,
        seconds=0.0 if late is None else late.seconds,
        after=whole.after,
        delay=0.0,
        overtaken=whole.overtaken,
        fault=next(iter(whole.faults), "") if late is None else "late",
        copy="",
    )


def _copy(first: Sending, fault: Duplicate) -> Sending:
    return dataclasses.replace(first, delay=fault.seconds, fault="duplicate", copy=fault.name)
