"""The storage class of raws, and which types of the full stack become ours when they are read."""

from __future__ import annotations

__all__ = (
    "RAW_STORAGE_CLASS",
    "register_storage_classes",
    "repository_config",
    "repository_config_file",
)

import importlib.resources
from pathlib import Path

import yaml

from lsst.daf.butler import Config, StorageClass, StorageClassFactory

RAW_STORAGE_CLASS = "RapidRaw"
"""Name of the storage class of raws read without afw."""

_PACKAGE = __package__
_FROM_EXPOSURE = {RAW_STORAGE_CLASS: "raw_from_exposure", "ImageV2": "image_from_exposure"}
"""By storage class, the function of this package that makes its type of an afw exposure."""


class _Convertible(StorageClass):
    """A storage class with the converters of this package.

    Notes
    -----
    A factory replaces a plain definition by an equal one of a subclass, and not the other way round.  So the
    converters are there, too, where a ``butler.yaml`` defined the class before or defines it again.
    """


def register_storage_classes() -> None:
    """Have every butler of this process know `RAW_STORAGE_CLASS`, and read afw exposures as our types.

    Notes
    -----
    The full stack is not imported, nor does it have to be there.
    """
    factory = StorageClassFactory()
    raw = StorageClass(
        RAW_STORAGE_CLASS,
        pytype=f"{_PACKAGE}.RawImage",
        delegate="lsst.daf.butler.StorageClassDelegate",
        derivedComponents={"header": factory.getStorageClass("StructuredDataDict")},
    )
    for plain in (raw, factory.getStorageClass("ImageV2")):
        converters = {f"{_PACKAGE}.AfwExposure": f"{_PACKAGE}.{_FROM_EXPOSURE[plain.name]}"}
        factory.registerStorageClass(
            _Convertible(
                plain.name,
                pytype=plain._pytypeName,  # noqa: SLF001 -- the type itself would be imported
                components=dict(plain.components),
                derivedComponents=dict(plain.derivedComponents),
                parameters=plain.parameters,
                delegate=plain._delegateClassName,  # noqa: SLF001 -- as the type
                converters={**plain.converters, **converters},
            )
        )


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
