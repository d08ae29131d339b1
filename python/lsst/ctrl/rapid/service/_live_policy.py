"""The policy that holds now, for the raws that come."""

from __future__ import annotations

__all__ = ("LivePolicy",)

from ..conductor import Conductor, PatternChoice
from ..ingest import Raw
from ..model import Guaranteed, Policy
from ..plan import Selector
from ._compiled import CompiledRun


class LivePolicy:
    """Tells which exposures are always whole, and has the policy changed while the executor runs.

    Parameters
    ----------
    compiled
        The run; its policy holds first.
    conductor
        Follows the policy.
    """

    def __init__(self, compiled: CompiledRun, conductor: Conductor) -> None:
        self._compiled = compiled
        self._conductor = conductor
        self._guaranteed = compiled.policy.guaranteed
        self._selects = self._selector(self._guaranteed)

    def guarantees(self, raw: Raw) -> bool:
        """Tell whether a raw's exposure is always processed whole."""
        if raw.exposure in self._guaranteed.exposures:
            return True
        return self._selects is not None and self._selects(raw.exposure_records)

    def change(self, policy: Policy) -> None:
        """Have another policy: its mode holds at once, the rest for exposures whose first raw is to come.

        Raises
        ------
        InputError
            If it is not valid for the instruments of the run; the one before still holds then.
        """
        selects = self._selector(policy.guaranteed)
        choice = PatternChoice(self._compiled.patterns_under(policy))
        self._conductor.set_policy(policy, choice)
        self._guaranteed, self._selects = policy.guaranteed, selects

    def _selector(self, guaranteed: Guaranteed) -> Selector | None:
        """Return what tells of an exposure whether it is guaranteed by its header."""
        if not guaranteed.where:
            return None
        return Selector(guaranteed.where, self._compiled.records.universe, "guaranteed.where")
