"""A worker gives back what it does not use, although it keeps what is freed."""

from __future__ import annotations

import subprocess
import sys

from lsst.ctrl.rapid._startup import WORKER_ENVIRONMENT
from support.processes import environment

PROGRAM = """
import time
import numpy as np, psutil
from lsst.ctrl.rapid.engine._giving_back import give_memory_back

def resident():
    return psutil.Process().memory_info().rss >> 20

before = resident()
images, kept = [], []
for _ in range(100):
    images.append(np.ones(1 << 20, dtype=np.uint8))
    kept.append(np.ones(64, dtype=np.uint8))  # what lives long, between what does not
del images
assert resident() - before > 90, "nothing is given back at once"
give_memory_back(every=0.1)
until = time.monotonic() + 60
while resident() - before > 20:
    assert time.monotonic() < until, "nothing is given back"
    time.sleep(0.05)
"""


def test_what_was_freed_between_what_lives_long_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment() | WORKER_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
