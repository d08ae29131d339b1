"""Workers: whether they fit the machine, and become warm."""

from __future__ import annotations

__all__ = ("look_at_workers", "warm_a_worker")

import asyncio
import os
import time
from collections.abc import Iterator

from distributed.system import MEMORY_LIMIT

from ..engine import WorkerPool, WorkerSetup
from ..service import worker_setup
from ._finding import Finding, fault, fine, warning
from ._place import Place

_WORKER_GB = 1.0
"""Of a worker, without what it keeps of calibrations: a full raw, its image and what tasks make of them."""

_WARM_SECONDS = 120.0
_GB = 1e9


def look_at_workers(place: Place) -> Iterator[Finding]:
    """See whether the machine has cores and memory for the workers."""
    workers, cores = place.settings.workers, len(os.sched_getaffinity(0))
    if workers > cores:
        yield warning(f"{workers} workers share {cores} core(s)", f"{cores} are as quick: --workers {cores}")
    else:
        yield fine(f"{workers} worker(s) on {cores} core(s)")
    needed = workers * (_WORKER_GB + place.settings.calibration_cache_mb / 1e3)
    told = f"{workers} worker(s) may take {needed:,.1f} GB, and there are {MEMORY_LIMIT / _GB:,.1f} GB"
    if needed * _GB > MEMORY_LIMIT:
        yield warning(told, "have fewer (--workers), or a smaller 'calibration_cache_mb' in the site file")
    else:
        yield fine(told)


def warm_a_worker(place: Place) -> Iterator[Finding]:
    """Start one worker as a run does, and end it when it is warm."""
    setup = worker_setup(place.settings, place.compiled())
    started = time.monotonic()
    failure = asyncio.run(_warm(setup))
    if failure:
        yield fault(f"a worker could not be warmed ({failure})", "see whether its tasks can be imported here")
    else:
        yield fine(f"a worker is warm after {time.monotonic() - started:.1f} s")


async def _warm(setup: WorkerSetup) -> str:
    """Return why a worker cannot be warmed; nothing if it can."""
    told: asyncio.Queue[str] = asyncio.Queue()
    pool = WorkerPool(
        setup,
        1,
        on_ready=lambda _: told.put_nowait(""),
        on_lost=lambda _: told.put_nowait("its process died"),
        on_failed=lambda _, reason: told.put_nowait(reason),
    )
    await pool.open()
    try:
        await pool.warm()
        async with asyncio.timeout(_WARM_SECONDS):
            return await told.get()
    except TimeoutError:
        return f"it was not within {_WARM_SECONDS:g} s"
    finally:
        await pool.close()
