"""Bad input, told to the person who wrote it."""

from __future__ import annotations

__all__ = ("InputError",)

_LONGEST = 2000


class InputError(ValueError):
    """Bad input from a person or a file; the message is all that they need to mend it.

    Parameters
    ----------
    message
        What is wrong.  It becomes one line, whatever of the input it repeats: what cannot be printed is
        escaped, and what is too long is cut.
    """

    def __init__(self, message: str) -> None:
        told = " ".join(message.split())
        if len(told) > _LONGEST:
            told = f"{told[:_LONGEST]}…"
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in told))
