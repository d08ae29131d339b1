"""Reads the calibrations anew while the run goes on."""

from __future__ import annotations

__all__ = ("Recalibrating",)

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor

from ..plan import is_away
from ._compiled import CompiledRun

_LOG = logging.getLogger(__name__)


class Recalibrating:
    """Reads the calibrations anew, time and again, and at once when asked to.

    Parameters
    ----------
    compiled
        The run.
    registry
        The thread that reads the repository.
    interval
        Seconds between two times.
    """

    def __init__(self, compiled: CompiledRun, registry: ThreadPoolExecutor, interval: float) -> None:
        self._compiled = compiled
        self._registry = registry
        self._interval = interval
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Have them read now; shards that are dispatched once the log says so use them."""
        self._asked.set()

    async def read(self) -> None:
        """Read them; shards that are dispatched from then on use them.

        Raises
        ------
        Exception
            What the registry says when it is out of reach; those known stay in use.
        """
        loop, compiled = asyncio.get_running_loop(), self._compiled
        await loop.run_in_executor(self._registry, compiled.calibrations.refresh, compiled.butler)

    async def go_on(self) -> None:
        """Read them time and again, for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), self._interval)
            asked = self._asked.is_set()
            self._asked.clear()
            try:
                await self.read()
            except Exception as err:  # noqa: BLE001 -- the registry may be out of reach for a while
                _LOG.warning(
                    "The calibrations could not be read anew; those known stay in use: %s: %s",
                    type(err).__name__, " ".join(str(getattr(err, "orig", err)).split()),
                    exc_info=None if is_away(err) else err,
                )  # fmt: skip
            else:
                if asked:
                    _LOG.info("The calibrations were read anew.")
