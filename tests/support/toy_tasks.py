"""Tasks that are not ours: a schema handed from one to the next, a failure, a gather."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

import lsst.pipe.base as pb
import lsst.pipe.base.connectionTypes as ct
from lsst.pex.config import Field, ListField

DETECTOR = ("instrument", "exposure", "detector")


class LevelConnections(pb.PipelineTaskConnections, dimensions=DETECTOR):
    raw = ct.Input(name="raw", storageClass="RapidRaw", dimensions=DETECTOR, doc="Raw.")
    level = ct.Output(name="toy_level", storageClass="StructuredDataDict", dimensions=DETECTOR, doc="Level.")
    schema = ct.InitOutput(name="toy_schema", storageClass="StructuredDataDict", doc="Units.")


class LevelConfig(pb.PipelineTaskConfig, pipelineConnections=LevelConnections):
    failing_in = Field[str](doc="File of the detectors that fail; none do where it is not.", default="")
    hanging = ListField[int](doc="Detectors that never end.", default=[])
    empty = ListField[int](doc="Detectors that have no work.", default=[])


class LevelTask(pb.PipelineTask):
    ConfigClass: ClassVar = LevelConfig
    _DefaultName: ClassVar = "level"

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.schema = {"unit": "adu"}

    def run(self, raw):
        self.log.info("Level of detector %d.", raw.detector)
        file = Path(self.config.failing_in)
        if file.is_file() and str(raw.detector) in file.read_text().split():
            raise ValueError("this detector fails on purpose")
        while raw.detector in self.config.hanging:
            time.sleep(0.1)
        if raw.detector in self.config.empty:
            raise pb.NoWorkFound("nothing to do on purpose")
        return pb.Struct(level={"level": float(raw.segments[0].array.mean())})


class ScaleConnections(pb.PipelineTaskConnections, dimensions=DETECTOR):
    schema = ct.InitInput(name="toy_schema", storageClass="StructuredDataDict", doc="Units.")
    level = ct.Input(name="toy_level", storageClass="StructuredDataDict", dimensions=DETECTOR, doc="Level.")
    scaled = ct.Output(
        name="toy_scaled", storageClass="StructuredDataDict", dimensions=DETECTOR, doc="Scaled."
    )


class ScaleConfig(pb.PipelineTaskConfig, pipelineConnections=ScaleConnections):
    pass


class ScaleTask(pb.PipelineTask):
    ConfigClass: ClassVar = ScaleConfig
    _DefaultName: ClassVar = "scale"

    def __init__(self, initInputs=None, **kwargs):
        super().__init__(**kwargs)
        self.unit = initInputs["schema"]["unit"]

    def run(self, level):
        return pb.Struct(scaled={"level": 2 * level["level"], "unit": self.unit})


class GatherConnections(pb.PipelineTaskConnections, dimensions=("instrument", "exposure")):
    scaled = ct.Input(
        name="toy_scaled",
        storageClass="StructuredDataDict",
        dimensions=DETECTOR,
        multiple=True,
        doc="Scaled.",
    )
    total = ct.Output(
        name="toy_total",
        storageClass="StructuredDataDict",
        dimensions=("instrument", "exposure"),
        doc="Total.",
    )


class GatherConfig(pb.PipelineTaskConfig, pipelineConnections=GatherConnections):
    pass


class GatherTask(pb.PipelineTask):
    ConfigClass: ClassVar = GatherConfig
    _DefaultName: ClassVar = "gather"

    def run(self, scaled):
        return pb.Struct(total={"total": sum(s["level"] for s in scaled), "n": len(scaled)})


def _calibration(name, *more):
    return ct.PrerequisiteInput(
        name=name,
        storageClass="StructuredDataDict",
        dimensions=("instrument", "detector", *more),
        isCalibration=True,
        doc="A calibration that says which it is.",
    )


class TagConnections(pb.PipelineTaskConnections, dimensions=DETECTOR):
    raw = ct.Input(name="raw", storageClass="RapidRaw", dimensions=DETECTOR, doc="Raw.")
    bias = _calibration("toy_bias")
    flat = _calibration("toy_flat", "physical_filter")
    tags = ct.Output(
        name="toy_tags", storageClass="StructuredDataDict", dimensions=DETECTOR, doc="What was read."
    )


class TagConfig(pb.PipelineTaskConfig, pipelineConnections=TagConnections):
    pass


class TagTask(pb.PipelineTask):
    ConfigClass: ClassVar = TagConfig
    _DefaultName: ClassVar = "tag"

    def run(self, bias, flat, **_):
        return pb.Struct(tags={"bias": bias["tag"], "flat": flat["tag"]})
