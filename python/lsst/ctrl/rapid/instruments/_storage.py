"""The storage class of raws, which a repository's own configuration tells every butler."""

from __future__ import annotations

__all__ = ("RAW_STORAGE_CLASS", "repository_config", "repository_config_file")

import importlib.resources
from pathlib import Path

import yaml

from lsst.daf.butler import Config

RAW_STORAGE_CLASS = "RapidRaw"
"""Name of the storage class of raws read without afw."""


def repository_config() -> Config:
    """Return what a repository's ``butler.yaml`` must say for it to read raws without afw.

    Returns
    -------
    config
        The storage class and its formatter.  Pass it to `lsst.daf.butler.Butler.makeRepo`, or update the
        configuration of an existing repository with it: whoever opens the repository then knows them, with
        nothing else to import or to configure.
    """
    return Config(yaml.safe_load(repository_config_file().read_text()))


def repository_config_file() -> Path:
    """Return the file that `repository_config` reads, for who adds its keys to a repository by hand."""
    return Path(str(importlib.resources.files(__package__).joinpath("repository.yaml")))
