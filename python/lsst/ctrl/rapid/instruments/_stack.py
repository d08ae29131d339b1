"""Whether the full stack is there."""

from __future__ import annotations

__all__ = ("WITHOUT_STACK", "has_full_stack")

import functools
import importlib
import importlib.util
import os

WITHOUT_STACK = "RAPID_EXEC_WITHOUT_STACK"
"""Environment variable: if it is set, the stack is not used even where it can be imported."""


@functools.cache
def has_full_stack() -> bool:
    """Whether the observatory's own package for these instruments, ``lsst.obs.lsst``, can be imported.

    It is left aside where the environment variable `WITHOUT_STACK` is set.
    """
    if os.environ.get(WITHOUT_STACK):
        return False
    try:
        if importlib.util.find_spec("lsst.obs.lsst") is None:
            return False
        importlib.import_module("lsst.obs.lsst.translators")
    except ImportError:
        return False
    return True
