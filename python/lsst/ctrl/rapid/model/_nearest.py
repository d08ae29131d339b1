"""What somebody may have meant who wrote a name that there is not."""

from __future__ import annotations

__all__ = ("did_you_mean",)

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that names what is nearest.

    Parameters
    ----------
    name
        What was written.
    known
        What could have been.

    Returns
    -------
    end
        Like ``; did you mean 'gather_timeout'?``, or nothing where nothing is known.
    """
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)
    return f"; did you mean {near[0]!r}?" if near else ""
