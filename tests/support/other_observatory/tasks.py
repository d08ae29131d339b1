"""Tasks of the observatory: the level of each chip, that of its visit, and those of an exposure together."""

from __future__ import annotations

from typing import ClassVar

import lsst.pipe.base as pb
import lsst.pipe.base.connectionTypes as ct

DETECTOR = ("instrument", "exposure", "detector")
VISIT = ("instrument", "visit", "detector")


class LevelConnections(pb.PipelineTaskConnections, dimensions=DETECTOR):
    raw = ct.Input(name="raw", storageClass="NumpyArray", dimensions=DETECTOR, doc="Raw.")
    level = ct.Output(name="hill_level", storageClass="StructuredDataDict", dimensions=DETECTOR, doc="Level.")


class LevelConfig(pb.PipelineTaskConfig, pipelineConnections=LevelConnections):
    pass


class LevelTask(pb.PipelineTask):
    ConfigClass: ClassVar = LevelConfig
    _DefaultName: ClassVar = "level"

    def run(self, raw):
        return pb.Struct(level={"level": float(raw.mean())})


class VisitLevelConnections(pb.PipelineTaskConnections, dimensions=VISIT):
    levels = ct.Input(
        name="hill_level",
        storageClass="StructuredDataDict",
        dimensions=DETECTOR,
        multiple=True,
        doc="Levels of the visit's exposures.",
    )
    level = ct.Output(
        name="hill_visit_level", storageClass="StructuredDataDict", dimensions=VISIT, doc="Level."
    )


class VisitLevelConfig(pb.PipelineTaskConfig, pipelineConnections=VisitLevelConnections):
    pass


class VisitLevelTask(pb.PipelineTask):
    ConfigClass: ClassVar = VisitLevelConfig
    _DefaultName: ClassVar = "visitLevel"

    def run(self, levels):
        return pb.Struct(level={"level": sum(one["level"] for one in levels)})


class GatherConnections(pb.PipelineTaskConnections, dimensions=("instrument", "exposure")):
    levels = ct.Input(
        name="hill_level",
        storageClass="StructuredDataDict",
        dimensions=DETECTOR,
        multiple=True,
        doc="Levels.",
    )
    total = ct.Output(
        name="hill_total",
        storageClass="StructuredDataDict",
        dimensions=("instrument", "exposure"),
        doc="Total.",
    )


class GatherConfig(pb.PipelineTaskConfig, pipelineConnections=GatherConnections):
    pass


class GatherTask(pb.PipelineTask):
    ConfigClass: ClassVar = GatherConfig
    _DefaultName: ClassVar = "gather"

    def run(self, levels):
        return pb.Struct(total={"total": sum(one["level"] for one in levels), "n": len(levels)})
