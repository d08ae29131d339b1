"""How much memory an object takes, as far as that can be found out."""

from __future__ import annotations

__all__ = ("memory_size",)

import contextlib
import logging
import sys
import types
from collections.abc import Iterable
from typing import Any

import numpy as np
from dask.sizeof import sizeof

_PLANES = ("array", "image", "mask", "variance")
"""Properties with the pixels of images; those of compiled libraries have no other attributes."""

_FOREIGN = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.MethodType,
    logging.Logger,
    logging.LoggerAdapter,
)
"""What an object may refer to and does not own."""

_SIMPLE = (str, bytes, int, float, complex, type(None))

_MOST = 200_000
"""Objects after which the rest of a large structure is not looked at any more."""


def memory_size(obj: Any, stored: int = 0) -> int:
    """Estimate the memory of an object, bytes.

    Parameters
    ----------
    obj
        The object.
    stored
        Size of its file, bytes; 0 if it has none, or it is not known.

    Notes
    -----
    It is the largest of what can be known: what Python sees the object hold, each array counted once; what
    Dask says of tables; and the file.  Python sees next to nothing of an object of a compiled library, but
    its file has the same content.
    """
    return max(_held(obj), int(sizeof(obj)), stored)


def _held(obj: Any) -> int:
    """Return the size of all that an object holds, bytes."""
    total = 0
    # Kept by their identity, and so kept alive: no other object gets the same.
    seen: dict[int, Any] = {}
    left = [obj]
    while left and len(seen) < _MOST:
        found = left.pop()
        if isinstance(found, np.ndarray):
            found = _whole(found)
        if id(found) in seen or isinstance(found, _FOREIGN):
            continue
        seen[id(found)] = found
        if isinstance(found, np.ndarray):
            total += found.nbytes
        else:
            total += sys.getsizeof(found, 0)
            left += _parts(found)
    return total


def _whole(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the array that a view belongs to and keeps in memory."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _parts(obj: Any) -> Iterable[Any]:
    """Yield what an object holds."""
    if isinstance(obj, _SIMPLE):
        return
    if isinstance(obj, dict):
        yield from obj.keys()
        yield from obj.values()
    elif isinstance(obj, list | tuple | set | frozenset):
        yield from obj
    yield from getattr(obj, "__dict__", {}).values()
    for cls in type(obj).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            yield getattr(obj, name, None)
    for name in _PLANES:
        if isinstance(getattr(type(obj), name, None), property):
            with contextlib.suppress(Exception):  # a plane that is not there
                yield getattr(obj, name)
