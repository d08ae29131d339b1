"""What a benchmark runs on."""

from __future__ import annotations

__all__ = ("describe_machine",)

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from .. import __version__
from ._model import Machine

_PACKAGES = ("lsst-pipe-base", "lsst-daf-butler", "distributed", "numpy")


def describe_machine(versions: Mapping[str, str] | None = None) -> Machine:
    """Describe this machine.

    Parameters
    ----------
    versions
        Of what else takes part, by name.
    """
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        system=_system(),
        python=platform.python_version(),
        versions={
            "lsst-ctrl-rapid": __version__,
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
            **(versions or {}),
        },
    )


def _cpu() -> str:
    """Return the processor's name; Python knows it on few systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _system() -> str:
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release()}"
    except (OSError, KeyError):
        return platform.platform()
