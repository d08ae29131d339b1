"""What can be asked of a running executor, and how it answers."""

from __future__ import annotations

__all__ = (
    "VERBS",
    "Answer",
    "CatchUpRequest",
    "Changes",
    "DrainRequest",
    "LiveSettings",
    "PauseRequest",
    "Refusal",
    "ReloadRequest",
    "Request",
    "ResumeRequest",
    "SetRequest",
)

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import pydantic

from ..model import (
    DownSelection,
    Expression,
    Guaranteed,
    InputError,
    InputModel,
    Mode,
    Model,
    PatternSpec,
    Policy,
    Vary,
    day_begins,
    parse,
)

type _Seconds = Annotated[float, pydantic.Field(gt=0, le=86400)]


class Changes(InputModel):
    """What is to be different from now on; what is `None` stays as it is."""

    mode: Mode | None = None
    pattern: PatternSpec | None = None
    """Replaces the detectors; how they vary stays, unless it says so itself."""
    vary: Vary | None = None
    guaranteed: tuple[pydantic.PositiveInt, ...] | None = pydantic.Field(default=None, max_length=1000)
    """Numbers of exposures that are processed whole; replaces those that were."""
    guaranteed_where: Expression | None = None
    """Butler expression that selects such; none if empty."""
    gather_timeout: _Seconds | None = None
    """Seconds from the first ended detector until a gather runs with what is there."""
    gather_deadline: _Seconds | None = None
    """Seconds from the first raw until a gather runs without the detectors that have not come."""
    down_selection: (
        Annotated[Literal["off"] | PatternSpec, pydantic.Field(union_mode="left_to_right")] | None
    ) = None
    """Pattern while more waits than the workers can do soon; ``off`` for none."""
    down_selection_above: _Seconds | None = None
    down_selection_below: Annotated[float, pydantic.Field(ge=0, le=86400)] | None = None

    @pydantic.model_validator(mode="after")
    def _check_any(self) -> Self:
        if not self._given():
            raise ValueError(f"nothing is to be changed; there are {', '.join(type(self).model_fields)}")
        return self

    def _given(self) -> list[str]:
        return [name for name in type(self).model_fields if getattr(self, name) is not None]

    def __str__(self) -> str:
        return " ".join(f"{name}={_told(getattr(self, name))}" for name in self._given())


class LiveSettings(Model):
    """What can be changed while the executor runs."""

    policy: Policy = Policy()
    gather_timeout: float | None = None
    """Seconds; `None`: as the executor was started."""
    gather_deadline: float | None = None
    """Seconds; `None`: as the executor was started."""

    def changed(self, changes: Changes) -> LiveSettings:
        """Return what it is after some changes.

        Raises
        ------
        InputError
            If they do not go together with each other, or with what is there.
        """
        before = self.policy
        pattern = before.pattern
        if (new := changes.pattern) is not None:
            vary = new.vary if "vary" in new.model_fields_set else pattern.vary
            pattern = new.model_copy(update={"vary": vary})
        if changes.vary is not None:
            pattern = pattern.model_copy(update={"vary": changes.vary})
        guaranteed = before.guaranteed
        policy = Policy(
            mode=before.mode if changes.mode is None else changes.mode,
            pattern=pattern,
            guaranteed=Guaranteed(
                exposures=guaranteed.exposures if changes.guaranteed is None else changes.guaranteed,
                where=guaranteed.where if changes.guaranteed_where is None else changes.guaranteed_where,
            ),
            down_selection=_down_selection(before.down_selection, changes),
        )
        return LiveSettings(
            policy=policy,
            gather_timeout=changes.gather_timeout or self.gather_timeout,
            gather_deadline=changes.gather_deadline or self.gather_deadline,
        )


def _down_selection(before: DownSelection | None, changes: Changes) -> DownSelection | None:
    limits = {
        name: value
        for name, value in (
            ("above", changes.down_selection_above),
            ("below", changes.down_selection_below),
        )
        if value is not None
    }
    pattern = changes.down_selection
    if pattern == "off" or (pattern is None and before is None):
        if limits:
            raise InputError(
                f"down_selection_{next(iter(limits))}: there is no down-selection; name its pattern, too: "
                "down_selection=minimal."
            )
        return None
    kept = {} if before is None else before.model_dump()
    if pattern is not None:
        kept["pattern"] = pattern
    return parse(DownSelection, kept | limits, "down_selection")


def _told(value: object) -> str:
    match value:
        case tuple():
            return ",".join(map(str, value)) or "none"
        case float():
            return f"{value:g}"
        case "":
            return "none"
        case _:
            return str(value)


class _Request(InputModel):
    by: str = pydantic.Field(min_length=1, max_length=64, pattern=r"^[\w.@+\- ]+$")
    """User name of the person who asks."""


class SetRequest(_Request):
    """Change what is processed, and what comes first."""

    changes: Changes


class PauseRequest(_Request):
    """Dispatch nothing more; arrivals are taken in."""


class ResumeRequest(_Request):
    """Dispatch again."""


class DrainRequest(_Request):
    """Take no more arrivals, finish what waits and runs, and end the run."""


class ReloadRequest(_Request):
    """Read calibrations and site file anew."""

    code: bool = False
    """Replace the workers, so that they run the code that is on disk now."""


class CatchUpRequest(_Request):
    """Process registered raws that have no outcome."""

    since: int | None = None
    """First observing day."""
    where: Expression = ""
    """Butler expression that selects raws; all since that day if empty."""

    @pydantic.field_validator("since")
    @classmethod
    def _check_day(cls, value: int | None) -> int | None:
        if value is not None:
            try:
                day_begins(value)
            except ValueError:
                raise ValueError(f"{value} is not a day like 20261122") from None
        return value

    @pydantic.model_validator(mode="after")
    def _check_any(self) -> Self:
        if self.since is None and not self.where.strip():
            raise ValueError("either 'since' or 'where' must say which raws")
        return self


type Request = SetRequest | PauseRequest | ResumeRequest | DrainRequest | ReloadRequest | CatchUpRequest

VERBS: Mapping[str, type[Request]] = {
    "set": SetRequest,
    "pause": PauseRequest,
    "resume": ResumeRequest,
    "drain": DrainRequest,
    "reload": ReloadRequest,
    "catchup": CatchUpRequest,
}
"""The requests that change something, by the last part of their address."""


class Answer(Model):
    """A request was carried out."""

    done: str
    """What was done, for a person."""


class Refusal(Model):
    """A request was not carried out."""

    error: str
    """Why, and what to do, for a person."""
