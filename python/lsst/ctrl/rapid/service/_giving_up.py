"""Giving up what does not end in the time that a run has to stop in."""

from __future__ import annotations

__all__ = ("give_up",)

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from ..model import Shard
from ._flow import SHARD

_LOG = logging.getLogger(__name__)

_MOST_NAMED = 10


def give_up(shards: Sequence[Shard], tasks: Iterable[asyncio.Task[Any]], seconds: float) -> None:
    """Stop waiting for shards: however they end from now on, they leave no outcome.

    Parameters
    ----------
    shards
        Those that run.
    tasks
        The tasks of the run; those that wait for shards are cancelled.  The caller ends the worker processes.
    seconds
        How long the shards have had.
    """
    for task in tasks:
        if task.get_name() == SHARD:
            task.cancel()
    named = ", ".join(map(str, shards[:_MOST_NAMED])) + (", ..." if len(shards) > _MOST_NAMED else "")
    _LOG.error(
        "Not ended within %g s: %d shard(s) are given up, and taken up by the next start: %s.",
        seconds,
        len(shards),
        named,
    )
