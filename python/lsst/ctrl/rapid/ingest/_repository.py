"""Repositories that can take our raws: making one, and checking one that somebody else made."""

from __future__ import annotations

__all__ = ("check_instruments", "default_inputs", "make_repository", "open_raw", "registered_instruments")

from collections.abc import Iterable
from pathlib import Path

from lsst.daf.butler import Butler, CollectionType, DatasetType, MissingDatasetTypeError
from lsst.daf.butler.registry import MissingCollectionError
from lsst.pipe.base import Instrument

from ..instruments import (
    RAW_STORAGE_CLASS,
    get_instrument,
    has_full_stack,
    repository_config,
    repository_config_file,
)
from ..model import InputError
from ..plan import register_run


def make_repository(root: Path | str, instruments: Iterable[str]) -> None:
    """Make a repository, or add instruments to one; what is there already stays as it is.

    Parameters
    ----------
    root
        Its folder, or the URI of its configuration.
    instruments
        Names of the instruments to register, each with its raw and calibration collections and the chain
        ``{instrument}/defaults`` of both.

    Raises
    ------
    InputError
        If an instrument is not known, or the repository's raws cannot be read here.
    """
    found = check_instruments(instruments)
    if not Butler.has_repo_config(str(root)):
        Butler.makeRepo(str(root), config=repository_config())
    with Butler.from_config(str(root), writeable=True) as butler:
        for instrument in found:
            instrument.register(butler.registry)
            raws, calibrations = instrument.makeDefaultRawIngestRunName(), f"{instrument.getName()}/calib"
            register_run(butler, raws)
            butler.collections.register(calibrations, CollectionType.CALIBRATION)
            chain = f"{instrument.getName()}/defaults"
            if butler.collections.register(chain, CollectionType.CHAINED):
                butler.collections.redefine_chain(chain, [raws, calibrations])
        storage_class = "Exposure" if has_full_stack() else RAW_STORAGE_CLASS
        if storage_class not in butler.storageClasses:
            raise InputError(
                f"{root}: the repository lacks our raws' storage class {storage_class!r}; add the keys of "
                f"{repository_config_file()} to its butler.yaml."
            )
        try:
            open_raw(butler)
        except MissingDatasetTypeError:
            dimensions = butler.dimensions.conform(["instrument", "exposure", "detector"])
            butler.registry.registerDatasetType(DatasetType("raw", dimensions, storage_class))


def check_instruments(names: Iterable[str]) -> list[Instrument]:
    """Return the instruments of these names.

    Raises
    ------
    InputError
        If one is not known; the message names those that are.
    """
    try:
        return [get_instrument(name) for name in names]
    except LookupError as err:
        raise InputError(str(err.args[0])) from None


def open_raw(butler: Butler) -> DatasetType:
    """Return the dataset type of a repository's raws.

    Raises
    ------
    lsst.daf.butler.MissingDatasetTypeError
        If it has none.
    InputError
        If raws are registered with a storage class that cannot be read here.
    """
    raw = butler.get_dataset_type("raw")
    try:
        _ = raw.storageClass.pytype
    except ImportError as err:
        raise InputError(
            f"This repository's raws are of storage class {raw.storageClass_name!r}, which cannot be read "
            f"here ({err}): run in an environment with the full stack (lsst.obs.lsst), or use a repository "
            "made by 'rapid-exec init-repo'."
        ) from None
    except (KeyError, ValueError) as err:
        raise InputError(
            f"This repository's raws are of a storage class that is not known here: {err}."
        ) from None
    return raw


def registered_instruments(butler: Butler) -> list[str]:
    """Return the names of the instruments that a repository has, in alphabetical order."""
    return sorted(
        str(record.dataId["instrument"])
        for record in butler.query_dimension_records("instrument", explain=False)
    )


def default_inputs(butler: Butler, instruments: Iterable[str]) -> list[str]:
    """Return the input collections that are searched when none are named: ``{instrument}/defaults``.

    Raises
    ------
    InputError
        If an instrument has no such chain.
    """
    inputs = []
    for instrument in instruments:
        name = f"{instrument}/defaults"
        try:
            butler.collections.get_info(name)
        except MissingCollectionError:
            raise InputError(
                f"The repository has no collection {name!r}; name the input collections with -i/--input."
            ) from None
        inputs.append(name)
    return inputs
