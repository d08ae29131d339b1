"""What every model at a boundary shares, and how bad input is told to the person who wrote it."""

from __future__ import annotations

__all__ = ("InputError", "Model", "load_yaml", "parse")

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_origin

import pydantic
import yaml


class InputError(ValueError):
    """Bad input from a person or a file; the message is all that they need to mend it."""


class Model(pydantic.BaseModel):
    """Base of the models at boundaries: frozen, unknown keys refused."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


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
        faults = "; ".join(_explain(model, fault) for fault in err.errors())
        raise InputError(f"{source}: {faults}") from None


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises
    ------
    InputError
        If it cannot be read, is not YAML or is something else than a mapping.
    """
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as err:
        raise InputError(f"{path}: cannot be read: {err.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(err).split())}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InputError(f"{path}: must be a mapping of keys to values, not {type(data).__name__}.")
    return data


def _explain(model: type[pydantic.BaseModel], fault: Any) -> str:
    location = fault["loc"]
    where = ".".join(str(part) for part in location) or "the whole"
    if fault["type"] != "extra_forbidden":
        return f"{where}: {fault['msg'].removeprefix('Value error, ')}"
    valid = list(_fields_at(model, location[:-1]))
    near = difflib.get_close_matches(str(location[-1]), valid, n=1, cutoff=0.0)
    return f"unknown key {where!r}" + (f"; did you mean {near[0]!r}?" if near else "")


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
