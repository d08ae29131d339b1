"""What nothing can beat on this machine: reading, copying, calculating and writing, and no more."""

from __future__ import annotations

__all__ = ("Clock", "Floor", "FloorMeter", "measure_floor", "tiny_floor")

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fitsio
import numpy as np

from ..instruments import RawImage, read_raw
from ._model import Row, Series
from ._raws import INSTRUMENT, TinyRaw

type Array = np.ndarray[Any, np.dtype[Any]]

FITSIO, OURS = "read: fitsio", "read: this package"
COPY, CALCULATE, WRITE = "copy", "least arithmetic", "write"
_LARGEST = 1 << 24
_TINY_BYTES = 10_000
_TINY_REPETITIONS = 20


class Clock:
    """Times what is done, by the clock and by the CPU time of this process; keeps all repetitions."""

    def __init__(self) -> None:
        self._wall: defaultdict[str, list[float]] = defaultdict(list)
        self._cpu: defaultdict[str, list[float]] = defaultdict(list)

    def time[T](self, what: str, action: Callable[[], T]) -> T:
        """Do something, and keep how long it took."""
        cpu, wall = time.process_time(), time.perf_counter()
        result = action()
        self._wall[what].append(time.perf_counter() - wall)
        self._cpu[what].append(time.process_time() - cpu)
        return result

    def forget(self) -> None:
        """Forget all repetitions until now: a first one finds memory and files cold."""
        self._wall.clear()
        self._cpu.clear()

    def wall(self, what: str) -> Series:
        """Return the times of something, ms."""
        return _milliseconds(self._wall[what])

    def cpu(self, what: str) -> Series:
        """Return the CPU times of something, ms."""
        return _milliseconds(self._cpu[what])

    def rows(self, where: str) -> list[Row]:
        """Return a row for each thing that was done, in the order in which it was first done."""
        return [
            Row(what=what, where=where, columns={"time": self.wall(what), "CPU": self.cpu(what)})
            for what in self._wall
        ]


class Floor:
    """The floor of one raw's work, each part the median of its repetitions, CPU ms.

    Parameters
    ----------
    clock
        Has timed the parts.

    Notes
    -----
    All is done by one thread on files that the system holds in memory, so that on an idle machine CPU time
    and time are the same; on a busy one only CPU time means something.
    """

    def __init__(self, clock: Clock) -> None:
        self._medians: Mapping[str, float] = {
            what: clock.cpu(what).median for what in (FITSIO, OURS, COPY, CALCULATE, WRITE)
        }

    @property
    def read(self) -> float:
        """Reading the pixels with the fastest reader."""
        return min(self._medians[FITSIO], self._medians[OURS])

    @property
    def read_and_copy(self) -> float:
        """Reading with the fastest reader, and copying."""
        return self.read + self._medians[COPY]

    @property
    def fitsio_and_copy(self) -> float:
        """Reading with fitsio, and copying."""
        return self._medians[FITSIO] + self._medians[COPY]

    @property
    def shard(self) -> float:
        """Reading with the fastest reader, the least arithmetic, and writing the outputs."""
        return self.shard_with(self._medians[CALCULATE])

    def shard_with(self, arithmetic: float) -> float:
        """Return the floor of a shard whose tasks calculate for so long, ms."""
        return self.read + arithmetic + self._medians[WRITE]


class FloorMeter:
    """Measures the parts of the floor for one raw.

    Parameters
    ----------
    raw
        The file, uncompressed.
    instrument, detector
        Whose it is.
    output_bytes
        How much is written; `None` for what the reduced image takes in a file: 4 bytes a pixel for image,
        variance and mask each.
    folder
        Where it is written.
    """

    def __init__(
        self, raw: Path, *, instrument: str, detector: int, output_bytes: int | None, folder: Path
    ) -> None:
        self._raw = raw
        self._instrument, self._detector = instrument, detector
        first = self._read()
        self._segments = [segment.array for segment in first.segments]
        self._indices = [index for index, shape in enumerate(_shapes(raw)) if len(shape) == 2]
        self._output = np.ones(output_bytes or 12 * first.bbox.area, dtype=np.uint8)
        self._target = folder / "floor.bin"

    def repeat(self, clock: Clock) -> None:
        """Do each part once."""
        pixels = clock.time(FITSIO, self._read_with_fitsio)
        clock.time(OURS, self._read)
        clock.time(COPY, lambda: _copy(pixels))
        clock.time(CALCULATE, lambda: _calculate(self._segments))
        clock.time(WRITE, self._write)
        self._target.unlink()

    def _read(self) -> RawImage:
        return read_raw(self._raw, instrument=self._instrument, detector=self._detector)

    def _read_with_fitsio(self) -> list[Array]:
        with fitsio.FITS(str(self._raw)) as file:
            return [file[index].read() for index in self._indices]

    def _write(self) -> None:
        with self._target.open("wb", buffering=0) as file:
            view = memoryview(self._output)
            while view:
                view = view[file.write(view[:_LARGEST]) :]


def measure_floor(meter: FloorMeter, repetitions: int) -> tuple[Floor, Clock]:
    """Measure the floor of one raw alone.

    Parameters
    ----------
    meter
        Knows the raw.
    repetitions
        How often, after a first time that does not count.
    """
    clock = Clock()
    meter.repeat(clock)
    clock.forget()
    for _ in range(repetitions):
        meter.repeat(clock)
    return Floor(clock), clock


def tiny_floor(raw: TinyRaw) -> float:
    """Return the floor of a tiny raw's shard, CPU ms; its products are a few kilobytes.

    Parameters
    ----------
    raw
        The raw; files are written beside it.
    """
    meter = FloorMeter(
        raw.path,
        instrument=INSTRUMENT,
        detector=raw.detector,
        output_bytes=_TINY_BYTES,
        folder=raw.path.parent,
    )
    floor, _ = measure_floor(meter, _TINY_REPETITIONS)
    return floor.shard


def _shapes(raw: Path) -> list[tuple[int, ...]]:
    with fitsio.FITS(str(raw)) as file:
        return [tuple(hdu.get_dims()) if hdu.get_exttype() == "IMAGE_HDU" else () for hdu in file]


def _copy(segments: list[Array]) -> list[Array]:
    """Copy pixels into one new piece of memory, which is quicker than into many."""
    copies = _empty(segments, np.int32)
    for copy, segment in zip(copies, segments, strict=True):
        copy[...] = segment
    return copies


def _calculate(segments: list[Array]) -> list[Array]:
    """Multiply each pixel by a number, into new memory: no reduction does with less."""
    results = _empty(segments, np.float32)
    for result, segment in zip(results, segments, strict=True):
        np.multiply(segment, np.float32(1.5), out=result, dtype=np.float32)
    return results


def _empty(segments: list[Array], dtype: type) -> list[Array]:
    sizes = [segment.size for segment in segments]
    pieces: list[Array] = np.split(np.empty(sum(sizes), dtype), np.cumsum(sizes)[:-1])
    return [piece.reshape(segment.shape) for piece, segment in zip(pieces, segments, strict=True)]


def _milliseconds(seconds: list[float]) -> Series:
    return Series(unit="ms", values=tuple(1e3 * value for value in seconds))
