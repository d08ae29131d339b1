"""The command ``rapid-exec``: thin wrappers around the rest."""

from ._main import main

__all__ = ("main",)
