"""Random numbers that depend on what they are for, not on what was drawn before."""

from __future__ import annotations

__all__ = ("Use", "generator")

import enum
import zlib

import numpy as np


class Use(enum.IntEnum):
    """What random numbers are drawn for; each use has a stream of its own."""

    SENSOR = 1
    PIXELS = 2
    STARS = 3
    SEEING = 4
    POINTING = 5
    MISSING = 6
    LATE = 7
    DUPLICATE = 8
    ORDER = 9
    OVERTAKING = 10


def generator(use: Use, seed: int, instrument: str, *keys: int) -> np.random.Generator:
    """Return the generator of a use.

    Parameters
    ----------
    use
        What for.
    seed
        The run's seed.
    instrument
        Name of the instrument.
    *keys
        Non-negative numbers that tell streams of one use apart, such as exposure and detector.
    """
    return np.random.default_rng([seed, zlib.crc32(instrument.encode()), int(use), *keys])
