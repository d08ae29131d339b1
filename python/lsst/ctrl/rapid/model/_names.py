"""Names that become part of collections, and so of folders."""

from __future__ import annotations

__all__ = ("Expression", "OutputName", "Seconds", "check_output", "is_plain_name")

import re
from typing import Annotated

import pydantic

from ._input_error import InputError

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@:=-]*")
_LONGEST = 64
"""Letters of a collection's name in a registry."""
_YEAR = 366 * 86_400.0

type Seconds = Annotated[float, pydantic.Field(gt=0, le=_YEAR)]
"""A time that somebody is willing to wait."""

type Expression = Annotated[str, pydantic.Field(max_length=2000)]
"""A butler expression."""


def is_plain_name(name: str) -> bool:
    """Tell whether a name can be a part of a collection's: no folder, no blank, no sign that means more."""
    return _PART.fullmatch(name) is not None


def check_output(name: str) -> str:
    """Return the name of an output chain as it is.

    Raises
    ------
    InputError
        If it has what the name of a collection, and of the folders below it, may not have.
    """
    if len(name) > _LONGEST:
        raise InputError(f"the name of an output has at most {_LONGEST} letters, not {len(name)}.")
    if not all(map(is_plain_name, name.split("/"))):
        raise InputError(
            f"{name!r} cannot be the name of an output: that has letters, digits and _.+-@:= in parts that "
            "are separated by '/' and begin with a letter, a digit or '_', like u/me/try1."
        )
    return name


type OutputName = Annotated[str, pydantic.AfterValidator(check_output)]
"""Name of an output chain."""
