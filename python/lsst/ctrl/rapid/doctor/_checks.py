"""All checks, in the order in which they are done."""

from __future__ import annotations

__all__ = ("CHECKS", "WARM")

from collections.abc import Sequence

from ._clock import look_at_clock
from ._corrections import look_at_corrections
from ._disk import look_at_disks, look_at_spool
from ._earth import look_at_earth_orientation
from ._finding import Check
from ._inputs import look_at_calibrations, look_at_pipeline, look_at_reference_catalogues
from ._landing import look_at_landing
from ._repository import look_at_inputs, look_at_repository, try_to_write
from ._services import look_at_control, look_at_redis
from ._software import look_at_software
from ._workers import look_at_workers, warm_a_worker

CHECKS: Sequence[Check] = (
    Check("software", look_at_software),
    Check("repository", look_at_repository),
    Check("writing", try_to_write, seconds=30.0),
    Check("inputs", look_at_inputs),
    Check("pipeline", look_at_pipeline, seconds=120.0),
    Check("calibrations", look_at_calibrations, seconds=120.0),
    Check("catalogues", look_at_reference_catalogues, seconds=60.0),
    Check("corrections", look_at_corrections),
    Check("landing", look_at_landing, seconds=60.0),
    Check("disk", look_at_disks, seconds=60.0),
    Check("spool", look_at_spool),
    Check("workers", look_at_workers),
    Check("Redis", look_at_redis),
    Check("control", look_at_control),
    Check("clock", look_at_clock, seconds=30.0),
    Check("Earth", look_at_earth_orientation),
)
"""What is looked at always."""

WARM = Check("warm-up", warm_a_worker, seconds=180.0)
"""Starts a worker, which takes some seconds."""
