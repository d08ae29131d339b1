"""Repositories to measure in: made once, copied for each peer."""

from __future__ import annotations

__all__ = (
    "INPUTS",
    "Repository",
    "Site",
    "link_or_copy",
    "make_ingestor",
    "open_site",
    "pipeline_file",
    "register_raws",
)

import contextlib
import importlib.resources
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import astropy.time
import numpy as np

from lsst.daf.butler import Butler, CollectionType, DatasetRef, DatasetType, FileDataset, Timespan
from lsst.pipe.base import Pipeline

from ..commit import sync_records
from ..ingest import Ingestor, make_repository, open_raw
from ..instruments import repository_config
from ..model import Arrival
from ..plan import RecordStore
from ._model import Database
from ._raws import INSTRUMENT, TinyRaw, amplifiers
from ._server import DatabaseServer, postgresql

INPUTS = f"{INSTRUMENT}/defaults"
"""Collection of raws and calibrations."""

_VALID = Timespan(
    astropy.time.Time("2015-01-01T00:00:00", scale="tai"),
    astropy.time.Time("2100-01-01T00:00:00", scale="tai"),
)


@dataclass(frozen=True)
class Repository:
    """A repository.

    Attributes
    ----------
    name
        Its name among those of the site.
    root
        Its folder.
    database
        Where its registry is.
    """

    name: str
    root: Path
    database: Database

    def open(self, *, run: str | None = None, writeable: bool = False) -> Butler:
        """Return a butler that searches the RUN, if there is one, and the inputs."""
        collections = [INPUTS] if run is None else [run, INPUTS]
        return Butler.from_config(str(self.root), collections=collections, run=run, writeable=writeable)


class Site:
    """Where repositories of one kind are made: each a copy of one that takes raws and has calibrations.

    Parameters
    ----------
    folder
        Where they are made.
    server
        Has their registries; `None` for files of SQLite.
    detectors
        Those that have calibrations.
    """

    def __init__(self, folder: Path, server: DatabaseServer | None, detectors: Sequence[int]) -> None:
        self._folder = folder
        self._server = server
        self._database: Database = "sqlite" if server is None else "postgresql"
        self._template = self._make_template(detectors)

    @property
    def database(self) -> Database:
        """Where the registries are."""
        return self._database

    @property
    def server(self) -> DatabaseServer | None:
        """What has the registries; `None` for files."""
        return self._server

    @property
    def versions(self) -> dict[str, str]:
        """Version of the database's server, by its name."""
        return {} if self._server is None else {"PostgreSQL": self._server.version}

    @property
    def server_pids(self) -> tuple[int, ...]:
        """Process IDs of the database's servers; SQLite has none."""
        return () if self._server is None else (self._server.pid,)

    def copy(self, name: str) -> Repository:
        """Make another repository.

        Parameters
        ----------
        name
            Its name, of letters, digits and hyphens.
        """
        template, root = self._template.root, self._folder / name
        shutil.copytree(template, root, copy_function=link_or_copy)
        if self._server is not None:
            self._server.create(self.registry(name), self.registry(self._template.name))
            config = root / "butler.yaml"
            old, new = (self._server.uri(self.registry(one)) for one in (self._template.name, name))
            config.write_text(config.read_text().replace(old, new))
        return Repository(name, root, self._database)

    def _make_template(self, detectors: Sequence[int]) -> Repository:
        repository = Repository("template", self._folder / "template", self._database)
        config = repository_config()
        if self._server is not None:
            self._server.create(self.registry(repository.name), "postgres")
            config["registry", "db"] = self._server.uri(self.registry(repository.name))
        Butler.makeRepo(str(repository.root), config=config)
        make_repository(repository.root, [INSTRUMENT])
        with repository.open(writeable=True) as butler:
            _certify_biases(butler.clone(run=f"{INSTRUMENT}/calib/tiny"), detectors)
            Pipeline.from_uri(str(pipeline_file())).to_graph(registry=butler.registry).register_dataset_types(
                butler
            )
        return repository

    def registry(self, name: str) -> str:
        """Return the name of a repository's database on the server."""
        return f"{self._folder.name}-{name}"


@contextlib.contextmanager
def open_site(folder: Path, database: Database, detectors: Sequence[int]) -> Iterator[Site]:
    """Make a site, with a PostgreSQL server where that is wanted, until the context is left.

    Parameters
    ----------
    folder
        Where it is made; must not be there yet.
    database
        Where registries are.
    detectors
        Those that have calibrations.

    Raises
    ------
    lsst.ctrl.rapid.model.InputError
        If PostgreSQL cannot be started.
    """
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgresql(folder / "server")) if database == "postgresql" else None
        yield Site(folder, server, detectors)


def pipeline_file() -> Path:
    """Return the pipeline of the two tiny tasks."""
    return Path(str(importlib.resources.files(__package__).joinpath("pipelines", "tiny.yaml")))


def register_raws(butler: Butler, ingestor: Ingestor, raws: Iterable[TinyRaw]) -> list[DatasetRef]:
    """Register raws where they are, with all records of their exposure, in one transaction.

    Parameters
    ----------
    butler
        The repository.
    ingestor
        Reads the headers.
    raws
        The files.
    """
    ready = [ingestor.read(Arrival(raw.path, 0.0, 0.0)) for raw in raws]
    records = {id(one.to_register): one.to_register for one in ready}
    sync_records(butler, (record for found in records.values() for record in found))
    for run in {one.ref.run for one in ready}:
        butler.collections.register(run, CollectionType.RUN)
    butler.ingest(
        *(FileDataset(path=str(one.arrival.path), refs=[one.ref], formatter=one.formatter) for one in ready),
        transfer="direct",
    )
    return [one.ref for one in ready]


def make_ingestor(butler: Butler) -> Ingestor:
    """Return what reads headers for a repository."""
    return Ingestor(open_raw(butler), RecordStore.from_butler(butler, [INSTRUMENT]))


def _certify_biases(butler: Butler, detectors: Iterable[int]) -> None:
    """Make calibrations: the bias of a detector, ADU, is its number."""
    bias = DatasetType(
        "tiny_bias", ["instrument", "detector"], "NumpyArray", universe=butler.dimensions, isCalibration=True
    )
    butler.registry.registerDatasetType(bias)
    with butler.transaction():
        refs = [
            butler.put(
                np.full(amplifiers(number), number, np.float32),
                bias,
                instrument=INSTRUMENT,
                detector=number,
            )
            for number in detectors
        ]
        butler.registry.certify(f"{INSTRUMENT}/calib", refs, _VALID)


def link_or_copy(source: str, target: str) -> None:
    """Link a file of a dataset, which nobody writes to; copy what may change."""
    if source.endswith((".yaml", ".sqlite3")):
        shutil.copy2(source, target)
    else:
        os.link(source, target)
