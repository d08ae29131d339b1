"""Text that somebody else wrote, read within limits: it is refused before it can cost time or memory."""

from __future__ import annotations

__all__ = ("MAX_FILE", "read_file", "read_json", "read_secret", "read_yaml")

import json
import math
import os
import stat
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, NoReturn, override

import pydantic_core
import yaml

from ._input_error import InputError

MAX_FILE = 256 * 1024
"""Largest file for people that is read, bytes: a site file has one or two thousand."""

_LONGEST_SECRET = 4096
_MAX_DEPTH = 20
_MAX_NODES = 5_000


def read_file(path: Path, most: int = MAX_FILE) -> bytes:
    """Return what a file holds.

    Parameters
    ----------
    path
        The file; it must be a regular one, so that nothing waits for a pipe or reads a device.
    most
        Bytes that it may have.

    Raises
    ------
    InputError
        If it cannot be read, or is larger.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as stream:
            regular = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
            content = stream.read(most + 1) if regular else b""
    except OSError as err:
        raise InputError(f"{path}: cannot be read: {err.strerror}.") from None
    except ValueError:
        raise InputError(f"{str(path)!r}: cannot be read: this is not the name of a file.") from None
    if not regular:
        raise InputError(f"{path}: cannot be read: it is not a file.")
    if len(content) > most:
        raise InputError(f"{path}: has more than {_told(most)}, the most that is read.")
    return content


def read_secret(path: Path, source: str) -> str:
    """Return the password or token that a file holds, without blanks around it.

    Parameters
    ----------
    path
        The file.
    source
        Where it is named, for the message.

    Raises
    ------
    InputError
        If it cannot be read, or holds something else than one line of text.
    """
    try:
        secret = read_file(path, _LONGEST_SECRET).decode().strip()
    except InputError as err:
        raise InputError(f"{source}: {err}") from None
    except UnicodeDecodeError:
        raise InputError(f"{source}: {path}: cannot be read: it is not text.") from None
    if not secret.isprintable():
        raise InputError(f"{source}: {path}: must hold one line.")
    return secret


def read_yaml(text: str | bytes, source: str) -> Any:
    """Return what a YAML text holds: mappings, lists, text, numbers, true, false and null.

    Raises
    ------
    InputError
        If it is not valid YAML; if it has a key twice, a tag, an alias, or a number that is none; or if it is
        too large.
    """
    if len(text) > MAX_FILE:
        raise InputError(f"{source}: has more than {_told(MAX_FILE)}, the most that is read.")
    try:
        loader = _Loader(text if isinstance(text, str) else text.decode())
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        line = "" if mark is None else f"line {mark.line + 1}: "
        told = f"{err.context}, {err.problem}" if err.context else err.problem
        raise InputError(f"{source}: not valid YAML: {line}{told}") from None
    except (yaml.YAMLError, ValueError) as err:
        raise InputError(f"{source}: not valid YAML: {err}") from None


def read_json(text: bytes, source: str, most: int = MAX_FILE) -> Any:
    """Return what a JSON text holds.

    Raises
    ------
    InputError
        If it is not JSON, has a key twice or a number that is none, or is too large.
    """
    if len(text) > most:
        raise InputError(f"{source} has more than {_told(most)}, the most that is read.")
    try:
        # Refuses what is nested too deeply, and half a character, which nobody could write down again.
        pydantic_core.from_json(text, allow_inf_nan=False)
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as err:
        raise InputError(f"{source} is not JSON: {err}.") from None


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NONBLOCK)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return found


def _told(size: int) -> str:
    return f"{size >> 20} MB" if size >= 1 << 20 else f"{size >> 10} kB"


class _Loader(yaml.SafeLoader):
    """What YAML offers beyond plain data is refused, with its line."""

    _depth = 0
    _nodes = 0

    @override
    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # yaml is untyped
        if isinstance(event, yaml.AliasEvent):
            self._refuse("an alias (*) is not taken here; write it out", event)
        self._depth += 1
        self._nodes += 1
        if self._depth > _MAX_DEPTH:
            self._refuse(f"it is nested more than {_MAX_DEPTH} deep", event)
        if self._nodes > _MAX_NODES:
            self._refuse(f"it has more than {_MAX_NODES} values", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None and node.tag not in _TAGS[type(node)]:
            self._refuse(f"the tag {node.tag[:80]!r} is not taken here; only plain data are", node)
        return node

    @override
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._refuse("a key must be a word", key)
            if (key.tag, key.value) in seen:
                self._refuse(f"the key {key.value[:80]!r} is there twice", key)
            seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)

    @override
    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, LookupError, ValueError):
            self._refuse(f"{node.value[:80]!r} is not what its tag, or its beginning, says", node)

    def construct_finite(self, node: yaml.ScalarNode) -> float:
        """Return a number, never what is none."""
        number = self.construct_yaml_float(node)
        if not math.isfinite(number):
            self._refuse(f"{node.value[:80]} is not a number that anything here could have", node)
        return number

    @staticmethod
    def _refuse(problem: str, place: yaml.Node | yaml.Event) -> NoReturn:
        mark: Any = place.start_mark  # of the parser in Python, whose types it shares with that in C
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


_PREFIX = "tag:yaml.org,2002:"
_SCALARS = {f"{_PREFIX}{name}" for name in ("str", "int", "float", "bool", "null")}
_TAGS: Mapping[type[yaml.Node], set[str]] = {
    yaml.MappingNode: {f"{_PREFIX}map"},
    yaml.SequenceNode: {f"{_PREFIX}seq"},
    yaml.ScalarNode: _SCALARS,
}

_Loader.add_constructor(f"{_PREFIX}float", _Loader.construct_finite)
# Nothing here is a time: what looks like one stays text, and a key << is a key like any other.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _SCALARS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
