"""What is found, and the promise of who looks."""

from __future__ import annotations

__all__ = ("Check", "Finding", "Level", "diagnose", "fault", "fine", "short", "warning")

import dataclasses
import enum
import itertools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from ..model import InputError
from ._place import NotLookedAtError, Place

_MOST_RANGES = 12


class Level(enum.StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    level
        How bad it is.
    found
        What was found, a sentence without its full stop.
    todo
        What to do about it; empty where nothing is to be done.
    check
        Name of the check that found it.
    """

    level: Level
    found: str
    todo: str = ""
    check: str = ""

    def __str__(self) -> str:
        return f"{self.level:<5} {self.check}: {self.found}" + (f"; {self.todo}" if self.todo else "")


def fine(found: str) -> Finding:
    """Return that something is as it must be."""
    return Finding(Level.OK, found)


def warning(found: str, todo: str = "") -> Finding:
    """Return that a run will begin, and something may go wrong."""
    return Finding(Level.WARN, found, todo)


def fault(found: str, todo: str = "") -> Finding:
    """Return that a run could not do its work."""
    return Finding(Level.FAIL, found, todo)


@dataclasses.dataclass(frozen=True)
class Check:
    """Looks at one thing.

    Attributes
    ----------
    name
        What is looked at, in a word or two.
    look
        Looks, changes nothing that stays, and yields what it finds.  `InputError` is a fault with its
        message; any other exception is one, too, and never keeps other checks from looking.
    seconds
        How long it may take.
    """

    name: str
    look: Callable[[Place], Iterable[Finding]]
    seconds: float = 20.0


def diagnose(place: Place, checks: Sequence[Check]) -> Iterator[Finding]:
    """Look at one thing after another.

    Parameters
    ----------
    place
        What is looked at.
    checks
        Who looks; each in a thread of its own, which is left behind when its time is over.

    Yields
    ------
    finding : `Finding`
        As it is found, each with the name of its check; at least one of each check.
    """
    for check in checks:
        has_found = False
        for finding in _look(check, place):
            has_found = True
            yield dataclasses.replace(finding, check=check.name)
        if not has_found:
            yield dataclasses.replace(fine("there is nothing of the kind in this run"), check=check.name)


def _look(check: Check, place: Place) -> Iterator[Finding]:
    told: queue.Queue[Finding | None] = queue.Queue()

    def look() -> None:
        try:
            for finding in check.look(place):
                told.put(finding)
        except NotLookedAtError as err:
            told.put(warning(f"not looked at, since {err}"))
        except InputError as err:
            told.put(fault(str(err).rstrip(".")))
        except Exception as err:  # noqa: BLE001 -- a fault in one check must not stop the others
            told.put(fault(f"{type(err).__name__}: {' '.join(str(err).split())}"))
        told.put(None)

    threading.Thread(target=look, name=f"doctor {check.name}", daemon=True).start()
    while True:
        try:
            finding = told.get(timeout=check.seconds)
        except queue.Empty:
            yield fault(f"there was no answer within {check.seconds:g} s", "see what it waits for")
            return
        if finding is None:
            return
        yield finding


def short(numbers: Iterable[int]) -> str:
    """Return numbers as people write them: ``3, 17-20``."""
    runs: list[str] = []
    for _, group in itertools.groupby(enumerate(sorted(set(numbers))), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        runs.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    more = len(runs) - _MOST_RANGES
    return ", ".join(runs[:_MOST_RANGES]) + (f" and {more} ranges more" if more > 0 else "")
