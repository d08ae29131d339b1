"""What the ledger says was refused."""

from __future__ import annotations

__all__ = ("Refusals", "read_ledgers")

import contextlib
import dataclasses
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..model import InputError
from ._sent import RawKey, place_of

_REGISTERED = re.compile(r"(\S+) exposure (\d+) detector\(s\) ([\d, ]+)")
"""What stands for a path where raws were refused that somebody else had registered."""


@dataclasses.dataclass(frozen=True, slots=True)
class Refusals:
    """What was refused.

    Attributes
    ----------
    files
        The last reason of each file, and when, UNIX seconds; by its place.
    raws
        The reason of each registered raw that was refused.
    unknown
        How many lines say something else.
    """

    files: dict[str, tuple[str, float]] = dataclasses.field(default_factory=dict)
    raws: dict[RawKey, str] = dataclasses.field(default_factory=dict)
    unknown: list[str] = dataclasses.field(default_factory=list)


def read_ledgers(ledgers: Iterable[Path]) -> Refusals:
    """Return what ledgers say was refused.

    A ledger that is not there yet has no lines: nothing was refused.  Of a line that a dead process left
    half-written nothing is read.  A file that is refused again at each start counts once.

    Raises
    ------
    lsst.ctrl.rapid.model.InputError
        If a ledger cannot be read.
    """
    found = Refusals()
    for ledger in ledgers:
        try:
            text = ledger.read_text(encoding="utf-8", errors="replace") if ledger.exists() else ""
        except OSError as err:
            raise InputError(f"{ledger}: the ledger cannot be read: {err.strerror}.") from None
        for line in text.splitlines():
            _take(found, line)
    return found


def _take(found: Refusals, line: str) -> None:
    said: Any = None
    with contextlib.suppress(ValueError):
        said = json.loads(line)
    match said:
        case {"path": str(path), "reason": str(reason), "time": int() | float() as time}:
            # Other keys are for other readers.
            if (raws := _REGISTERED.fullmatch(path)) is not None and not os.path.isabs(path):  # noqa: PTH117 -- text
                for detector in raws[3].split(","):
                    found.raws[raws[1], int(raws[2]), int(detector)] = reason
            else:
                found.files[place_of(path)] = reason, float(time)
        case {"removed": str()}:
            pass
        case _:
            found.unknown.append(line)
