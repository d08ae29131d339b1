"""What can go wrong between the camera and the folder, as a person asks for it."""

from __future__ import annotations

__all__ = (
    "Burst",
    "Duplicate",
    "Fault",
    "FaultKind",
    "Late",
    "Missing",
    "OutOfOrder",
    "parse_fault",
)

import re
from typing import Annotated, Literal, Self

import pydantic

from ..model import InputError, Model, did_you_mean, parse, parse_numbers

type FaultKind = Literal["late", "missing", "duplicate", "out-of-order", "burst"]

_DAY = 86_400.0
_NUMBERS = re.compile(r"\s*\d+\s*(\.\.\s*\d+\s*)?")


def _numbers(value: object) -> object:
    return parse_numbers(value) if isinstance(value, str) else value


type _Numbers = Annotated[
    tuple[pydantic.NonNegativeInt, ...], pydantic.BeforeValidator(_numbers), pydantic.Field(min_length=1)
]
type _Exposures = Annotated[
    tuple[pydantic.PositiveInt, ...], pydantic.BeforeValidator(_numbers), pydantic.Field(min_length=1)
]
type _Seconds = Annotated[float, pydantic.Field(gt=0, le=_DAY)]


class _OfRaws(Model):
    """A fault of raws: of those of some detectors, in some exposures, or of a random part of them."""

    part: Annotated[float, pydantic.Field(gt=0, le=1)] | None = None
    """Part of the raws that it hits, chosen at random; all if there is none."""
    detectors: _Numbers | None = None
    """Only these detectors."""
    exposures: _Exposures | None = None
    """Only these exposures, counted from 1 in each simulation."""

    @pydantic.model_validator(mode="after")
    def _hits_something(self) -> Self:
        if self.part is None and self.detectors is None and self.exposures is None:
            raise ValueError("say which raws: part=0.01, detectors=90..98, exposures=2, or several of these")
        return self


class Late(_OfRaws):
    """Raws come so long after their shutter closed, whatever was sent meanwhile."""

    kind: Literal["late"] = "late"
    seconds: _Seconds = 60.0


class Missing(_OfRaws):
    """Raws never come."""

    kind: Literal["missing"] = "missing"


class Duplicate(_OfRaws):
    """Raws come a second time, the same to the byte, so long after the first."""

    kind: Literal["duplicate"] = "duplicate"
    seconds: _Seconds = 5.0
    name: Literal["other", "same"] = "other"
    """Whether the second has a name of its own, or replaces the first."""


class OutOfOrder(Model):
    """Raws of an exposure come in a random order."""

    kind: Literal["out-of-order"] = "out-of-order"
    exposures: _Exposures | None = None
    """Only these exposures, counted from 1 in each simulation."""
    depth: Annotated[int, pydantic.Field(ge=0, le=1000)] = 0
    """Up to so many later exposures, chosen at random for each exposure, overtake it."""


class Burst(Model):
    """Exposures come all at once when the last of them has closed, as after a cut of the network."""

    kind: Literal["burst"] = "burst"
    exposures: Annotated[int, pydantic.Field(ge=2, le=100_000)]
    """How many."""
    first: pydantic.PositiveInt | None = None
    """The exposure with which the only burst begins, counted from 1; without it, burst follows burst."""

    def end_of(self, number: int) -> int | None:
        """Return the last exposure of the burst that an exposure is in; `None` if it is in none.

        Parameters
        ----------
        number
            The exposure, counted from 1.
        """
        if self.first is None:
            return -(-number // self.exposures) * self.exposures
        last = self.first + self.exposures - 1
        return last if self.first <= number <= last else None


type Fault = Annotated[Late | Missing | Duplicate | OutOfOrder | Burst, pydantic.Field(discriminator="kind")]

_MODELS: dict[str, type[Late | Missing | Duplicate | OutOfOrder | Burst]] = {
    "late": Late,
    "missing": Missing,
    "duplicate": Duplicate,
    "out-of-order": OutOfOrder,
    "burst": Burst,
}


def parse_fault(text: str) -> Fault:
    """Return the fault that a text like ``late:detectors=90..92,94,seconds=20`` asks for.

    Raises
    ------
    InputError
        If there is no such fault, key or value; an unknown word comes with the nearest valid one.
    """
    kind, _, rest = text.partition(":")
    source = f"fault {text!r}"
    model = _MODELS.get(kind)
    if model is None:
        raise InputError(f"{source}: there is no fault {kind!r}{did_you_mean(kind, _MODELS)}")
    return parse(model, {"kind": kind} | _values(rest, source), source)


def _values(text: str, source: str) -> dict[str, str]:
    """Return keys and values; what is but a number goes on with the list before it."""
    values: dict[str, str] = {}
    key = ""
    for piece in text.split(",") if text else ():
        if key and _NUMBERS.fullmatch(piece):
            values[key] += f",{piece}"
            continue
        key, equals, value = (part.strip() for part in piece.partition("="))
        if not equals:
            raise InputError(f"{source}: {piece.strip()!r} is not of the form KEY=VALUE.")
        if key == "kind":
            raise InputError(f"{source}: unknown key 'kind'.")
        if key in values:
            raise InputError(f"{source}: {key!r} is given twice.")
        values[key] = value
    return values
