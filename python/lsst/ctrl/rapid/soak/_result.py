"""What a soak found."""

from __future__ import annotations

__all__ = ("Slope", "SoakResult")

from typing import Literal

from ..check import Balance
from ..model import Model


class Slope(Model):
    """How the resident memory of a process grew, once it was warm."""

    process: str
    """``head`` or ``worker``."""
    pid: int
    minutes: float
    """How long it was looked at."""
    first_mib: float
    last_mib: float
    slope: float
    """MiB a minute, by least squares."""
    error: float
    """Standard error of the slope."""
    later_slope: float
    """The same of the second half: what levels off does not leak."""
    too_steep: bool
    """Whether both are significantly above the limit."""


class SoakResult(Model):
    """A soak in a few numbers."""

    schema_version: Literal[1] = 1
    database: str
    seed: int
    minutes: float
    """How long files were sent."""
    disturbances: dict[str, int]
    """How often each was done."""
    restarts: int
    """How often the head was started again."""
    unexpected: tuple[str, ...]
    """What ended or failed though nobody did anything to it."""
    drained_seconds: float
    """From the last file to the end of the executor."""
    slopes: tuple[Slope, ...]
    memory_slope: float
    """The limit, MiB a minute."""
    balance: Balance

    @property
    def passed(self) -> bool:
        """Whether it balances, nothing ended by itself, and no memory grew."""
        return self.balance.balanced and not self.unexpected and not any(s.too_steep for s in self.slopes)
