"""Tasks that a test tells what to do while they run, through files: so one pipeline serves many scenarios."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import ClassVar

import lsst.pipe.base as pb
import lsst.pipe.base.connectionTypes as ct
from lsst.pex.config import Field

DETECTOR = ("instrument", "detector")
RAW = ("instrument", "exposure", "detector")


class SteeredConnections(
    pb.PipelineTaskConnections,
    dimensions=DETECTOR,
    defaultTemplates={"input": "steered_in", "output": "steered_out"},
):
    before = ct.Input(name="{input}", storageClass="StructuredDataDict", dimensions=DETECTOR, doc="Input.")
    after = ct.Output(name="{output}", storageClass="StructuredDataDict", dimensions=DETECTOR, doc="Output.")


class SteeredConfig(pb.PipelineTaskConfig, pipelineConnections=SteeredConnections):
    folder = Field[str](doc="Where orders are.")


class SteeredTask(pb.PipelineTask):
    """Adds its label to what it reads; does what the file ``LABEL.DETECTOR`` says."""

    ConfigClass: ClassVar = SteeredConfig
    _DefaultName: ClassVar = "steered"

    def runQuantum(self, butlerQC, inputRefs, outputRefs):
        detector = butlerQC.quantum.dataId["detector"]
        said(self.config.folder, f"begin {self.getName()} {detector}")
        order = Path(self.config.folder) / f"{self.getName()}.{detector}"
        follow(order)
        before = butlerQC.get(inputRefs.before)
        more = ["longer"] * 9 if order.exists() and order.read_text() == "longer" else []
        butlerQC.put({"path": [*before["path"], self.getName(), *more]}, outputRefs.after)
        follow(order.with_suffix(f"{order.suffix}.late"))
        said(self.config.folder, f"end {self.getName()} {detector}")


class TotalConnections(pb.PipelineTaskConnections, dimensions=("instrument",)):
    before = ct.Input(
        name="steered_b", storageClass="StructuredDataDict", dimensions=DETECTOR, multiple=True, doc="Inputs."
    )
    total = ct.Output(
        name="steered_total", storageClass="StructuredDataDict", dimensions=("instrument",), doc="Total."
    )


class TotalConfig(pb.PipelineTaskConfig, pipelineConnections=TotalConnections):
    folder = Field[str](doc="Where orders are.")


class TotalTask(pb.PipelineTask):
    ConfigClass: ClassVar = TotalConfig
    _DefaultName: ClassVar = "total"

    def run(self, before):
        said(self.config.folder, "begin total")
        follow(Path(self.config.folder) / "total")
        return pb.Struct(total={"n": len(before)})


class LookConnections(pb.PipelineTaskConnections, dimensions=RAW, defaultTemplates={"output": "look_first"}):
    raw = ct.Input(name="raw", storageClass="RapidRaw", dimensions=RAW, deferLoad=True, doc="Raw.")
    after = ct.Output(name="{output}", storageClass="StructuredDataDict", dimensions=RAW, doc="Output.")


class LookConfig(pb.PipelineTaskConfig, pipelineConnections=LookConnections):
    folder = Field[str](doc="Where orders are.")


class LookTask(pb.PipelineTask):
    """Reads nothing of a raw; does what the file ``LABEL.DETECTOR`` says."""

    ConfigClass: ClassVar = LookConfig
    _DefaultName: ClassVar = "look"

    def runQuantum(self, butlerQC, inputRefs, outputRefs):
        detector = butlerQC.quantum.dataId["detector"]
        said(self.config.folder, f"begin {self.getName()} {detector}")
        butlerQC.get(inputRefs.raw)
        follow(Path(self.config.folder) / f"{self.getName()}.{detector}")
        butlerQC.put({"path": [self.getName()]}, outputRefs.after)
        said(self.config.folder, f"end {self.getName()} {detector}")


class NextConnections(
    pb.PipelineTaskConnections,
    dimensions=RAW,
    defaultTemplates={"input": "look_first", "output": "look_next"},
):
    before = ct.Input(name="{input}", storageClass="StructuredDataDict", dimensions=RAW, doc="Input.")
    after = ct.Output(name="{output}", storageClass="StructuredDataDict", dimensions=RAW, doc="Output.")


class NextConfig(pb.PipelineTaskConfig, pipelineConnections=NextConnections):
    folder = Field[str](doc="Where orders are.")


class NextTask(SteeredTask):
    ConfigClass: ClassVar = NextConfig
    _DefaultName: ClassVar = "next"


class AllConnections(pb.PipelineTaskConnections, dimensions=("instrument", "exposure")):
    before = ct.Input(
        name="look_next", storageClass="StructuredDataDict", dimensions=RAW, multiple=True, doc="Inputs."
    )
    total = ct.Output(
        name="look_total", storageClass="StructuredDataDict", dimensions=("instrument", "exposure"), doc="."
    )


class AllConfig(pb.PipelineTaskConfig, pipelineConnections=AllConnections):
    folder = Field[str](doc="Where orders are.")


class AllTask(pb.PipelineTask):
    ConfigClass: ClassVar = AllConfig
    _DefaultName: ClassVar = "all"

    def run(self, before):
        said(self.config.folder, "begin all")
        follow(Path(self.config.folder) / "all")
        return pb.Struct(total={"paths": [one["path"] for one in before]})


def look_pipeline(folder: Path) -> str:
    """Return a pipeline: of a detector a task, one that reads nothing of it, and one that does; a gather."""
    config = f"config: {{folder: '{folder}'}}"
    tasks = "support.steered_tasks"
    return f"""
description: Steered.
tasks:
  first: {{class: {tasks}.LookTask, {config}}}
  next: {{class: {tasks}.NextTask, {config}}}
  middle: {{class: {tasks}.LookTask, config: {{folder: '{folder}', connections.output: look_other}}}}
  all: {{class: {tasks}.AllTask, {config}}}
subsets:
  step1a: [first, middle, next]
  step1b: [all]
steps:
  - {{label: step1a, dimensions: [exposure, detector]}}
  - {{label: step1b, dimensions: [exposure]}}
"""


def follow(order: Path) -> None:
    """Do what the file says, if there is one."""
    match (order.read_text() if order.exists() else "").partition(" after "):
        case "fail", _, other:
            wait_until_said(order.parent / "said", other)
            raise ValueError("it fails on purpose")
        case "no work", _, _:
            raise pb.NoWorkFound("nothing to do on purpose")
        case "invalid", _, _:
            raise pb.InvalidQuantumError("it is invalid on purpose")
        case "die", _, _:
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit", _, _:
            os._exit(3)
        case "segfault", _, _:
            ctypes.string_at(0)
        case "abort", _, _:
            os.abort()
        case "hold", _, _:
            ctypes.PyDLL(None).pause()  # in C, and no other thread of the process can run Python meanwhile
        case "grow", _, _:
            grow(order)
        case "hang", _, _:
            while order.exists():
                time.sleep(0.01)


def grow(order: Path) -> None:
    """Take more and more memory, at most 4 GB."""
    taken: list[bytes] = []
    while order.exists():
        if len(taken) < 80:
            taken.append(b"x" * 50_000_000)
        time.sleep(0.01)


def wait_until_said(file: Path, line: str) -> None:
    """Wait until another task has said a line; no line is waited for if it is empty."""
    while line and line not in file.read_text().splitlines():
        time.sleep(0.01)


def said(folder: str, line: str) -> None:
    """Append a line to what tasks said."""
    with (Path(folder) / "said").open("a") as file:
        file.write(f"{line}\n")
