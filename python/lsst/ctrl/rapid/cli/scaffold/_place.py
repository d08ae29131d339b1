"""Where a new channel goes: this checkout, or a package of the scientist's own."""

from __future__ import annotations

__all__ = (
    "Checkout",
    "OwnPackage",
    "Place",
    "find_checkout",
    "open_package",
    "package_folder",
    "summit_pipeline",
)

import dataclasses
import importlib.resources
import importlib.util
import keyword
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ...model import InputError
from ._imports import Style
from ._spec import ChannelNames

_DISTRIBUTION = "lsst-ctrl-rapid"
SUMMIT = "eups://ctrl_rapid/pipelines/summit.yaml"
"""The summit pipeline wherever this package is: ``$CTRL_RAPID_DIR`` if set, else what is installed."""


class Place(Protocol):
    """Where the files of a channel go."""

    @property
    def root(self) -> Path:
        """The folder of the whole."""
        ...

    @property
    def style(self) -> Style:
        """How the module's imports are sorted."""
        ...

    @property
    def test_style(self) -> Style:
        """How those of the test are sorted."""
        ...

    def module(self, names: ChannelNames) -> Path:
        """Return the file of a channel's module."""
        ...

    def test(self, names: ChannelNames) -> Path:
        """Return the file of a channel's test."""
        ...

    def import_from(self, names: ChannelNames) -> str:
        """Return the module that a channel's classes are imported from."""
        ...

    def step_prefix(self, pipeline: Path) -> str:
        """Return what the labels of new steps begin with."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Checkout:
    """The source tree of this package."""

    root: Path

    @property
    def style(self) -> Style:
        """How the module's imports are sorted."""
        return Style(("lsst",))

    @property
    def test_style(self) -> Style:
        """How those of the test are sorted."""
        return Style(("lsst.ctrl.rapid",))

    @property
    def exports(self) -> Path:
        """The file that exports the channels."""
        return self.root / "python/lsst/ctrl/rapid/channels/__init__.py"

    def module(self, names: ChannelNames) -> Path:
        """Return the file of a channel's module."""
        return self.exports.with_name(f"_{names.snake}.py")

    def test(self, names: ChannelNames) -> Path:
        """Return the file of a channel's test."""
        return self.root / f"tests/channels/test_{names.snake}.py"

    def import_from(self, names: ChannelNames) -> str:  # noqa: ARG002 -- one module exports all of them
        """Return the module that a channel's classes are imported from."""
        return "lsst.ctrl.rapid.channels"

    def step_prefix(self, pipeline: Path) -> str:
        """Return what the labels of new steps begin with."""
        return _identifier(pipeline.stem)


@dataclasses.dataclass(frozen=True, slots=True)
class OwnPackage:
    """A package of the scientist's own, which may not be there yet.

    Attributes
    ----------
    root
        Its folder.
    package
        Name of its Python package.
    """

    root: Path
    package: str

    @property
    def style(self) -> Style:
        """How imports are sorted."""
        return Style()

    @property
    def test_style(self) -> Style:
        """How those of the test are sorted."""
        return Style()

    @property
    def sources(self) -> Path:
        """What must be on ``PYTHONPATH``."""
        return self.root / "python"

    def module(self, names: ChannelNames) -> Path:
        """Return the file of a channel's module."""
        return self.sources / self.package / f"{names.snake}.py"

    def test(self, names: ChannelNames) -> Path:
        """Return the file of a channel's test."""
        return self.root / f"tests/test_{names.snake}.py"

    def pipeline(self, names: ChannelNames) -> Path:
        """Return the file of the pipeline that is made for a channel."""
        return self.root / f"pipelines/{names.label}.yaml"

    def import_from(self, names: ChannelNames) -> str:
        """Return the module that a channel's classes are imported from."""
        return f"{self.package}.{names.snake}"

    def step_prefix(self, pipeline: Path) -> str:  # noqa: ARG002 -- all pipelines of a package share steps
        """Return what the labels of new steps begin with."""
        return self.package


def find_checkout(working: Path, package: Path) -> Checkout:
    """Return the checkout around the working directory, or else the one that this package is run from.

    Parameters
    ----------
    working
        The working directory.
    package
        The folder of this package (see `package_folder`).

    Raises
    ------
    InputError
        If there is none, since the package was installed without its source tree.
    """
    for folder in _upwards(working, package):
        if _is_checkout(folder):
            return Checkout(folder)
    raise InputError(
        f"The package is installed in {package}, without its source tree: there is nowhere to put a channel. "
        "Name a package of your own with --package DIR, or run this in a checkout."
    )


def open_package(folder: Path) -> OwnPackage:
    """Return the scientist's package in a folder, which need not be there.

    Raises
    ------
    InputError
        If its name can be no Python package's, or the folder is something else.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--package: {folder} is a file, not a folder.")
    if folder.is_dir() and _is_checkout(folder):
        raise InputError(f"--package: {folder} is the checkout of rapid-exec itself; leave --package out.")
    packages = [init.parent.name for init in sorted((folder / "python").glob("*/__init__.py"))]
    if len(packages) > 1:
        raise InputError(
            f"--package: {folder / 'python'} has {len(packages)} packages ({', '.join(packages)}); one is "
            "expected."
        )
    name = packages[0] if packages else _identifier(folder.resolve().name)
    if not name.isidentifier() or keyword.iskeyword(name) or name == "lsst":
        raise InputError(
            f"--package: {folder.name!r} cannot be the name of a Python package; choose another folder."
        )
    own = OwnPackage(folder, name)
    found = importlib.util.find_spec(name)
    if found is not None and own.sources.resolve() not in Path(found.origin or "").resolve().parents:
        raise InputError(f"--package: there is a Python package {name!r} already; choose another folder.")
    return own


def package_folder() -> Path:
    """Return where this package is."""
    return Path(str(importlib.resources.files("lsst.ctrl.rapid")))


def summit_pipeline() -> Path:
    """Return the summit pipeline of this installation."""
    return package_folder() / "resources/pipelines/summit.yaml"


def _upwards(*starts: Path) -> Iterator[Path]:
    for start in starts:
        yield from (start, *start.parents)


def _is_checkout(folder: Path) -> bool:
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return project.get("project", {}).get("name") == _DISTRIBUTION and Checkout(folder).exports.exists()


def _identifier(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_").lower()
