"""Import statements, sorted as isort does."""

from __future__ import annotations

__all__ = ("Style", "is_own", "sorted_imports", "statements")

import dataclasses
import re
from collections.abc import Iterable

_WIDTH = 110
_IMPORT = re.compile(r"from (?P<module>\S+) import (?P<name>\w+)")
_STANDARD = frozenset({"collections.abc", "typing"})


@dataclasses.dataclass(frozen=True, slots=True)
class Style:
    """How imports are sorted where the files go.

    Attributes
    ----------
    own
        Packages that are first-party there, and so are imported last.
    """

    own: tuple[str, ...] = ()


def is_own(statement: str, style: Style) -> bool:
    """Tell whether a statement imports something first-party."""
    match = _IMPORT.fullmatch(statement)
    return match is not None and any(
        match["module"] == own or match["module"].startswith(f"{own}.") for own in style.own
    )


def sorted_imports(lines: set[str], style: Style) -> str:
    """Return imports as isort has them: standard library, others, our own."""
    standard = {line for line in lines if (m := _IMPORT.fullmatch(line)) and m["module"] in _STANDARD}
    own = {line for line in lines if is_own(line, style)}
    groups = (standard, lines - standard - own, own)
    return "\n\n".join("\n".join(statements(group)) for group in groups if group)


def statements(lines: Iterable[str]) -> Iterable[str]:
    """Yield statements in order, those of one module joined."""
    names: dict[str, set[str]] = {}
    for line in lines:
        if match := _IMPORT.fullmatch(line):
            names.setdefault(match["module"], set()).add(match["name"])
        else:
            yield line
    for module, imported in sorted(names.items()):
        ordered = sorted(imported, key=str.lower)
        line = f"from {module} import {', '.join(ordered)}"
        if len(line) > _WIDTH:
            line = f"from {module} import (\n" + "".join(f"    {name},\n" for name in ordered) + ")"
        yield line
