"""Repositories that are there already, and the start of the executor in them."""

from __future__ import annotations

__all__ = ("Place", "check", "open_place")

import contextlib
import importlib.resources
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..model import Outcome, Report
from ._launch import Launched
from ._model import Database
from ._raws import TinyCamera
from ._site import open_site, pipeline_file

_DETECTOR = 94
_IDLE_SECONDS = 2.0
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Place:
    """A repository that is there already, and a raw.

    Attributes
    ----------
    label
        What it is, for people.
    folder
        Where runs leave their files.
    repository
        The repository, with the calibrations that the pipeline needs.
    pipeline
        The pipeline that is run.
    tasks
        Module that has its tasks.
    raw
        The file.
    """

    label: str
    folder: Path
    repository: Path
    pipeline: Path
    tasks: str
    raw: Path

    def landing(self, name: str) -> Path:
        """Make a folder to be watched."""
        landing = self.folder / name / "landing"
        landing.mkdir(parents=True)
        return landing

    def send(self, landing: Path) -> None:
        """Have the raw arrive."""
        (landing / self.raw.name).hardlink_to(self.raw)

    def launch(self, name: str, landing: Path, workers: int) -> Launched:
        """Start the executor, until nothing happens any more; what it writes goes into RUNs of their own."""
        arguments = [
            *(str(self.pipeline), "-b", str(self.repository), "--output", name),
            *("--watch", str(landing), "--until-idle", str(_IDLE_SECONDS)),
            *("--detectors", str(_DETECTOR), "--workers", str(workers)),
            *("--work-dir", str(self.folder / name)),
        ]
        return Launched(arguments, self.folder / name / "report.json")


@contextlib.contextmanager
def open_place(folder: Path, database: Database) -> Iterator[Place]:
    """Make a place, until the context is left.

    Parameters
    ----------
    folder
        Where it is made; must not be there yet.
    database
        On SQLite it is the embedded repository with the pipeline of the control room; on PostgreSQL a smaller
        one with two tiny tasks.

    Raises
    ------
    lsst.ctrl.rapid.model.InputError
        If PostgreSQL cannot be started.
    RuntimeError
        If the embedded repository cannot be made.
    """
    if database == "sqlite":
        yield _make_embedded(folder)
        return
    with open_site(folder / "site", database, [_DETECTOR]) as site:
        (raw,) = TinyCamera(folder / "raws").take([_DETECTOR])
        yield Place(
            label="tiny.yaml, PostgreSQL",
            folder=folder,
            repository=site.copy("repository").root,
            pipeline=pipeline_file(),
            tasks="lsst.ctrl.rapid.bench.tasks",
            raw=raw.path,
        )


def check(report: Report) -> Report:
    """Return a report of what has worked.

    Raises
    ------
    RuntimeError
        If the raw was not reduced.
    """
    if not report.shards or any(shard.outcome is not Outcome.DONE for shard in report.shards):
        ends = ", ".join(f"{shard.step} {shard.outcome}: {shard.reason}" for shard in report.shards)
        raise RuntimeError(f"The executor did not reduce the raw: {ends or 'nothing was run'}.")
    return report


def _make_embedded(folder: Path) -> Place:
    """Have the executor make its embedded repository, and a raw."""
    root = importlib.resources.files("lsst.ctrl.rapid").joinpath("resources/pipelines")
    pipeline, work_dir = Path(str(root)) / "summit.yaml", folder / "embedded"
    arguments = [
        *(str(pipeline), "--simulate", "1", "--detectors", str(_DETECTOR)),
        *("--workers", "1", "--work-dir", str(work_dir)),
    ]
    with Launched(arguments, work_dir / "report.json") as launched:
        check(launched.result(_PATIENCE_SECONDS))
    (raw,) = (work_dir / "landing").rglob("*.fits")
    return Place(
        label="summit.yaml, SQLite",
        folder=folder,
        repository=work_dir / "repo",
        pipeline=pipeline,
        tasks="lsst.ctrl.rapid.channels",
        raw=raw,
    )
