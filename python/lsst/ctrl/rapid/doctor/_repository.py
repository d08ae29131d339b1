"""The repository: whether it answers, fits, and can be written."""

from __future__ import annotations

__all__ = ("datastore_roots", "look_at_inputs", "look_at_repository", "try_to_write")

import uuid
from collections.abc import Iterator

import sqlalchemy.exc

from lsst.daf.butler import Butler, DimensionUniverse, MissingDatasetTypeError
from lsst.daf.butler.registry import MissingCollectionError
from lsst.resources import ResourcePath

from ..ingest import default_inputs, open_raw, registered_instruments, unreadable_instruments
from ._finding import Finding, fault, fine, warning
from ._place import Place


def look_at_repository(place: Place) -> Iterator[Finding]:
    """See whether the repository answers, and has the dimensions, the raws and the instruments of a run."""
    butler, repository = place.butler(), place.settings.repository
    ours, theirs = DimensionUniverse(), butler.dimensions
    if theirs.namespace != ours.namespace or theirs.version > ours.version:
        yield fault(
            f"its dimensions are {theirs.namespace} {theirs.version}, and the middleware here knows "
            f"{ours.namespace} up to {ours.version}",
            "install the middleware with which it was made or migrated",
        )
    elif theirs.version < ours.version:
        yield warning(
            f"its dimensions are of version {theirs.version}, those here of {ours.version}",
            "'butler migrate' brings it up to date",
        )
    there = registered_instruments(butler)
    try:
        raw = open_raw(butler)
    except MissingDatasetTypeError:
        yield fault("it takes no raws yet", f"run 'rapid-exec init-repo {repository} --instrument NAME'")
    else:
        wanted = set(place.settings.instruments or there)
        for name, reason in sorted(unreadable_instruments(butler, raw).items()):
            if name in wanted:
                found = fault if place.settings.instruments else warning
                yield found(
                    f"raws of {name} are not taken: {reason}", "or name other instruments with --instrument"
                )
    for name in place.settings.instruments or ([] if there else ["NAME"]):
        if name not in there:
            yield fault(
                f"instrument {name} is not registered" if there else "no instrument is registered",
                f"run 'rapid-exec init-repo {repository} --instrument {name}'",
            )
    if there:
        yield fine(f"{repository} answers; dimensions {theirs.version}; has {', '.join(there)}")


def look_at_inputs(place: Place) -> Iterator[Finding]:
    """See whether the collections are there that are searched for inputs."""
    butler = place.butler()
    instruments = place.settings.instruments or sorted(
        set(registered_instruments(butler)) - unreadable_instruments(butler, open_raw(butler)).keys()
    )
    inputs = place.settings.inputs or default_inputs(butler, instruments)
    for name in inputs:
        try:
            found = butler.collections.query(name, flatten_chains=True)
        except MissingCollectionError:
            yield fault(
                f"there is no collection {name!r}",
                "name another with -i, or make it: 'butler query-collections REPO' lists what there is",
            )
        else:
            yield fine(f"{name} is there, with {len(found)} collection(s)")


class _UndoneError(Exception):
    """What was written is taken back."""


def try_to_write(place: Place) -> Iterator[Finding]:
    """Write to the registry in a transaction that is taken back, and a file that is removed."""
    reading, repository = place.butler(), place.settings.repository
    instruments = registered_instruments(reading)
    if instruments:
        try:
            with Butler.from_config(repository, writeable=True) as butler, butler.transaction():
                values = {"instrument": instruments[0], "name": f"rapid-exec doctor {uuid.uuid4()}"}
                butler.registry.insertDimensionData("group", values)
                raise _UndoneError
        except _UndoneError:
            yield fine("the registry takes what is written")
        except sqlalchemy.exc.DBAPIError as err:
            yield fault(
                f"the registry cannot be written ({' '.join(str(err.orig).split())})",
                "see to the rights of this user, and to the database's disk",
            )
    for root in datastore_roots(reading):
        try:
            _write_file(root)
        except Exception as err:  # noqa: BLE001 -- each kind of storage has errors of its own
            yield fault(
                f"{root} cannot be written ({type(err).__name__}: {' '.join(str(err).split())})",
                "see whether it is mounted, full, or closed to this user",
            )
        else:
            yield fine(f"{root} takes files")


def datastore_roots(butler: Butler) -> list[ResourcePath]:
    """Return where a repository's files are."""
    return [root for root in butler._datastore.roots.values() if root is not None]  # noqa: SLF001 -- it has no public name


def _write_file(root: ResourcePath) -> None:
    """Write a file with something in it, and remove it."""
    file = root.join(f".rapid-exec-doctor-{uuid.uuid4()}", forceDirectory=False)
    try:
        file.write(b"x" * 4096)
    finally:
        if file.exists():
            file.remove()
