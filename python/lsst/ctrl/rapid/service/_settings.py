"""What a run of the executor is told."""

from __future__ import annotations

__all__ = ("RunSettings",)

from collections.abc import Mapping
from pathlib import Path

import pydantic

from ..model import (
    ControlSpec,
    DetectorPhases,
    LogSettings,
    Model,
    Policy,
    RedisSpec,
    TransferMode,
    WorkersSpec,
)
from ..plan import FieldOverride, FileOverride, PipelineSource


class RunSettings(Model):
    """Everything that a run is told; the command line and the site file make one of these."""

    repository: str
    pipeline: Path | str
    """The pipeline's file, or its URI."""
    labels: tuple[str, ...] = ()
    """Tasks, subsets and steps of the pipeline, and of its companions, that are run; all when empty."""
    overrides: tuple[FieldOverride | FileOverride, ...] = ()
    """What is changed in the configurations of tasks, in this order."""
    instruments: tuple[str, ...] = ()
    """Those whose raws are taken; all of the repository when empty."""
    inputs: tuple[str, ...] = ()
    """Input collections; ``{instrument}/defaults`` of each instrument when empty."""
    output: str = "rapid"
    watch: tuple[Path, ...] = ()
    watch_butler: bool = False
    """Whether raws that somebody else registers are taken."""
    since: int | None = None
    """Observing day from which on registered raws are taken; the day before the current one when `None`."""
    data_query: str = ""
    """Butler expression that selects registered raws: the run takes these and no others, and then ends."""
    polling: bool = False
    link_targets: tuple[Path, ...] = ()
    """Folders beside the watched ones into which symbolic links may lead."""
    quarantine: Path | None = None
    """Folder to which refused files are moved; `None`: they stay."""
    transfer: TransferMode = "direct"
    workers: int = pydantic.Field(default=1, ge=1)
    network: WorkersSpec = WorkersSpec()
    """How workers and head reach each other; how many there are, ``workers`` says."""
    detectors: tuple[int, ...] = ()
    """Detectors to which the run is limited; patterns choose among all when empty."""
    policy: Policy | None = None
    """What is processed of each exposure, and what comes first; `None`: as the pipeline says."""
    detector_patterns: Mapping[str, Mapping[str, DetectorPhases]] = {}
    """By instrument and name, patterns beside those that are known of it."""
    define_visits: bool = True
    """Whether visits are defined when raws arrive; `False`: others define them."""
    work_dir: Path
    report: Path | None = None
    until_idle: float | None = pydantic.Field(default=None, gt=0)
    gather_timeout: float | None = None
    gather_deadline: float | None = None
    day_update: int | None = None
    quantum_timeout: float = 600.0
    attempts: int = 2
    worker_memory_mb: float | None = None
    """Megabytes that each worker may take; as the machine has, if `None`."""
    drain_limit: float = 60.0
    """Seconds that what runs has to end in, once the run is told to stop."""
    commit_interval: float = 0.25
    commit_batch: int = 200
    spool_limit: pydantic.ByteSize = pydantic.ByteSize(10 * 2**30)
    calibration_cache_mb: float = 2048.0
    calibration_ttl: float = 300.0
    site: Path | None = None
    """The site file, which is read again on demand."""
    control: ControlSpec = ControlSpec()
    """Where orders are taken while it runs."""
    redis: RedisSpec | None = None
    log: LogSettings = LogSettings()
    """What workers log, and where."""

    @property
    def source(self) -> PipelineSource:
        """The pipeline."""
        return PipelineSource(self.pipeline, self.labels, self.overrides)
