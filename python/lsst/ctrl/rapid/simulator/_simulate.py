"""The camera at work: exposure after exposure, each a burst of files when the shutter closes."""

from __future__ import annotations

__all__ = ("SentExposure", "SentRaw", "simulate")

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from lsst.ctrl.rapid.instruments import load_camera

from ._config import SimulationConfig
from ._files import StagedRaw, encode_segments
from ._geometry import layout_of
from ._header import card_text, exposure_cards, file_name, primary_header
from ._render import DetectorTruth, render_detector
from ._sequence import ExposurePlan, ImageType, day_obs_of, image_types
from ._truth import write_truth

_OVERHEAD = 2.0
"""Seconds between exposures in the headers of a simulation that has a start but no cadence."""


@dataclasses.dataclass(frozen=True, slots=True)
class SentRaw:
    """One raw that is complete in its folder.

    Attributes
    ----------
    path
        Where it is.
    instrument, exposure, detector
        Its data ID.
    obs_id
        Name of the exposure.
    observation_type
        Kind of the exposure.
    shutter_closed
        End of the exposure as its header has it, UNIX seconds.
    file_closed
        When the file got its name, UNIX seconds.
    """

    path: Path
    instrument: str
    exposure: int
    detector: int
    obs_id: str
    observation_type: str
    shutter_closed: float
    file_closed: float


@dataclasses.dataclass(frozen=True, slots=True)
class SentExposure:
    """One exposure, all of whose raws are complete.

    Attributes
    ----------
    plan
        What was taken.
    raws
        Its files.
    """

    plan: ExposurePlan
    raws: tuple[SentRaw, ...]


def simulate(
    config: SimulationConfig, folder: Path, *, on_exposure: Callable[[SentExposure], None] | None = None
) -> Iterator[SentRaw]:
    """Take exposures and write their raws.

    The pixels of an exposure are written under hidden names before its shutter closes; then its files get
    their times and, in the order of the detectors, their names:
    ``{day_obs}/{OBSID}/{OBSID}_{RAFT}_{SLOT}.fits``.  So a file with a name is whole.  After each a line is
    added to ``manifest.jsonl`` (the fields of `SentRaw`), and after the last of an exposure its truth is
    written to ``truth/`` (see `write_truth`).

    Nothing happens but while the iterator is advanced.  If it is closed or interrupted, the exposure at hand
    stays with the files that it has, with their truth, and no hidden files remain.

    Parameters
    ----------
    config
        What to take.  With the same ``seed`` and ``start``, raws are the same to the byte.
    folder
        Where to; it is created.
    on_exposure
        Called after each exposure.

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
    shutter = _Shutter(config)
    seq_num = config.first_seq_num
    for kind in image_types(config.sequence, config.exposures):
        begins = shutter.expected(config.time_of(kind)) - config.time_of(kind)
        day_obs = day_obs_of(begins)
        if seq_num is None:
            seq_num = _next_seq_num(folder / str(day_obs))
        if seq_num >= 100_000:
            raise ValueError(f"day_obs {day_obs} has no seq_num left: simulate into another folder.")
        exposure = ExposurePlan(
            instrument=config.instrument,
            type=kind,
            day_obs=day_obs,
            seq_num=seq_num,
            exposure_time=config.time_of(kind),
            physical_filter=config.physical_filter,
            flat_level=config.flat_level if kind is ImageType.FLAT else 0.0,
        )
        raws: list[SentRaw] = []
        # Closed here and now, not when it is collected: an interruption leaves no hidden files.
        with contextlib.closing(_take(config, folder, exposure, shutter)) as burst:
            for raw in burst:
                raws.append(raw)
                yield raw
        if on_exposure is not None:
            on_exposure(SentExposure(exposure, tuple(raws)))
        seq_num += 1


class _Shutter:
    """When the shutter closes: in real time at a cadence, or, from a fixed start, by the headers alone.

    A cadence is kept in real time even where the headers' times are not those of the clock.
    """

    def __init__(self, config: SimulationConfig) -> None:
        self._cadence = config.cadence
        self._first = config.first_close
        self._last: float | None = None
        self._due = 0.0

    def expected(self, exposure_time: float) -> float:
        """Return when the next shutter close will be, as far as one can know, UNIX seconds."""
        if self._first is None:
            return max(time.time(), self._due)
        if self._last is None:
            return self._first
        return self._last + (self._cadence or _OVERHEAD + exposure_time)

    def close(self, exposure_time: float) -> float:
        """Wait until the shutter is due, and return what the header says of when it closed, UNIX seconds."""
        wait = self._due - time.time()
        if wait > 0:
            time.sleep(wait)
        # An exposure that took too long to make delays the next ones: two shutters never close in a rush.
        self._due = time.time() + self._cadence
        self._last = time.time() if self._first is None else self.expected(exposure_time)
        return self._last


def _take(
    config: SimulationConfig, folder: Path, exposure: ExposurePlan, shutter: _Shutter
) -> Generator[SentRaw]:
    camera = load_camera(config.instrument)
    place = folder / str(exposure.day_obs) / exposure.obs_id
    place.mkdir(parents=True, exist_ok=True)
    truths: list[DetectorTruth] = []
    sent: list[DetectorTruth] = []
    with contextlib.ExitStack() as stack:
        stack.callback(_write_truth, folder / "truth", exposure, sent)
        stack.callback(_remove_if_empty, place)
        staged: list[StagedRaw] = []
        expected = shutter.expected(exposure.exposure_time)
        cards = card_text(exposure_cards(exposure, expected, seed=config.seed))
        for number in config.detector_numbers:
            raw = StagedRaw.at(place / file_name(exposure, camera[number]), number)
            stack.callback(raw.discard)
            rendered = render_detector(exposure, number, scale=config.scale, seed=config.seed)
            header = primary_header(cards, exposure, camera[number], rendered.layout)
            raw.write(header, encode_segments(rendered, compress=config.compress))
            staged.append(raw)
            truths.append(rendered.truth)
        closed = shutter.close(exposure.exposure_time)
        cards = card_text(exposure_cards(exposure, closed, seed=config.seed))
        for raw, truth in zip(staged, truths, strict=True):
            layout = layout_of(camera[raw.detector], config.scale)
            raw.close(primary_header(cards, exposure, camera[raw.detector], layout))
            sent.append(truth)
            yield _record(folder, exposure, raw, closed)


def _record(folder: Path, exposure: ExposurePlan, raw: StagedRaw, closed: float) -> SentRaw:
    record = SentRaw(
        path=raw.path.absolute(),
        instrument=exposure.instrument,
        exposure=exposure.id,
        detector=raw.detector,
        obs_id=exposure.obs_id,
        observation_type=exposure.type.value,
        shutter_closed=closed,
        file_closed=time.time(),
    )
    line = json.dumps(dataclasses.asdict(record) | {"path": str(record.path)})
    with (folder / "manifest.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
    return record


def _write_truth(folder: Path, exposure: ExposurePlan, sent: list[DetectorTruth]) -> None:
    if sent:
        write_truth(folder, exposure, sent)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _next_seq_num(day: Path) -> int:
    taken = (path.name.rpartition("_")[2] for path in day.glob("*_*_*_*"))
    return max((int(number) for number in taken if number.isdecimal()), default=0) + 1
