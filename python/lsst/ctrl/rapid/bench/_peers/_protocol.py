"""What a way of processing images must offer to be measured."""

from __future__ import annotations

__all__ = ("Peer",)

from collections.abc import Sequence
from typing import Protocol

from .._raws import TinyRaw
from .._site import Repository


class Peer(Protocol):
    """A way of processing images.

    Peers are made and warmed before anything is measured; while one is measured the others wait, so that
    repetitions can be interleaved.
    """

    @property
    def name(self) -> str:
        """What it is called in tables."""

    @property
    def repository(self) -> Repository:
        """The central repository into which its outputs go; no other peer has it."""

    def start(self) -> None:
        """Wait until it is warm."""

    def prepare(self, raws: Sequence[TinyRaw]) -> Sequence[TinyRaw]:
        """Do what is done before the clock starts, and return what `process` is to be given."""

    def process(self, raws: Sequence[TinyRaw]) -> str:
        """Process the raws of one exposure.

        Returns
        -------
        run
            The RUN of the central repository that has the outputs.

        Raises
        ------
        RuntimeError
            If it could not.
        """

    def cpu(self) -> float:
        """Return the CPU seconds that its processes have used until now, the database's not counted."""

    def close(self) -> None:
        """End its processes."""
