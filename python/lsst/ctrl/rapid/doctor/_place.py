"""What is looked at: a run's settings, and what is read once for several checks."""

from __future__ import annotations

__all__ = ("NotLookedAtError", "Place")

import threading
from collections.abc import Callable

from lsst.daf.butler import Butler

from .._opening import open_to_read
from ..model import InputError
from ..service import CompiledRun, RunSettings, compile_run


class NotLookedAtError(RuntimeError):
    """Something cannot be looked at for what another check tells; the message says for what."""


class _Once[T]:
    """Something that is made for the first who asks, and told to all."""

    def __init__(self, make: Callable[[], T], otherwise: str) -> None:
        self._make = make
        self._otherwise = otherwise
        self._lock = threading.Lock()
        self._made: T | None = None
        self._failed = False

    def get(self) -> T:
        """Return it; to the first who asks, raise why it cannot be made, to others that it cannot.

        Raises
        ------
        NotLookedAtError
            If somebody has tried in vain, or still tries.
        """
        if self._failed or not self._lock.acquire(timeout=1.0):
            raise NotLookedAtError(self._otherwise)
        try:
            if self._made is None:
                self._failed = True
                self._made = self._make()
                self._failed = False
        finally:
            self._lock.release()
        return self._made


class Place:
    """What a run would find.

    Parameters
    ----------
    settings
        What the run would be told.
    has_pipeline
        Whether a pipeline is named in them; what needs one is not looked at otherwise.

    Attributes
    ----------
    settings, has_pipeline
        As given.
    """

    def __init__(self, settings: RunSettings, *, has_pipeline: bool = True) -> None:
        self.settings = settings
        self.has_pipeline = has_pipeline
        self._butler = _Once(self._open, "the repository cannot be opened")
        self._compiled = _Once(lambda: compile_run(settings), "the pipeline cannot be planned")

    def butler(self) -> Butler:
        """Return the repository, read-only.

        Raises
        ------
        InputError
            If it cannot be opened.
        NotLookedAtError
            If another check was told so before.
        """
        return self._butler.get()

    def compiled(self) -> CompiledRun:
        """Return what a run reads before the first raw comes.

        Raises
        ------
        InputError
            If something is not as it must be.
        NotLookedAtError
            If another check was told so before, or no pipeline is named.
        """
        if not self.has_pipeline:
            raise NotLookedAtError("no pipeline is named")
        self.butler()
        return self._compiled.get()

    def _open(self) -> Butler:
        try:
            return open_to_read(self.settings.repository)
        except InputError as err:
            told = str(err)
        except Exception as err:  # noqa: BLE001 -- each database has errors of its own
            told = f"{self.settings.repository} cannot be opened: {str(err) or type(err).__name__}"
        raise InputError(
            f"{' '.join(told.split())}; see whether -b names a repository and its database is up, or make "
            "one with 'rapid-exec init-repo'"
        )
