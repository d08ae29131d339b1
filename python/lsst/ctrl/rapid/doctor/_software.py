"""What is installed: what was tested together, or something else."""

from __future__ import annotations

__all__ = ("look_at_software", "pinned")

import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from .. import __version__
from ._finding import Finding, fine, warning
from ._place import Place

_LOCK = Path(__file__).parents[5] / "requirements.lock"
"""Where the lock is in a checkout."""

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_TOGETHER = ("lsst-daf-butler", "lsst-pipe-base", "lsst-ctrl-mpexec", "lsst-utils")
"""Packages that are released each week, and belong together."""

_MOST_NAMED = 5


def look_at_software(place: Place) -> Iterator[Finding]:  # noqa: ARG001 -- it is the same everywhere
    """Compare the versions that are installed with those of the lock, and the weeklies with each other."""
    installed = {name: version for name in _TOGETHER if (version := _version(name)) is not None}
    if len(set(installed.values())) > 1:
        told = ", ".join(f"{name} {version}" for name, version in installed.items())
        yield warning(f"packages of different weeks are installed: {told}", "install all of one week")
    else:
        yield fine(f"lsst-ctrl-rapid {__version__} on weekly {next(iter(installed.values()), 'unknown')}")
    if not _LOCK.exists():
        return
    wanted = pinned(_LOCK.read_text())
    others = [
        f"{name} {version} rather than {wanted[name]}"
        for name in sorted(wanted)
        if (version := _version(name)) not in {None, wanted[name]}
    ]
    if others:
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        yield warning(
            f"not as in {_LOCK.name}: {', '.join(others[:_MOST_NAMED])}{more}",
            "'make setup' installs what was tested together",
        )
    else:
        yield fine(f"what is installed is as in {_LOCK.name}")


def pinned(lock: str) -> Mapping[str, str]:
    """Return the versions that a lock names, by package; where it has several, for other systems, none."""
    found: dict[str, set[str]] = {}
    for name, version in _PIN.findall(lock):
        found.setdefault(name.lower(), set()).add(version)
    return {name: versions.pop() for name, versions in found.items() if len(versions) == 1}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
