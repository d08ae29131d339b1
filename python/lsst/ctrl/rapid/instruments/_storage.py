"""The storage class of raws, which a repository's own configuration tells every butler."""

from __future__ import annotations

__all__ = ("RAW_STORAGE_CLASS", "repository_config")

import importlib.resources

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
    text = importlib.resources.files(__package__).joinpath("repository.yaml").read_text()
    return Config(yaml.safe_load(text))
