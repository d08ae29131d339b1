"""The table of the Earth's orientation, which the translation of headers may need."""

from __future__ import annotations

__all__ = ("look_at_earth_orientation",)

import time
from collections.abc import Iterator

from astropy.utils import iers

from .._earth_orientation import find_table
from ._finding import Finding, fine, warning
from ._place import Place


def look_at_earth_orientation(place: Place) -> Iterator[Finding]:  # noqa: ARG001 -- it is the same everywhere
    """Look how old the table is; nothing is downloaded, as no run does."""
    told = find_table().fault(time.time(), iers.conf.auto_max_age)
    if not told:
        yield fine("the table of the Earth's orientation is recent; no network is needed")
        return
    found, _, todo = told.partition("; ")
    yield warning(f"{found}; raws are taken all the same", todo)
