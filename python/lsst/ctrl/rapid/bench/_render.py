"""A suite's result as text for people."""

from __future__ import annotations

__all__ = ("format_number", "format_series", "render_markdown")

import datetime
from collections.abc import Iterable, Mapping, Sequence

from ._model import Goal, Machine, Row, Series, SuiteResult

_ROUNDED = 999.5


def render_markdown(result: SuiteResult) -> str:
    """Return a suite's section of a page in Markdown.

    It has the command, the machine, the rows with median and spread, the goals and the notes.
    """
    goals = _table(["goal", "target", "value", "met"], map(_goal_cells, result.goals))
    parts = [
        f"## {result.suite}: {_lower(result.title)}",
        f"`{result.command}`, {_day(result.started)}, {result.seconds:.0f} s.",
        _describe_machine(result.machine),
        *([_describe_settings(result.settings)] if result.settings else []),
        "Median (least to greatest of the repetitions):",
        _rows_table(result.rows),
        *([goals] if result.goals else []),
        *(["\n".join(f"- {note}" for note in result.notes)] if result.notes else []),
    ]
    return "\n\n".join(parts) + "\n"


def format_series(series: Series) -> str:
    """Return median and spread, without the unit."""
    median = format_number(series.median)
    if len(series.values) == 1:
        return median
    return f"{median} ({format_number(series.low)} to {format_number(series.high)})"


def format_number(value: float) -> str:
    """Return a number with three digits that count, and all of those before the point."""
    if abs(value) >= _ROUNDED:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    # A trailing zero counts, too: 2.50 is not 2.5.
    digits = sum(character.isdigit() for character in text.lstrip("-0."))
    if "e" in text or value == 0 or digits >= 3:
        return text
    return text + ("" if "." in text else ".") + "0" * (3 - digits)


def _goal_cells(goal: Goal) -> list[str]:
    target = f"at {goal.bound} {goal.target:,g} {goal.unit}"
    if goal.value is None:
        return [goal.name, target, "-", "not measured"]
    return [goal.name, target, f"{format_number(goal.value)} {goal.unit}", _verdict(goal, goal.value)]


def _verdict(goal: Goal, value: float) -> str:
    if goal.met:
        return "met"
    if goal.target == 0:
        return f"missed by {format_number(abs(value))} {goal.unit}"
    return f"missed, {format_number(value / goal.target)} of the target"


def _rows_table(rows: Sequence[Row]) -> str:
    units: dict[str, str] = {}
    for row in rows:
        for heading, series in row.columns.items():
            units.setdefault(heading, series.unit)
    located = any(row.where for row in rows)
    headings = ["", *(["where"] if located else [])]
    headings += [f"{heading}, {unit}" for heading, unit in units.items()]
    return _table(
        headings,
        (
            [
                row.what,
                *([row.where] if located else []),
                *(_cell(row.columns, heading, unit) for heading, unit in units.items()),
            ]
            for row in rows
        ),
        right=len(units),
    )


def _cell(columns: Mapping[str, Series], heading: str, unit: str) -> str:
    series = columns.get(heading)
    if series is None:
        return ""
    return format_series(series) + ("" if series.unit == unit else f" {series.unit}")


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]], right: int = 0) -> str:
    """Return a table that can be read as it is, too.

    The cells of the last ``right`` columns stand on the right.
    """
    cells = [headings, *lines]
    widths = [max(3, *(len(line[column]) for line in cells)) for column in range(len(headings))]
    left = len(headings) - right

    def row(line: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rules = ["-" * width if column < left else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    return "\n".join(map(row, (headings, rules, *cells[1:])))


def _describe_machine(machine: Machine) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return (
        f"{machine.cpu}, {machine.cores} core(s), {machine.memory_gb:g} GB; {machine.system}; "
        f"Python {machine.python}, {versions}."
    )


def _describe_settings(settings: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in settings.items()) + "."


def _day(time: float) -> str:
    return datetime.datetime.fromtimestamp(time, datetime.UTC).strftime("%Y-%m-%d")


def _lower(title: str) -> str:
    return title[:1].lower() + title[1:]
