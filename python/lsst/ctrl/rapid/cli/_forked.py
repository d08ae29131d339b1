"""Imported by the fork server: what workers and the simulated camera need, so that none imports it again."""

from __future__ import annotations

from .._startup import uncollected

with uncollected():
    from .. import channels, engine  # noqa: F401
    from . import _simulate  # noqa: F401
