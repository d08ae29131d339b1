"""Which detectors are processed, and what comes first when not all can be: for files and for live control."""

from __future__ import annotations

__all__ = ("DownSelection", "Guaranteed", "Mode", "PatternSpec", "Policy", "Vary")

import enum
from typing import Any, Self

import pydantic

from ._base import InputModel, parse
from ._input_error import InputError
from ._names import Expression

_MOST_NAMES = 400
_LONGEST_NAME = 64


class Mode(enum.StrEnum):
    """What workers do with what waits of older exposures."""

    WAITING = "waiting"
    """Nothing: they are idle between exposures, so that each new one finds them free."""
    CONSUMING = "consuming"
    """They work it off, newest first; what runs is not interrupted."""
    PREEMPTIVE = "preemptive"
    """They work it off, and stop between two quanta as soon as a new exposure needs them."""


class Vary(enum.StrEnum):
    """How a pattern changes from exposure to exposure: its phases, where it has two."""

    FIXED = "fixed"
    ALTERNATING = "alternating"
    """The other phase with every exposure."""
    ALTERNATING_BY_TWOS = "alternating-by-twos"
    """The other phase with every second exposure."""


class PatternSpec(InputModel):
    """Detectors by names; in YAML also a single name, or a list of what is included.

    A name is that of a pattern (``raft_checkerboard``), a raft (``R22``), a detector (``R22_S11``), a vendor
    (``E2V``), or a number or range of numbers (``94``, ``90..98``).
    """

    include: tuple[str, ...] = pydantic.Field(default=("all",), min_length=1)
    exclude: tuple[str, ...] = ()
    vary: Vary = Vary.FIXED

    @classmethod
    def from_text(cls, text: str, vary: Vary = Vary.FIXED) -> Self:
        """Read names that are separated by commas; those after a minus are excluded: ``E2V,R00,-R22``.

        If all are excluded, what is left of ``all`` is included.

        Raises
        ------
        InputError
            If there is no name where one should be.
        """
        include: list[str] = []
        exclude: list[str] = []
        for part in text.split(","):
            name = part.strip()
            (exclude if name.startswith("-") else include).append(name.removeprefix("-").strip())
        if "" in include or "" in exclude:
            raise InputError(f"{text!r}: a name is missing; a pattern is like raft_checkerboard or E2V,-R22.")
        spec = {"include": include or ["all"], "exclude": exclude, "vary": vary}
        return parse(cls, spec, "the pattern")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _spell_out(cls, value: Any) -> Any:
        match value:
            case str() | int() | list() | tuple():
                return {"include": _names(value)}
            case dict():
                lists = {key: _names(value[key]) for key in ("include", "exclude") if key in value}
                return value | lists
            case _:
                return value

    @pydantic.model_validator(mode="after")
    def _check_size(self) -> Self:
        names = (*self.include, *self.exclude)
        if len(names) > _MOST_NAMES or any(len(name) > _LONGEST_NAME for name in names):
            raise ValueError(
                f"has more than {_MOST_NAMES} names, or one of more than {_LONGEST_NAME} letters"
            )
        return self

    def __str__(self) -> str:
        told = ", ".join(self.include)
        if self.exclude:
            told += f" without {', '.join(self.exclude)}"
        return told if self.vary is Vary.FIXED else f"{told} ({self.vary})"


class Guaranteed(InputModel):
    """Exposures that are always processed whole."""

    exposures: tuple[int, ...] = pydantic.Field(default=(), max_length=1000)
    """By number."""
    where: Expression = ""
    """By butler expression on the exposure, like ``exposure.observation_reason = 'focus'``; none if empty."""


class DownSelection(InputModel):
    """When a pattern replaces the usual one, and when no more."""

    pattern: PatternSpec
    above: float = pydantic.Field(default=60.0, gt=0)
    """Begins when all that waits would keep the workers busy for longer, seconds."""
    below: float = pydantic.Field(default=10.0, ge=0)
    """Ends when it would keep them busy for no longer than this, seconds."""

    @pydantic.model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.below >= self.above:
            raise ValueError(f"'below' ({self.below:g}) must be less than 'above' ({self.above:g})")
        return self


class Policy(InputModel):
    """What is processed of each exposure, and what comes first; can be changed while the executor runs."""

    mode: Mode = Mode.CONSUMING
    pattern: PatternSpec = PatternSpec()
    guaranteed: Guaranteed = Guaranteed()
    down_selection: DownSelection | None = None
    """`None`: all that the pattern has is always processed."""

    def overridden(self, other: Policy | None) -> Policy:
        """Return this policy with those keys of another that were given to it, null ones included."""
        given = {} if other is None else {key: getattr(other, key) for key in other.model_fields_set}
        return self.model_copy(update=given)


def _names(value: Any) -> Any:
    """Return a list of names, also for a single one; numbers become text."""
    if isinstance(value, str | int):
        value = [value]
    if not isinstance(value, list | tuple):
        return value
    return [str(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in value]
