"""Clocks: this machine's against the database's, the disk's and the world's."""

from __future__ import annotations

__all__ = ("look_at_clock",)

import ctypes
import datetime
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy
from astropy.utils import iers

from lsst.daf.butler import ButlerConfig
from lsst.daf.butler.registry import RegistryConfig
from lsst.daf.butler.registry.connectionString import ConnectionStringFactory

from ..model import InputError
from ._finding import Finding, fault, fine, warning
from ._place import Place

_MOST_SKEW = 1.0
"""Seconds by which clocks may differ before latencies say nothing any more."""

_CONNECT_SECONDS = 5
_SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")
_STA_UNSYNC = 0x0040
_STATUS_AT = 10
"""Where the status is in ``struct timex``, in integers of 4 bytes, after four fields of 8 and its padding."""

_TODO = "have the machines' clocks set by NTP (chrony or systemd-timesyncd)"


def look_at_clock(place: Place) -> Iterator[Finding]:
    """Compare this machine's clock with others, and see whether leap seconds are known without a network."""
    yield from _look_at_files(place)
    match is_synchronized():
        case True:
            yield fine("this machine's clock is synchronized")
        case False:
            yield warning("this machine's clock is not synchronized", _TODO)
        case None:
            yield fine("whether this machine's clock is synchronized is not told here")
    yield _look_at_leap_seconds()
    yield from _look_at_database(place)


def is_synchronized() -> bool | None:
    """Tell whether something sets this machine's clock; `None` where the system does not tell."""
    if _SYNCHRONIZED.exists():
        return True
    if sys.platform != "linux":
        return None
    timex = (ctypes.c_int * 64)()  # ``struct timex``, which asks for nothing to be set when it is empty
    state: int = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    return None if state < 0 else not timex[_STATUS_AT] & _STA_UNSYNC


def _look_at_database(place: Place) -> Iterator[Finding]:
    place.butler()
    url = ConnectionStringFactory.fromConfig(RegistryConfig(ButlerConfig(place.settings.repository)))
    if url.get_backend_name() != "postgresql":
        return
    engine = sqlalchemy.create_engine(url, connect_args={"connect_timeout": _CONNECT_SECONDS})
    try:
        with engine.connect() as connection:
            before = time.time()
            there = connection.execute(sqlalchemy.text("SELECT clock_timestamp()")).scalar_one()
            after = time.time()
    finally:
        engine.dispose()
    yield _compared("the database server's clock", there.timestamp(), before, after)


def _look_at_files(place: Place) -> Iterator[Finding]:
    folder = place.settings.work_dir.absolute()
    if not folder.is_dir():
        return
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".rapid-exec-doctor-") as file:
            before = time.time()
            file.write(b"x")
            file.flush()
            there = Path(file.name).stat().st_mtime
            after = time.time()
    except OSError as err:
        raise InputError(f"the time of a file cannot be had: {folder}: {err.strerror}") from None
    yield _compared(f"the clock of the file system of {folder}", there, before, after)


def _compared(whose: str, there: float, before: float, after: float) -> Finding:
    """Return how far another clock is from a moment between two of ours."""
    skew = max(before - there, there - after, 0.0) * (-1 if there < before else 1)
    if abs(skew) > _MOST_SKEW:
        return warning(f"{whose} differs by {skew:+.1f} s", _TODO)
    return fine(f"{whose} differs by less than {_MOST_SKEW:g} s")


def _look_at_leap_seconds() -> Finding:
    table = iers.LeapSeconds.open(iers.IERS_LEAP_SECOND_FILE)
    expires = table.expires.utc.to_datetime(timezone=datetime.UTC).date()
    told = f"the table of leap seconds holds until {expires}"
    if expires < datetime.datetime.now(datetime.UTC).date():
        return fault(told, "pip install --upgrade astropy-iers-data")
    return fine(f"{told}; no network is needed")
