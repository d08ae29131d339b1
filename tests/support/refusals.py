"""What a refusal must be, whatever was refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lsst.ctrl.rapid.instruments import RefusedError
from lsst.ctrl.rapid.model import InputError

LONGEST = 2001


@contextlib.contextmanager
def taken_or_refused() -> Iterator[None]:
    """Let bad input be refused here, with one line that can be shown to anybody, and with nothing else."""
    try:
        yield
    except (InputError, RefusedError) as err:
        told = str(err)
    else:
        return
    if not told.isprintable() or len(told) > LONGEST:
        raise AssertionError(f"not a line for a person: {told!r}")
