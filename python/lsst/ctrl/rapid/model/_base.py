"""What every model at a boundary shares, and how bad input is told to the person who wrote it."""

from __future__ import annotations

__all__ = ("InputModel", "Model", "PathName", "load_mapping", "load_yaml", "parse")

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_origin

import pydantic

from ._input_error import InputError
from ._nearest import did_you_mean
from ._reading import read_file, read_yaml

_LONGEST_TEXT = 2000
_LONGEST_PATH = 4000
_MOST_TOLD = 8
_LONGEST_KEY = 80

_ALTERNATIVE = re.compile(r"(literal|function-[a-z]+|lax-or-strict|constrained-[a-z]+|union)\[")

_WORDS = {
    "tuple_type": "must be a list, like [a, b]",
    "mapping_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "string_type": "must be text; in YAML put quotes around it",
    "path_type": "must be the name of a file or folder",
}
"""What pydantic says in words of Python, in those of a person who writes YAML or JSON."""


class Model(pydantic.BaseModel):
    """Base of the models at boundaries: frozen, unknown keys and numbers that are none refused."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InputModel(Model):
    """Base of the models of what people and other systems write: text has an end.

    How many items a list or mapping may have, each model says for itself.
    """

    model_config = pydantic.ConfigDict(str_max_length=_LONGEST_TEXT)


def _check_path(value: Any) -> Any:
    text = str(value)
    if not text or len(text) > _LONGEST_PATH or not text.isprintable():
        raise ValueError(f"is not the name of a file or folder: {text[:_LONGEST_KEY]!r}")
    return value


type PathName = Annotated[Path, pydantic.BeforeValidator(_check_path)]
"""Name of a file or folder, as a person writes one."""


def parse[M: Model](model: type[M], data: object, source: str) -> M:
    """Validate what came from outside.

    Parameters
    ----------
    model
        What it must be.
    data
        What came: plain dictionaries, lists and scalars.
    source
        Where it came from, for the message.

    Returns
    -------
    parsed : ``model``

    Raises
    ------
    InputError
        If it is not valid.  Every fault is named with its key, and an unknown key with the nearest valid one.
    """
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as err:
        found = err.errors(include_url=False, include_input=False)
        faults = "; ".join(_explain(model, fault) for fault in found[:_MOST_TOLD])
        if len(found) > _MOST_TOLD:
            faults += f"; and {len(found) - _MOST_TOLD} more"
        raise InputError(f"{source}: {faults}") from None


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises
    ------
    InputError
        If it cannot be read, is not YAML that `read_yaml` takes, or is something else than a mapping.
    """
    return load_mapping(read_file(path), str(path))


def load_mapping(text: bytes, source: str) -> dict[str, Any]:
    """Return what a YAML text holds whose top level is a mapping.

    Raises
    ------
    InputError
        If it is not YAML that `read_yaml` takes, or is something else than a mapping.
    """
    data = read_yaml(text, source)
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InputError(f"{source}: must be a mapping of keys to values, not {type(data).__name__}.")
    return data


def _explain(model: type[pydantic.BaseModel], fault: Any) -> str:
    location = [part for part in fault["loc"] if not _is_alternative(part)]
    where = ".".join(str(part)[:_LONGEST_KEY] for part in location) or "the whole"
    if fault["type"] != "extra_forbidden":
        return f"{where}: {_WORDS.get(fault['type']) or fault['msg'].removeprefix('Value error, ')}"
    valid = _fields_at(model, location[:-1])
    return f"unknown key {where!r}{did_you_mean(str(location[-1])[:_LONGEST_KEY], valid)}"


def _is_alternative(part: str | int) -> bool:
    """Tell whether a part of a place only says which of several types was tried there."""
    return isinstance(part, str) and (_ALTERNATIVE.match(part) is not None or part in _model_names(Model))


def _model_names(model: type[Model]) -> Iterable[str]:
    for one in model.__subclasses__():
        yield one.__name__
        yield from _model_names(one)


def _fields_at(model: type[pydantic.BaseModel], location: Iterable[str | int]) -> Iterable[str]:
    """Return the keys valid at a place in a nested model."""
    current: Any = model
    is_label = False
    for part in location:
        if isinstance(part, int) or is_label:
            is_label = False
            continue
        fields = getattr(current, "model_fields", {})
        if part not in fields:
            return ()
        annotation = fields[part].annotation
        current, is_label = _innermost_model(annotation), get_origin(annotation) is Mapping
    return tuple(getattr(current, "model_fields", {}))


def _innermost_model(annotation: Any) -> Any:
    for inner in getattr(annotation, "__args__", ()):
        if (found := _innermost_model(inner)) is not None:
            return found
    return annotation if hasattr(annotation, "model_fields") else None
