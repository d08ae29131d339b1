"""What is installed, looked up once: it does not change while the tests run."""

from __future__ import annotations

import functools

from lsst.utils import packages


def remember_packages() -> None:
    """Have upstream find out only once in this process, and in what is forked from it, what is installed.

    It asks every time a RUN is made, ours as well as pipetask's, and that takes 0.3 s of CPU time.
    """
    if not hasattr(packages.packages_distributions, "cache_info"):
        packages.packages_distributions = functools.cache(packages.packages_distributions)
    packages.packages_distributions()
