"""A whole focal plane at once."""

from __future__ import annotations

__all__ = ("compare", "run")

from collections import defaultdict
from collections.abc import Mapping, Sequence

from ._floor import tiny_floor
from ._model import Findings, Goal, Row, Series, SuiteSettings, Tell
from ._peers import SinglePipetaskPeer
from ._raws import science_detectors
from ._trial import Measured, Trial, open_trials

_LETTERS = "bce"
_REPETITIONS = 2
"""In one database; in two, half as many."""

_SAMPLE = 2
"""Detectors on which ``-j`` of (b) is chosen: with more processes each quantum costs a process."""


def run(settings: SuiteSettings, tell: Tell) -> Findings:
    """Measure peers (b), (c) and (e): 189 detectors, 2 quanta each.

    Parameters
    ----------
    settings
        What was asked for.
    tell
        Takes a line on each thing that is done.
    """
    detectors = science_detectors()[:4] if settings.quick else science_detectors()
    repetitions = settings.repetitions or (
        1 if settings.quick else max(1, _REPETITIONS // len(settings.databases))
    )
    with open_trials(settings, "burst", _LETTERS, settings.workers, detectors, tell) as trials:
        return compare(trials, detectors, repetitions, settings.workers, tell)


def compare(
    trials: Sequence[Trial], detectors: Sequence[int], repetitions: int, workers: int, tell: Tell
) -> Findings:
    """Measure peers that are warm.

    Parameters
    ----------
    trials
        One for each database.
    detectors
        Those of an exposure.
    repetitions
        Of (c) and (e); (b), which takes long and varies little, is measured twice at most.
    workers
        Processes of each peer.
    tell
        Takes a line on each thing that is done.
    """
    found: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    for trial in trials:
        trial.warm("c", detectors[: 2 * workers])
        # Its workers keep the calibrations of all detectors.
        trial.warm("e", detectors)
    chosen = _choose(trials, workers, tell)
    for number in range(repetitions):
        for trial in trials:
            tell(f"{trial.where}: repetition {number + 1} of {repetitions}.")
            raws = trial.camera.take(detectors)
            for letter in _LETTERS if number % 2 == 0 and number < 3 else "ce":
                found[trial.where, letter].append(trial.measure(letter, raws))
    floor = tiny_floor(trials[0].camera.take(detectors[:1])[0])
    names = {letter: peer.name for letter, peer in trials[0].peers.items()}
    where = [trial.where for trial in trials]
    return Findings(
        rows=tuple(
            _row(names[letter], place, found[place, letter], floor) for place in where for letter in _LETTERS
        ),
        goals=tuple(
            Goal(
                name=f"times faster than ({letter}), {place}",
                bound="least",
                target=target,
                value=_seconds(found[place, letter]).median / _seconds(found[place, "e"]).median,
                unit="x",
            )
            for place in where
            for letter, target in (("c", 8), ("b", 5))
        ),
        notes=(
            chosen,
            "The clock of (b) includes its start: it cannot begin before the raws are there.",
            "Raws are registered before the clock starts for (b) and (c); (e) registers them within it.",
            "Floor: reading the raws, one multiplication a pixel, writing 10 kB each, without any framework.",
        ),
        settings={
            "repetitions": str(repetitions),
            "workers": str(workers),
            "detectors": str(len(detectors)),
        },
        versions={name: version for trial in trials for name, version in trial.site.versions.items()},
    )


def _choose(trials: Sequence[Trial], workers: int, tell: Tell) -> str:
    """Choose the number of processes of (b) on a sample, for all databases."""
    if workers == 1:
        return "(b) runs with -j 1, as there is one worker."
    tell(f"(b): -j 1 or -j {workers}, on a sample.")
    singles = [peer for trial in trials if isinstance(peer := trial.peers["b"], SinglePipetaskPeer)]
    detectors = science_detectors()[:_SAMPLE]
    seconds = singles[0].choose(trials[0].camera.take(detectors), trials[0].camera.take(detectors), workers)
    for single in singles:
        single.processes = singles[0].processes
    told = ", ".join(f"-j {count}: {value:.1f} s" for count, value in seconds.items())
    return f"(b) on a sample of {_SAMPLE} detectors: {told}; the better is measured."


def _row(what: str, where: str, measured: Sequence[Measured], floor: float) -> Row:
    cpu = tuple(one.cpu_seconds for one in measured)
    floors = [1e-3 * floor * one.detectors for one in measured]
    columns: Mapping[str, Series] = {
        "all readable": _seconds(measured),
        "CPU": Series(unit="s", values=cpu),
        "CPU, of the floor": Series(unit="x", values=tuple(a / b for a, b in zip(cpu, floors, strict=True))),
    }
    return Row(what=what, where=where, columns=columns)


def _seconds(measured: Sequence[Measured]) -> Series:
    return Series(unit="s", values=tuple(one.seconds for one in measured))
