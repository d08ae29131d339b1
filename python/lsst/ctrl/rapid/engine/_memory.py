"""How much memory a worker may take, and whether the system has run out of it."""

from __future__ import annotations

__all__ = ("memory_limit", "system_kills")

from pathlib import Path

from distributed.system import MEMORY_LIMIT

_USABLE = 0.9
_SHARES = 2


def memory_limit(workers: int) -> int:
    """Return how much memory each of so many workers may take where nobody has said so, bytes.

    Twice its share, at most all, of nine tenths of what the machine or the control group of this process has:
    so that one shard that goes astray can take neither the head nor the other workers with it, and a large
    gather beside small detectors can have what these leave.
    """
    return int(_USABLE * MEMORY_LIMIT * min(1.0, _SHARES / workers))


def system_kills() -> int:
    """Return how many processes the kernel has killed since it started because memory had run out."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
