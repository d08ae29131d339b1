"""What is logged, and where."""

from __future__ import annotations

__all__ = ("LOG_LEVELS", "LogSettings")

import dataclasses

LOG_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "VERBOSE", "DEBUG", "TRACE")
"""Upstream's log levels, the most important first."""


@dataclasses.dataclass(frozen=True)
class LogSettings:
    """What a person asked for with ``--log-level`` and ``--log-file``.

    Attributes
    ----------
    levels
        Pairs of a logger's name and its level, in their order.  An empty name stands for upstream's default
        root loggers, ``.`` for Python's root logger.
    files
        Absolute paths of the files that log lines are appended to; JSON where the name ends with ``.json``.
    """

    levels: tuple[tuple[str, str], ...] = ()
    files: tuple[str, ...] = ()
