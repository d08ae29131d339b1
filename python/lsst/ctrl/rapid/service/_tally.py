"""How many shards ended how, for whoever asks while the run goes on."""

from __future__ import annotations

__all__ = ("Tally",)

from collections import Counter

from ..model import Outcome

_MOST_REASONS = 20
_OTHERS = "other reasons"


class Tally:
    """Counts the shards of a run as they end."""

    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.shed: Counter[str] = Counter()
        """Those that were shed, by reason."""

    def ended(self, outcome: Outcome, reason: str) -> None:
        """Count a shard."""
        self.outcomes[outcome] += 1
        if outcome is Outcome.SHED:
            known = reason in self.shed or len(self.shed) < _MOST_REASONS
            self.shed[reason if known else _OTHERS] += 1
