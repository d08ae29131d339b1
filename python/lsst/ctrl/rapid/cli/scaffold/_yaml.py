"""Additions to a pipeline's YAML that leave its comments and its layout alone."""

from __future__ import annotations

__all__ = ("PipelineText",)

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ...model import InputError


class PipelineText:
    """The text of a pipeline, to which tasks and steps are added.

    Parameters
    ----------
    path
        The file, for messages.
    text
        What is in it.

    Notes
    -----
    Whatever is added is inserted as a line of its own (or before the closing bracket of a list in one line);
    all else stays as it is to the character.
    """

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self.text = text if text.endswith("\n") else text + "\n"

    @property
    def subsets(self) -> frozenset[str]:
        """Labels of the subsets that are written in this file, rather than imported."""
        return frozenset(self._data().get("subsets") or {})

    def add_task(self, label: str, task: str) -> None:
        """Add a task under ``tasks``.

        Raises
        ------
        InputError
            If the file is written in a way that cannot be added to; the message says what to add by hand.
        """
        wanted = self._data()
        wanted["tasks"] = {**(wanted.get("tasks") or {}), label: task}
        self._add(("tasks",), f"{label}: {task}", wanted)

    def add_to_subset(self, subset: str, label: str) -> None:
        """Add a task's label to a subset that is written in this file; raises as `add_task`."""
        wanted = self._data()
        members = wanted["subsets"][subset]
        path: tuple[str, ...] = ("subsets", subset)
        if isinstance(members, dict):
            members, path = members["subset"], (*path, "subset")
        if isinstance(members, list):
            members.append(label)
        self._add(path, f"- {label}", wanted)

    def add_step(self, step: str, dimensions: Sequence[str], label: str, description: str) -> None:
        """Add a step with one task, and its subset; raises as `add_task`."""
        wanted = self._data()
        subset = {"subset": [label], "description": description}
        wanted["subsets"] = {**(wanted.get("subsets") or {}), step: subset}
        lines = f"{step}:\n  subset:\n    - {label}\n  description: {description}"
        self._add(("subsets",), lines, wanted)
        wanted = self._data()
        wanted["steps"] = [
            *(wanted.get("steps") or []), {"label": step, "dimensions": list(dimensions)},
        ]  # fmt: skip
        self._add(("steps",), f"- label: {step}\n  dimensions: [{', '.join(dimensions)}]", wanted)

    def _data(self) -> dict[str, Any]:
        data = yaml.safe_load(self.text)
        if not isinstance(data, dict):
            raise InputError(f"{self._path}: a pipeline is a mapping of keys to values.")
        return data

    def _add(self, path: tuple[str, ...], entry: str, wanted: dict[str, Any]) -> None:
        """Insert an entry, and make sure that the file then says what is wanted, and nothing else."""
        node = _find(yaml.compose(self.text), path)
        if node is None and len(path) == 1:
            text = f"{self.text}{path[0]}:\n{_indented(entry, 2)}"
        elif isinstance(node, yaml.CollectionNode):
            text = _in_flow(self.text, node, entry) if node.flow_style else _in_block(self.text, node, entry)
        else:
            text = ""
        try:
            done = bool(text) and yaml.safe_load(text) == wanted
        except yaml.YAMLError:
            done = False
        if not done:
            where = " of ".join(f"'{key}'" for key in reversed(path))
            raise InputError(
                f"{self._path}: its {where} is written in a way that cannot be added to; write it as an "
                f"indented block, or add by hand: {' '.join(entry.split())}"
            )
        self.text = text


def _find(node: yaml.Node | None, path: tuple[str, ...]) -> yaml.Node | None:
    for key in path:
        if not isinstance(node, yaml.MappingNode):
            return None
        node = next((value for name, value in node.value if name.value == key), None)
    return node


def _in_flow(text: str, node: yaml.CollectionNode, entry: str) -> str:
    """Insert before the closing bracket."""
    at = node.end_mark.index - 1
    before = text[:at].rstrip()
    separator = "" if before[-1] in "[{" else " " if before[-1] == "," else ", "
    return before + separator + entry.removeprefix("- ") + text[at:]


def _in_block(text: str, node: yaml.CollectionNode, entry: str) -> str:
    """Insert after the last line of the block, comments behind it aside."""
    lines = text.splitlines(keepends=True)
    at = _last_line(node) + 1
    return "".join([*lines[:at], _indented(entry, node.start_mark.column), *lines[at:]])


def _last_line(node: yaml.Node) -> int:
    if isinstance(node, yaml.MappingNode) and not node.flow_style:
        return _last_line(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style:
        return _last_line(node.value[-1])
    # A text block ends where the next line begins.
    return node.end_mark.line - (1 if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">") else 0)


def _indented(entry: str, columns: int) -> str:
    return "".join(f"{' ' * columns}{line}\n" for line in entry.splitlines())
