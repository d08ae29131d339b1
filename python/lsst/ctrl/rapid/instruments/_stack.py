"""Whether the full stack is there."""

from __future__ import annotations

__all__ = ("has_full_stack",)

import functools
import importlib
import importlib.util


@functools.cache
def has_full_stack() -> bool:
    """Whether the observatory's own package for these instruments, ``lsst.obs.lsst``, can be imported."""
    try:
        if importlib.util.find_spec("lsst.obs.lsst") is None:
            return False
        importlib.import_module("lsst.obs.lsst.translators")
    except ImportError:
        return False
    return True
