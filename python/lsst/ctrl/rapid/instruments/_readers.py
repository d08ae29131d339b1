"""The instruments of a repository whose raws can be taken, and which of them a file is of."""

from __future__ import annotations

__all__ = (
    "NotTakenError",
    "RawReaders",
    "family_instrument",
    "import_instrument",
    "make_reader",
    "raw_definition",
)

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

import astropy.io.fits
from astro_metadata_translator import merge_headers

from lsst.daf.butler import Butler, DatasetType, DimensionRecord, MissingDatasetTypeError
from lsst.pipe.base import Instrument

from ._family import FamilyReader
from ._header import RefusedError, read_primary_header
from ._identity import find_instrument
from ._instruments import Latiss, LsstCam, LsstCamSim, LsstComCam, LsstComCamSim, get_instrument
from ._obs_package import ObsPackageReader, recognised_name
from ._protocol import Header, RawReader
from ._storage import RAW_STORAGE_CLASS

_FAMILY = {cls.instrument_name: cls for cls in (LsstCam, LsstCamSim, LsstComCam, LsstComCamSim, Latiss)}

_RAW = ("raw", ("instrument", "exposure", "detector"), "Exposure")
"""Definition of raws of an instrument that gives none, as upstream's ingest has it."""


class NotTakenError(RefusedError):
    """A file is of an instrument that the repository has, and whose raws are not taken here.

    It may be another executor's, so it is left where it is.
    """


@dataclasses.dataclass(frozen=True)
class RawReaders:
    """Finds the instrument of a file among those of a repository.

    Attributes
    ----------
    readers
        By the name of the instrument, those whose files can be taken.
    unreadable
        By the name of the instrument, why files of the others cannot.
    registered
        By the name of the instrument, those whose files cannot be taken, but raws that the repository has
        can: what reads these is recorded with them.
    """

    readers: Mapping[str, RawReader]
    unreadable: Mapping[str, str]
    registered: Mapping[str, RawReader] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, instruments: Iterable[DimensionRecord], raw: DatasetType) -> Self:
        """Return the readers of instruments.

        Parameters
        ----------
        instruments
            Records of the instruments.  Their classes are imported, which registers their translators.
        raw
            The dataset type of raws in the repository.
        """
        readers: dict[str, RawReader] = {}
        registered: dict[str, RawReader] = {}
        unreadable: dict[str, str] = {}
        for record in instruments:
            try:
                reader, fault = _find_reader(record.name, record.class_name, raw.storageClass_name)
            except LookupError as err:
                unreadable[record.name] = str(err.args[0])
                continue
            if fault:
                unreadable[record.name] = fault
            (registered if fault else readers)[record.name] = reader
        return cls(readers, unreadable, registered)

    def of_instrument(self, name: str) -> RawReader:
        """Return the reader of an instrument whose raws are taken from files or from the repository.

        Raises
        ------
        KeyError
            If its class cannot be imported.
        """
        return self.readers.get(name) or self.registered[name]

    @classmethod
    def from_butler(cls, butler: Butler) -> Self:
        """Return the readers of the instruments of a repository; none if it takes no raws yet."""
        try:
            raw = butler.get_dataset_type("raw")
        except MissingDatasetTypeError:
            return cls({}, {})
        return cls.of(butler.query_dimension_records("instrument", explain=False), raw)

    def open(self, path: Path) -> tuple[RawReader, Header]:
        """Return what reads a file, and the header that describes its raw.

        Raises
        ------
        RefusedError
            If the file is not FITS, or is of no instrument of the repository.
        NotTakenError
            If it is of an instrument that cannot be read here.
        OSError
            If the file cannot be read.

        Notes
        -----
        Where the primary header does not say what the instrument is, as in some compressed files, that of
        the next HDU is added to it, as in upstream's ingest.
        """
        header: Header = read_primary_header(path)
        name = _find_name(header, path)
        if name is None and (second := _second_header(path)):
            header = dict(merge_headers([dict(header), second], mode="overwrite"))
            name = _find_name(header, path)
        if name is None:
            given = header.get("INSTRUME")
            fault = "the header has no INSTRUME card" if given is None else f"INSTRUME is {given!r}"
            raise RefusedError(
                f"{fault}, and no metadata translator recognises its instrument; raws of "
                f"{', '.join(sorted(self.readers)) or 'no instrument'} are taken here"
            )
        if (reader := self.readers.get(name)) is not None:
            return reader, reader.header(path, header)
        if (reason := self.unreadable.get(name)) is not None:
            raise NotTakenError(f"it is of {name}: {reason}")
        known = ", ".join(sorted({*self.readers, *self.unreadable}))
        named = name if name in _FAMILY else "CLASS"
        raise RefusedError(
            f"it is of {name}, which this repository does not have (it has {known}); "
            f"register it with 'rapid-exec init-repo REPO --instrument {named}', then start again"
        )


def make_reader(name: str, class_name: str, storage_class: str) -> RawReader:
    """Return the reader of an instrument.

    Raises
    ------
    LookupError
        If its raws cannot be read here; the message says why.
    """
    reader, fault = _find_reader(name, class_name, storage_class)
    if fault:
        raise LookupError(fault)
    return reader


def _find_reader(name: str, class_name: str, storage_class: str) -> tuple[RawReader, str]:
    """Return the reader of an instrument, and why it cannot take files for a repository; empty if it can.

    Raises
    ------
    LookupError
        If its class cannot be imported.
    """
    if name in _FAMILY and storage_class == RAW_STORAGE_CLASS:
        # With any registered class: the raws are those that ours reads.
        return FamilyReader(family_instrument(name)), ""
    instrument = import_instrument(class_name)
    if isinstance(instrument, LsstCam):
        # Ours is registered, and the raws are the full stack's.
        instrument = get_instrument(name)
    type_name, _, expected = raw_definition(instrument)
    fault = ""
    if type_name != "raw":
        fault = f"its raws are datasets of type {type_name!r}, and those of type 'raw' are taken"
    elif expected != storage_class:
        fault = (
            f"class {class_name} reads raws of storage class {expected!r}, and 'raw' of this repository is "
            f"of {storage_class!r}; use a repository of its own for it"
        )
    return ObsPackageReader(instrument), fault


def family_instrument(name: str) -> Instrument:
    """Return our own class of a camera of the LSSTCam family, also where the stack is.

    Raises
    ------
    KeyError
        If it is none of them.
    """
    return _FAMILY[name]()


def import_instrument(class_name: str) -> Instrument:
    """Return an instrument by the full name of its class.

    Raises
    ------
    LookupError
        If it cannot be imported, or is no instrument; the message is a sentence without full stop.
    """
    try:
        return Instrument.from_string(class_name)
    except Exception as err:
        cause = err.__cause__ or err
        raise LookupError(
            f"class {class_name} cannot be imported here ({type(cause).__name__}: {cause}); set up the "
            "package that has it"
        ) from err


def raw_definition(instrument: Instrument) -> tuple[str, tuple[str, ...], str]:
    """Return name, dimensions and storage class of the dataset type of an instrument's raws."""
    name, dimensions, storage_class = instrument.raw_definition or _RAW
    return name, tuple(dimensions), storage_class


def _find_name(header: Header, path: Path) -> str | None:
    """Return the name of the instrument that a header is of; the translators are asked last."""
    try:
        return find_instrument(header)
    except RefusedError:
        return recognised_name(header, path)


def _second_header(path: Path) -> dict[str, str | bool | int | float] | None:
    try:
        with astropy.io.fits.open(path) as hdus:
            header = hdus[1].header
    except (IndexError, OSError, TypeError, ValueError):
        return None
    return {k: v for k, v in header.items() if k and isinstance(v, str | bool | int | float)}
