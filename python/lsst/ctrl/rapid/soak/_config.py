"""What a soak is asked for."""

from __future__ import annotations

__all__ = ("Database", "Disturbance", "SoakConfig")

import dataclasses
import enum
from pathlib import Path
from typing import Literal

type Database = Literal["sqlite", "postgresql"]


class Disturbance(enum.StrEnum):
    """What is done to an executor while it works."""

    HEAD_KILLED = "head-killed"
    """SIGKILL to the head; it is started again at once."""
    HEAD_STOPPED = "head-stopped"
    """SIGTERM to the head; it is started again when it has ended."""
    WORKER_KILLED = "worker-killed"
    """SIGKILL to one worker."""
    CAMERA_KILLED = "camera-killed"
    """SIGKILL to the camera, which then goes on with the next exposure."""
    BAD_FILES = "bad-files"
    """Files land that are no raws: truncated, empty, text."""
    REGISTRY_AWAY = "registry-away"
    """The registry does not answer for some seconds: PostgreSQL is stopped or frozen, SQLite is locked."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SoakConfig:
    """A soak.

    Attributes
    ----------
    pipeline
        The pipeline that is run.
    work_dir
        Where everything is written.
    minutes
        How long files are sent.
    seed
        What is disturbed when, and what the camera suffers from, depends on it.
    workers
        Worker processes.
    database
        Where the registry is.
    detectors
        Numbers of the detectors.
    cadence
        Seconds from one exposure to the next.
    scale
        Part of each detector that is simulated.
    memory_slope
        How fast a process may grow once it is warm, MiB a minute.
    without
        What is not done.
    """

    pipeline: Path
    work_dir: Path
    minutes: float
    seed: int = 0
    workers: int = 2
    database: Database = "sqlite"
    detectors: tuple[int, ...] = (90, 91, 93, 94)
    cadence: float = 6.0
    scale: str = "1/8"
    memory_slope: float = 5.0
    without: frozenset[Disturbance] = frozenset()

    @property
    def calm(self) -> float:
        """Seconds at the end in which nothing is disturbed: how memory grows is seen then."""
        return min(self.minutes * 60 / 3, 1200.0)
