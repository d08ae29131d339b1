"""A process that registers raws in random order and in bursts, each a transaction.

``python -m support.ingest_bursts REPO DAYS EXPOSURES DETECTORS [FILE]``: commas between days and between
detectors; exposures are dealt to the days in turn; with a file it is the raw of all.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from support.registered import OtherIngest

SEED = 7
MOST_IN_A_BURST = 150


def raws(days: list[int], exposures: int, detectors: list[int]) -> list[tuple[int, int]]:
    """Return exposures and detectors in the order in which they are registered."""
    numbers = [days[n % len(days)] * 100_000 + n + 1 for n in range(exposures)]
    found = [(number, detector) for number in numbers for detector in detectors]
    random.Random(SEED).shuffle(found)
    return found


def main(root: str, days: str, exposures: str, detectors: str, file: str = "") -> None:
    """Register all."""
    left = raws([*map(int, days.split(","))], int(exposures), [*map(int, detectors.split(","))])
    other = OtherIngest(root)
    rng = random.Random(SEED)
    while left:
        size = rng.randint(1, MOST_IN_A_BURST)
        burst, left = left[:size], left[size:]
        with other.butler.transaction():
            for number in {number for number, _ in burst}:
                other.exposure(number, number // 100_000)
            if file:
                other.files(burst, Path(file))
            else:
                other.register(burst)
            time.sleep(rng.choice([0.0, 0.0, 0.2]))
    other.butler.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
