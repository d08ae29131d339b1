"""A whole focal plane at once."""

from __future__ import annotations

__all__ = ("run",)

import contextlib
from collections import defaultdict
from collections.abc import Mapping

from ._model import Findings, Goal, Row, Series, SuiteSettings, Tell
from ._peers import SinglePipetaskPeer
from ._raws import science_detectors
from ._trial import DATABASES, Measured, Trial, open_trial

_LETTERS = "bce"
_REPETITIONS = 2
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
    repetitions = settings.repetitions or (1 if settings.quick else _REPETITIONS)
    found: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    notes: list[str] = []
    versions: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        trials: list[Trial] = []
        for database in settings.databases:
            tell(f"{DATABASES[database]}: making repositories, warming {len(_LETTERS)} peers.")
            folder = settings.work_dir / f"burst-{database}"
            trials.append(
                stack.enter_context(open_trial(folder, database, _LETTERS, settings.workers, detectors))
            )
            versions |= trials[-1].site.versions
        for trial in trials:
            for letter in "ce":
                trial.measure(letter, trial.camera.take(detectors[: 2 * settings.workers]))
        notes.append(_choose(trials, settings.workers, tell))
        for number in range(repetitions):
            for trial in trials:
                tell(f"{trial.where}: repetition {number + 1} of {repetitions}.")
                raws = trial.camera.take(detectors)
                # (b) varies little, and takes long.
                for letter in _LETTERS if number == 0 or settings.repetitions else "ce":
                    found[trial.where, letter].append(trial.measure(letter, raws))
        names = {letter: peer.name for letter, peer in trials[0].peers.items()}
        where = [trial.where for trial in trials]
    return Findings(
        rows=tuple(
            _row(names[letter], place, found[place, letter]) for place in where for letter in _LETTERS
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
            *notes,
            "The clock of (b) includes its start: it cannot begin before the raws are there.",
            "Raws are registered before the clock starts for (b) and (c); (e) registers them within it.",
        ),
        settings={
            "repetitions": str(repetitions),
            "workers": str(settings.workers),
            "detectors": str(len(detectors)),
        },
        versions=versions,
    )


def _choose(trials: list[Trial], workers: int, tell: Tell) -> str:
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


def _row(what: str, where: str, measured: list[Measured]) -> Row:
    columns: Mapping[str, Series] = {
        "all readable": _seconds(measured),
        "CPU": Series(unit="s", values=tuple(one.cpu_seconds for one in measured)),
    }
    return Row(what=what, where=where, columns=columns)


def _seconds(measured: list[Measured]) -> Series:
    return Series(unit="s", values=tuple(one.seconds for one in measured))
