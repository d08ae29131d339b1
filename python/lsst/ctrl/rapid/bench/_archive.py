"""Repositories with more and more datasets: filled once, copied for each measurement."""

from __future__ import annotations

__all__ = ("OUTPUT", "Archive", "open_archive", "run_folder")

import asyncio
import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from .. import __version__
from ..model import Model, Outcome
from ..service import Executor, RunSettings
from ._history import count_datasets, day_before, fill
from ._model import Database, Tell
from ._peers._child import Child
from ._raws import INSTRUMENT, TinyCamera
from ._server import DatabaseServer, postgresql
from ._site import Repository, Site, link_or_copy, pipeline_file

OUTPUT = "bench/scale"
"""The chain into which all that there is was made, and more is to be made."""

_FORMAT = 1


class _Contents(Model):
    """What an archive holds; it is made anew where this differs."""

    format: int = _FORMAT
    version: str = __version__
    detectors: tuple[int, ...]
    camera: int
    sizes: tuple[int, ...]
    exposure: int = 0
    day_obs: int = 0


@dataclass(frozen=True)
class Archive:
    """Repositories of one kind, by how many datasets they hold.

    Attributes
    ----------
    folder
        Where they are.
    database
        Where the registries are.
    server
        Has them; `None` for files.
    exposure, day_obs
        The newest exposure that they all have, and its day: the only one with raws in ``landing``.
    """

    folder: Path
    database: Database
    server: DatabaseServer | None
    exposure: int
    day_obs: int

    @property
    def landing(self) -> Path:
        """The raws of the newest exposure."""
        return self.folder / "raws" / str(self.exposure)

    @property
    def since(self) -> int:
        """The day before the newest: its exposures are all that a watch looks at first."""
        return day_before(self.day_obs)

    @contextlib.contextmanager
    def copy(self, size: int) -> Iterator[Repository]:
        """Give a repository of its own to a measurement, until the context is left."""
        name = f"copy-{size}"
        repository = _copy(self, f"filled-{size}", name)
        try:
            yield repository
        finally:
            for folder in (repository.root, run_folder(repository)):
                shutil.rmtree(folder, ignore_errors=True)
            if self.server is not None:
                self.server.drop(_registry(self.folder, name))


@contextlib.contextmanager
def open_archive(
    folder: Path,
    database: Database,
    detectors: Sequence[int],
    camera: int,
    sizes: Sequence[int],
    tell: Tell,
) -> Iterator[Archive]:
    """Make repositories of several sizes, or take those that were made before, until the context is left.

    Parameters
    ----------
    folder
        Where they are, and stay.
    database
        Where the registries are.
    detectors
        Those that have calibrations.
    camera
        How many of them each exposure has that is there.
    sizes
        How many datasets; a repository with nothing but the newest exposure is the least.
    tell
        Takes a line on what is done.

    Raises
    ------
    lsst.ctrl.rapid.model.InputError
        If PostgreSQL cannot be started.
    """
    wanted = _Contents(detectors=tuple(detectors), camera=camera, sizes=tuple(sizes))
    marker = folder / "contents.json"
    there = _Contents.model_validate_json(marker.read_text()) if marker.is_file() else None
    if there is None or there.model_copy(update={"exposure": 0, "day_obs": 0}) != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        there = None
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgresql(folder / "server")) if database == "postgresql" else None
        if there is None:
            there = _make(folder, server, wanted, tell)
            marker.write_text(there.model_dump_json())
        for left in folder.glob("copy-*"):
            shutil.rmtree(left)
            if server is not None:
                server.drop(_registry(folder, left.name))
        yield Archive(folder, database, server, there.exposure, there.day_obs)


def _make(folder: Path, server: DatabaseServer | None, wanted: _Contents, tell: Tell) -> _Contents:
    """Process one exposure, and clone it as often as the sizes want."""
    model = Site(folder, server, wanted.detectors).copy("model")
    raws = TinyCamera(folder / "raws").take(wanted.detectors[: wanted.camera])
    tell(f"An exposure of {len(raws)} detectors is processed; the history is made of copies of it.")
    settings = RunSettings(
        repository=str(model.root),
        pipeline=pipeline_file(),
        instruments=(INSTRUMENT,),
        output=OUTPUT,
        watch=(raws[0].path.parent,),
        until_idle=1.0,
        detectors=wanted.detectors,
        workers=2,
        work_dir=folder / "model-work",
    )
    child = Child("the exposure that is cloned", _process, settings)
    try:
        done: int = child.receive()
    finally:
        child.close()
    if done != len(raws):
        raise RuntimeError(f"{done} of {len(raws)} detectors were processed: see {settings.work_dir}.")
    made = wanted.model_copy(update={"exposure": raws[0].exposure, "day_obs": raws[0].day_obs})
    archive = Archive(folder, model.database, server, made.exposure, made.day_obs)
    for size in wanted.sizes:
        filled = _copy(archive, "model", f"filled-{size}")
        fill(str(filled.root), INSTRUMENT, made.exposure, OUTPUT, size, tell)
        with filled.open() as butler:
            tell(f"{filled.root} has {count_datasets(butler)} datasets.")
    return made


def _process(connection: Connection, settings: RunSettings) -> None:
    report = asyncio.run(Executor(settings).run())
    connection.send(report.summary.shards[Outcome.DONE])


def _copy(archive: Archive, source: str, target: str) -> Repository:
    root = archive.folder / target
    shutil.copytree(archive.folder / source, root, copy_function=link_or_copy)
    if archive.server is not None:
        names = [_registry(archive.folder, one) for one in (source, target)]
        archive.server.create(names[1], names[0])
        config = root / "butler.yaml"
        there, here = map(archive.server.uri, names)
        config.write_text(config.read_text().replace(there, here))
    return Repository(target, root, archive.database)


def run_folder(repository: Repository) -> Path:
    """Return where a run in a repository has its files: beside it."""
    return repository.root.with_name(f"{repository.name}-run")


def _registry(folder: Path, name: str) -> str:
    return f"{folder.name}-{name}"
