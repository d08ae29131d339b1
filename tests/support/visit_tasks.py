"""Tasks of visits: raws of exposures read by the detectors of a visit."""

from __future__ import annotations

from typing import ClassVar

import lsst.pipe.base as pb
import lsst.pipe.base.connectionTypes as ct

EXPOSURE = ("instrument", "exposure", "detector")
VISIT = ("instrument", "visit", "detector")


class VisitLevelConnections(pb.PipelineTaskConnections, dimensions=VISIT):
    raws = ct.Input(name="raw", storageClass="RapidRaw", dimensions=EXPOSURE, multiple=True, doc="Raws.")
    level = ct.Output(name="visit_level", storageClass="StructuredDataDict", dimensions=VISIT, doc="Level.")


class VisitLevelConfig(pb.PipelineTaskConfig, pipelineConnections=VisitLevelConnections):
    pass


class VisitLevelTask(pb.PipelineTask):
    ConfigClass: ClassVar = VisitLevelConfig
    _DefaultName: ClassVar = "visitLevel"

    def run(self, raws):
        return pb.Struct(level={"level": float(raws[0].segments[0].array.mean()), "n": len(raws)})


class VisitGatherConnections(pb.PipelineTaskConnections, dimensions=("instrument", "visit")):
    levels = ct.Input(
        name="visit_level", storageClass="StructuredDataDict", dimensions=VISIT, multiple=True, doc="Levels."
    )
    total = ct.Output(
        name="visit_total",
        storageClass="StructuredDataDict",
        dimensions=("instrument", "visit"),
        doc="Total.",
    )


class VisitGatherConfig(pb.PipelineTaskConfig, pipelineConnections=VisitGatherConnections):
    pass


class VisitGatherTask(pb.PipelineTask):
    ConfigClass: ClassVar = VisitGatherConfig
    _DefaultName: ClassVar = "visitGather"

    def run(self, levels):
        return pb.Struct(total={"n": len(levels)})
