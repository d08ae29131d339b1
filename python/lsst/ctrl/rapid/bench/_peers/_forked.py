"""Imported by the process from which the executor's workers are forked."""

from __future__ import annotations

from ..._startup import uncollected

with uncollected():
    from ... import channels, engine  # noqa: F401
    from .. import tasks  # noqa: F401

    channels.compile_channels()
