"""Repositories that can take our raws: making one, and checking one that others made."""

from __future__ import annotations

__all__ = (
    "check_cameras",
    "default_inputs",
    "make_repository",
    "open_raw",
    "readable_instruments",
    "registered_instruments",
    "unreadable_instruments",
)

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from lsst.daf.butler import (
    Butler,
    CollectionType,
    DatasetType,
    DimensionRecord,
    MissingDatasetTypeError,
)
from lsst.daf.butler.registry import MissingCollectionError
from lsst.pipe.base import Instrument
from lsst.utils.introspection import get_full_type_name

from ..instruments import (
    RAW_STORAGE_CLASS,
    RawReaders,
    camera_names,
    family_instrument,
    get_instrument,
    import_instrument,
    make_reader,
    raw_definition,
    repository_config,
    repository_config_file,
)
from ..model import InputError, did_you_mean
from ..plan import ContradictionError, register_run
from ._keeping_registry import KeepingRegistry

_LOG = logging.getLogger(__name__)


def make_repository(root: Path | str, instruments: Iterable[str]) -> list[str]:
    """Make a repository, or add instruments to one; what is there already stays as it is.

    Parameters
    ----------
    root
        Its folder, or the URI of its configuration.
    instruments
        What to register: the name of a camera of the LSSTCam family or of an instrument that the repository
        has, or the full name of a class.  Each gets its raw and calibration collections and the chain
        ``{instrument}/defaults`` of both.

    Returns
    -------
    names
        Names of the instruments in the registry.

    Raises
    ------
    InputError
        If an instrument is not known, or the repository's raws cannot be read here.  Nothing is registered
        then.
    """
    names = list(instruments)
    if not Butler.has_repo_config(str(root)):
        found = [_find_instrument(name, {}) for name in names]
        _agree(root, found)
        Butler.makeRepo(str(root), config=repository_config())
    with Butler.from_config(str(root), writeable=True) as butler:
        classes = {record.name: record.class_name for record in _instrument_records(butler)}
        try:
            without_afw = open_raw(butler).storageClass_name == RAW_STORAGE_CLASS
        except MissingDatasetTypeError:
            without_afw = False
        found = [_find_instrument(name, classes, without_afw=without_afw) for name in names]
        raw = _raw_type(root, butler, found)
        for instrument in found:
            name = instrument.getName()
            class_name = classes.get(name, get_full_type_name(instrument))
            try:
                make_reader(name, class_name, raw.storageClass_name)
            except LookupError as err:
                raise InputError(f"{root}: {name}: {err.args[0]}.") from None
        for instrument in found:
            _register(root, butler, instrument)
        butler.registry.registerDatasetType(raw)
    return [instrument.getName() for instrument in found]


def _find_instrument(name: str, registered: Mapping[str, str], *, without_afw: bool = False) -> Instrument:
    """Return an instrument by its name, or the name of its class.

    Of a camera of the LSSTCam family it is the full stack's own class where that can be imported, but ours
    for a repository whose raws are read without afw.

    Raises
    ------
    InputError
        If there is none.
    """
    if "." in name:
        try:
            return import_instrument(name)
        except LookupError as err:
            raise InputError(f"--instrument: {err.args[0]}.") from None
    if name in camera_names():
        return family_instrument(name) if without_afw else get_instrument(name)
    if name in registered:
        try:
            return import_instrument(registered[name])
        except LookupError as err:
            raise InputError(f"Instrument {name}: {err.args[0]}.") from None
    known = [*camera_names(), *sorted(registered.keys() - set(camera_names()))]
    raise InputError(
        f"There is no instrument {name!r}; known are {', '.join(known)}, and any other by the name of its "
        f"class, like lsst.obs.subaru.HyperSuprimeCam{did_you_mean(name, known)}"
    )


def _agree(root: Path | str, instruments: Iterable[Instrument]) -> tuple[str, tuple[str, ...], str] | None:
    """Return the definition of raws that instruments have in common.

    Raises
    ------
    InputError
        If they differ.
    """
    definitions = {instrument.getName(): raw_definition(instrument) for instrument in instruments}
    if len(set(definitions.values())) > 1:
        told = ", ".join(
            f"{kind} ({found[2]}) of {name}" for name, found in definitions.items() for kind in [found[0]]
        )
        raise InputError(
            f"{root}: the raws of these instruments are datasets of different types: {told}; use a "
            "repository for each."
        )
    return next(iter(definitions.values()), None)


def _raw_type(root: Path | str, butler: Butler, instruments: Iterable[Instrument]) -> DatasetType:
    """Return the dataset type of raws, as it is registered or as the instruments need it.

    Raises
    ------
    InputError
        If raws of it could not be read here.
    """
    try:
        return open_raw(butler)
    except MissingDatasetTypeError:
        pass
    found = _agree(root, instruments)
    if found is None:
        raise InputError(f"{root}: name an instrument.")
    name, dimensions, storage_class = found
    if storage_class == RAW_STORAGE_CLASS and storage_class not in butler.storageClasses:
        raise InputError(
            f"{root}: the repository lacks our raws' storage class {storage_class!r}; add the keys of "
            f"{repository_config_file()} to its butler.yaml."
        )
    if name != "raw":
        raise InputError(
            f"{root}: its raws would be datasets of type {name!r}; those of type 'raw' are taken."
        )
    try:
        raw = DatasetType(
            name, butler.dimensions.conform(dimensions), butler.storageClasses.getStorageClass(storage_class)
        )
        _ = raw.storageClass.pytype
    except (ImportError, KeyError, ValueError) as err:
        raise InputError(
            f"{root}: raws are of storage class {storage_class!r}, which cannot be read here ({err})."
        ) from None
    return raw


def _register(root: Path | str, butler: Butler, instrument: Instrument) -> None:
    """Register an instrument and its collections; what is registered otherwise stays, with a warning."""
    name = instrument.getName()
    registry = KeepingRegistry(butler)
    try:
        instrument.register(registry)  # type: ignore[arg-type]  # as much of a registry as it needs
    except ContradictionError as err:
        raise InputError(f"{root}: {name} cannot be registered: {err}.") from None
    for element, kept in registry.kept.items():
        more = f" (and {len(kept) - 1} more records)" if len(kept) > 1 else ""
        _LOG.warning("%s: a record of %s stays as it is registered: %s%s.", name, element, kept[0], more)
    raws, calibrations = instrument.makeDefaultRawIngestRunName(), f"{name}/calib"
    register_run(butler, raws)
    butler.collections.register(calibrations, CollectionType.CALIBRATION)
    chain = f"{name}/defaults"
    if butler.collections.register(chain, CollectionType.CHAINED):
        butler.collections.redefine_chain(chain, [raws, calibrations])


def check_cameras(names: Iterable[str]) -> None:
    """Check that there are cameras of these names in the LSSTCam family, which can be simulated.

    Raises
    ------
    InputError
        If there is none; the message names those that there are.
    """
    for name in names:
        if name not in camera_names():
            raise InputError(
                f"There is no camera {name!r} to simulate; known are {', '.join(camera_names())}"
                f"{did_you_mean(name, camera_names())}"
            )


def open_raw(butler: Butler) -> DatasetType:
    """Return the dataset type of a repository's raws.

    Raises
    ------
    lsst.daf.butler.MissingDatasetTypeError
        If it has none.
    InputError
        If raws are registered with a storage class that cannot be read here, or the repository's dimensions
        are too old.
    """
    if missing := {"day_obs", "group"} - set(butler.dimensions.dimensions.names):
        raise InputError(
            f"This repository's dimensions are of version {butler.dimensions.version}, without "
            f"{' and '.join(sorted(missing))}; 'butler migrate' brings it up to date."
        )
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
    return sorted(record.name for record in _instrument_records(butler))


def readable_instruments(
    butler: Butler, raw: DatasetType, wanted: Iterable[str], *, in_repository: bool = False
) -> list[str]:
    """Return the names of the instruments whose raws are taken.

    Parameters
    ----------
    butler
        The repository.
    raw
        The dataset type of raws.
    wanted
        Those that were asked for; all that can be read here, if none is.
    in_repository
        Whether raws that the repository has are taken: then the class of each instrument must be importable,
        and its files need not be readable.

    Raises
    ------
    InputError
        If one that was asked for is not registered or cannot be read here, or none can be.
    """
    records = _instrument_records(butler)
    readers = RawReaders.of(records, raw)
    there = sorted(record.name for record in records)
    named = list(wanted)
    for name in named:
        if name not in there:
            raise InputError(
                f"instrument {name!r} is not registered (there are {', '.join(there)}"
                f"{did_you_mean(name, there)}); 'rapid-exec init-repo REPO --instrument NAME' registers "
                "one"
            )
    taken = readers.readers.keys() | (readers.registered.keys() if in_repository else ())
    for name in named or (there if in_repository else ()):
        if name not in taken:
            raise InputError(
                f"raws of {name} cannot be read: {readers.unreadable[name]}, or name other instruments with "
                "--instrument"
            )
    if named:
        return named
    for name in there:
        if name not in taken:
            _LOG.warning("Raws of %s are not taken: %s.", name, readers.unreadable[name])
    if there and not taken:
        raise InputError("no instrument of it can be read here (see the lines above)")
    return sorted(taken)


def unreadable_instruments(butler: Butler, raw: DatasetType) -> Mapping[str, str]:
    """Return why raws of registered instruments cannot be read here, by the name of the instrument."""
    return RawReaders.of(_instrument_records(butler), raw).unreadable


def _instrument_records(butler: Butler) -> list[DimensionRecord]:
    return butler.query_dimension_records("instrument", explain=False)


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
