"""The parts that a run is wired of."""

from __future__ import annotations

__all__ = ("Parts",)

import dataclasses

from ..commit import Ledger
from ..conductor import Conductor
from ..monitor import RunRecord
from ..publish import FolderPublisher
from ._board import Board
from ._compiled import CompiledRun
from ._ended_before import EndedBefore
from ._live_policy import LivePolicy
from ._outbox import Outbox
from ._planning import HeadPlanner
from ._refusals import Refusals
from ._requests import Requests
from ._scratch import Scratch
from ._settings import RunSettings
from ._storage import Storage


@dataclasses.dataclass(frozen=True)
class Parts:
    """The parts that a run is wired of."""

    settings: RunSettings
    compiled: CompiledRun
    requests: Requests
    conductor: Conductor
    policy: LivePolicy
    record: RunRecord
    board: Board
    ledger: Ledger
    refusals: Refusals
    publisher: FolderPublisher
    outbox: Outbox
    ended_before: EndedBefore
    planner: HeadPlanner
    scratch: Scratch
    storage: Storage

    @property
    def troubles(self) -> tuple[str, ...]:
        """What goes wrong now and needs somebody, a line each."""
        return tuple(filter(None, [self.storage.trouble, self.refusals.trouble]))
