"""Dask's nanny of one worker process, which also tells how each process of it ended."""

from __future__ import annotations

__all__ = ("WatchedNanny",)

import asyncio
from typing import Any, override

from distributed import Nanny


class WatchedNanny(Nanny):
    """A nanny whose worker's exit code is not only logged.

    Parameters
    ----------
    *args, **kwargs
        As for Dask's nanny.

    Attributes
    ----------
    exited
        The exit code of the present worker process once it has ended, negative if a signal killed it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        super().__init__(*args, **kwargs)

    @override
    def _on_worker_exit_sync(self, exitcode: int) -> None:
        if not self.exited.done():
            self.exited.set_result(exitcode)
        self.exited = self.exited.get_loop().create_future()
        super()._on_worker_exit_sync(exitcode)  # type: ignore[no-untyped-call]  # upstream is untyped
