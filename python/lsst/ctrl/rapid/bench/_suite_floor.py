"""What nothing can beat here, for a raw of full size and for a tiny one."""

from __future__ import annotations

__all__ = ("run",)

from ._floor import Floor, FloorMeter, measure_floor
from ._full_raws import take_raws
from ._model import Findings, Row, Series, SuiteSettings, Tell
from ._raws import INSTRUMENT, TinyCamera

_DETECTOR = 94
_REPETITIONS = 15
_QUICK_SCALE = 1 / 16


def run(settings: SuiteSettings, tell: Tell) -> Findings:
    """Measure the floor of both.

    Parameters
    ----------
    settings
        What was asked for.
    tell
        Takes a line on each thing that is done.
    """
    repetitions = settings.repetitions or (2 if settings.quick else _REPETITIONS)
    folder = settings.work_dir / "floor"
    folder.mkdir()
    tell("Taking the raws.")
    [[full]] = take_raws(folder / "full", [_DETECTOR], 1, _QUICK_SCALE if settings.quick else 1.0)
    [tiny] = TinyCamera(folder / "tiny").take([_DETECTOR])
    rows: list[Row] = []
    for where, raw in (("full raw", full), ("tiny raw", tiny)):
        tell(f"{where}, {raw.path.stat().st_size / 1e6:.1f} MB: {repetitions} repetitions.")
        meter = FloorMeter(
            raw.path, instrument=INSTRUMENT, detector=_DETECTOR, output_bytes=None, folder=folder
        )
        floor, clock = measure_floor(meter, repetitions)
        rows += [*clock.rows(where), *_sums(where, floor)]
    return Findings(
        rows=tuple(rows),
        notes=(
            "Files are in the system's memory, as a raw that was just written is; one thread does all.",
            "Copy and arithmetic (one multiplication into float32) go into new memory.",
            "As many bytes are written as the reduced image has in its file, without waiting for the disk.",
            "The floor of a shard is the fastest reader, the least arithmetic and the writing.",
        ),
        settings={"repetitions": str(repetitions), "detector": str(_DETECTOR)},
    )


def _sums(where: str, floor: Floor) -> list[Row]:
    return [
        Row(what=what, where=where, columns={"CPU": Series(unit="ms", values=(value,))})
        for what, value in (
            ("floor: read with fitsio, copy", floor.fitsio_and_copy),
            ("floor: read with the fastest, copy", floor.read_and_copy),
            ("floor of a shard", floor.shard),
        )
    ]
