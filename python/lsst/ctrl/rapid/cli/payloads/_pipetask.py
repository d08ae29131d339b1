"""One step of a pipeline, run by plain ``pipetask`` in a process of its own."""

from __future__ import annotations

__all__ = ("PipetaskRun", "find_pipetask", "run_step")

import dataclasses
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ...model import InputError
from ...plan import PipelineSource
from ._stage import Companion, Stage

_TAIL = 40
"""Lines of a log that are told of a failure."""


@dataclasses.dataclass(frozen=True, slots=True)
class PipetaskRun:
    """A ``pipetask run`` that has ended.

    Attributes
    ----------
    command
        What was started.
    pipeline
        The step's part of the pipeline.
    where
        What selected the data IDs.
    output_run
        The RUN that it wrote.
    inputs
        The collections that it read, in the order in which they were searched.
    graph
        File of the quantum graph; it is not there when no quanta could be made.
    log
        File with what it printed.
    reason
        Why it did not do its work, in one line; empty when it did.
    seconds
        How long it took.
    """

    command: Sequence[str]
    pipeline: PipelineSource
    where: str
    output_run: str
    inputs: Sequence[str]
    graph: Path
    log: Path
    reason: str
    seconds: float

    @property
    def told(self) -> str:
        """The command line and the end of what it printed."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join([shlex.join(self.command), "", *lines[-_TAIL:]])


def find_pipetask() -> str:
    """Return the ``pipetask`` of this Python, or else the first on the search path.

    Raises
    ------
    InputError
        If there is none.
    """
    found = shutil.which("pipetask", path=str(Path(sys.executable).parent)) or shutil.which("pipetask")
    if found is None:
        raise InputError("There is no command 'pipetask' here; install lsst-ctrl-mpexec, or set it up.")
    return found


def run_step(
    stage: Stage, companion: Companion, step: str, earlier: Sequence[PipetaskRun], timeout: float
) -> PipetaskRun:
    """Run one step on the exposures that its pipeline is for.

    Parameters
    ----------
    stage
        The repository.
    companion
        The pipeline.
    step
        Label of the step; empty for the whole pipeline.
    earlier
        The steps before it, whose outputs it may read.
    timeout
        Seconds after which it is ended.
    """
    name = f"{companion.name}/{step}" if step else companion.name
    logs = stage.repository.parent / "logs"
    logs.mkdir(exist_ok=True)
    graph, log = (logs / f"{name.replace('/', '-')}.{suffix}" for suffix in ("qg", "log"))
    inputs = [*(run.output_run for run in reversed(earlier)), stage.inputs]
    output_run = f"payloads/{name}"
    pipeline = companion.source.part([step] if step else [], companion.tasks(step))
    where = _where(stage, companion)
    command = [
        find_pipetask(), "run",
        "-b", str(stage.repository),
        *pipeline.words,
        "-i", ",".join(inputs),
        "--output-run", output_run,
        "-d", where,
        "--save-qgraph", str(graph),
        "--register-dataset-types",
    ]  # fmt: skip
    started = time.monotonic()
    with log.open("w") as stream:
        try:
            done = subprocess.run(  # noqa: S603 -- the command is ours
                command, stdout=stream, stderr=subprocess.STDOUT, timeout=timeout, check=False
            )
            reason = f"pipetask ended with exit code {done.returncode}" if done.returncode else ""
        except subprocess.TimeoutExpired:
            reason = f"pipetask had not ended after {timeout:g} s, and was killed"
    seconds = time.monotonic() - started
    return PipetaskRun(command, pipeline, where, output_run, inputs, graph, log, reason, seconds)


def _where(stage: Stage, companion: Companion) -> str:
    mine = f"instrument = '{stage.instrument}'"
    return f"({companion.selects.where}) AND {mine}" if companion.selects.where else mine
