"""What a benchmark found: repeated measurements, goals, charts."""

from __future__ import annotations

__all__ = (
    "Chart",
    "Curve",
    "Database",
    "Findings",
    "Goal",
    "Machine",
    "Row",
    "Series",
    "SuiteResult",
    "SuiteSettings",
    "Tell",
)

import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import pydantic

from ..model import Model

type Tell = Callable[[str], None]
"""What takes a line on the progress, for a person."""

type Database = Literal["sqlite", "postgresql"]
"""Where a repository's registry is."""


class Series(Model):
    """Repeated measurements of one thing."""

    unit: str
    """Like ``ms``, ``s``, ``datasets/s``, or ``x`` for a ratio."""
    values: tuple[float, ...] = pydantic.Field(min_length=1)
    """One a repetition, in their order."""

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The least."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The greatest."""
        return max(self.values)


class Row(Model):
    """A line of a suite's table."""

    what: str
    """What was measured, like ``rapid-exec``."""
    where: str = ""
    """In what it was measured, like ``SQLite``."""
    columns: Mapping[str, Series]
    """By heading; rows of one table need not have the same."""


class Goal(Model):
    """What is wanted of a suite, and what it found."""

    name: str
    bound: Literal["least", "most"]
    """Whether ``target`` is the least or the most that is good."""
    target: float
    value: float | None
    """`None`: it was not measured."""
    unit: str

    @property
    def met(self) -> bool:
        """Whether it is reached; what was not measured is not."""
        if self.value is None:
            return False
        return self.value >= self.target if self.bound == "least" else self.value <= self.target


class Curve(Model):
    """A line in a chart."""

    label: str
    x: tuple[float, ...]
    y: tuple[Series, ...]

    @pydantic.model_validator(mode="after")
    def _check_lengths(self) -> Curve:
        if len(self.x) != len(self.y):
            raise ValueError(f"{self.label}: {len(self.x)} places, but {len(self.y)} measurements")
        return self


class Chart(Model):
    """How something changes with something else; charts of bars are made of the rows."""

    name: str
    """Of its file, without suffix."""
    title: str
    x_label: str
    y_label: str
    log_x: bool = False
    log_y: bool = False
    curves: tuple[Curve, ...]


class Machine(Model):
    """What it was measured on, and with."""

    cpu: str
    cores: int
    """Those that this process may use."""
    memory_gb: float
    system: str
    python: str
    versions: Mapping[str, str]
    """By package."""


class Findings(Model):
    """What a suite returns."""

    rows: tuple[Row, ...]
    goals: tuple[Goal, ...] = ()
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader must know to understand the figures; a sentence each."""
    settings: Mapping[str, str] = {}
    """What was chosen, like the number of repetitions."""
    versions: Mapping[str, str] = {}
    """Of what only this suite uses, like PostgreSQL's."""


class SuiteResult(Model):
    """A suite that has run."""

    schema_version: Literal[1] = 1
    suite: str
    title: str
    command: str
    """What repeats it."""
    started: float
    """UNIX seconds."""
    seconds: float
    machine: Machine
    settings: Mapping[str, str]
    rows: tuple[Row, ...]
    goals: tuple[Goal, ...]
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()


class SuiteSettings(Model):
    """What a person has asked of a suite."""

    work_dir: Path
    """An existing folder of its own, to write in."""
    repetitions: int | None = None
    """`None`: as many as the suite holds right."""
    workers: int = 2
    databases: tuple[Database, ...] = ("sqlite",)
    quick: bool = False
    """Sizes so small that the figures mean nothing, to see that all works."""
