"""Tasks of many shapes, found by the pipelines of these tests; none is ever run."""

from __future__ import annotations

import types
from typing import Any

import lsst.pipe.base as pb
from lsst.pex.config import Field
from lsst.pipe.base import connectionTypes as ct

DETECTOR = ("instrument", "exposure", "detector")
EXPOSURE = ("instrument", "exposure")
DAY = ("instrument", "day_obs")


def _task(name: str, dimensions: tuple[str, ...], members: dict[str, Any]) -> type[pb.PipelineTask]:
    """Return a task whose connections (and their hooks) are the members."""
    body = {**members, "__module__": __name__}
    connections = types.new_class(
        f"{name}Connections",
        (pb.PipelineTaskConnections,),
        {"dimensions": dimensions},
        lambda ns: ns.update(body),
    )
    config = types.new_class(
        f"{name}Config",
        (pb.PipelineTaskConfig,),
        {"pipelineConnections": connections},
        lambda ns: ns.update(__module__=__name__, threshold=Field("A number.", float, default=5.0)),
    )
    task = types.new_class(
        name,
        (pb.PipelineTask,),
        {},
        lambda ns: ns.update(__module__=__name__, ConfigClass=config, _DefaultName=name),
    )
    for made in (connections, config, task):
        globals()[made.__name__] = made
    return task


def _input(
    name: str, storage: str = "NumpyArray", dimensions: tuple[str, ...] = DETECTOR, **extra: Any
) -> ct.Input:
    return ct.Input(doc="", name=name, storageClass=storage, dimensions=dimensions, **extra)


def _output(name: str, storage: str = "NumpyArray", dimensions: tuple[str, ...] = DETECTOR) -> ct.Output:
    return ct.Output(doc="", name=name, storageClass=storage, dimensions=dimensions)


def _calibration(name: str, dimensions: tuple[str, ...], **extra: Any) -> ct.PrerequisiteInput:
    return ct.PrerequisiteInput(
        doc="", name=name, storageClass="NumpyArray", dimensions=dimensions, isCalibration=True, **extra
    )


def _looks_up(*_: Any) -> list[Any]:
    return []


def _adjusts_all(self: Any, adjuster: Any) -> None:
    pass


BIAS = ("instrument", "detector")
FLAT = ("instrument", "detector", "physical_filter")

Isr = _task(
    "Isr", DETECTOR, {"raw": _input("raw"), "bias": _calibration("bias", BIAS), "out": _output("isr_image")}
)
FlatIsr = _task(
    "FlatIsr",
    DETECTOR,
    {
        "raw": _input("raw"),
        "bias": _calibration("bias", BIAS),
        "flat": _calibration("flat", FLAT),
        "out": _output("isr_image"),
    },
)
Stat = _task("Stat", DETECTOR, {"image": _input("isr_image"), "out": _output("stats", "StructuredDataDict")})
Catalog = _task(
    "Catalog", DETECTOR, {"image": _input("isr_image"), "out": _output("sources", "ArrowAstropy")}
)
Columns = _task(
    "Columns",
    DETECTOR,
    {"columns": _input("sources.columns", "ArrowColumnList"), "out": _output("stats", "StructuredDataDict")},
)
Gather = _task(
    "Gather",
    EXPOSURE,
    {
        "stats": _input("stats", "StructuredDataDict", multiple=True, deferLoad=True),
        "out": _output("summary", "StructuredDataDict", EXPOSURE),
    },
)
Rank = _task(
    "Rank",
    DETECTOR,
    {
        "stats": _input("stats", "StructuredDataDict"),
        "summary": _input("summary", "StructuredDataDict", EXPOSURE),
        "out": _output("rank", "StructuredDataDict"),
    },
)
Night = _task(
    "Night",
    DAY,
    {
        "summaries": _input("summary", "StructuredDataDict", EXPOSURE, multiple=True),
        "out": _output("night", "StructuredDataDict", DAY),
    },
)
DetectorNight = _task(
    "DetectorNight",
    (*DAY, "detector"),
    {
        "stats": _input("stats", "StructuredDataDict", multiple=True),
        "out": _output("night_of_detector", "StructuredDataDict", (*DAY, "detector")),
    },
)
RawGather = _task(
    "RawGather",
    EXPOSURE,
    {"raws": _input("raw", multiple=True, deferLoad=True), "out": _output("mosaic", dimensions=EXPOSURE)},
)

# Tasks that cannot be planned from memory, or not at all as raws arrive.
Stray = _task("Stray", DETECTOR, {"image": _input("from_nowhere"), "out": _output("stats")})
Tract = _task(
    "Tract",
    (*EXPOSURE, "tract", "skymap"),
    {"raw": _input("raw", multiple=True), "out": _output("warp", dimensions=(*EXPOSURE, "tract", "skymap"))},
)
Master = _task(
    "Master",
    BIAS,
    {"raws": _input("raw", multiple=True), "out": _output("new_bias", dimensions=BIAS)},
)
Visit = _task(
    "Visit",
    ("instrument", "visit"),
    {"raw": _input("raw", multiple=True), "out": _output("visit_image", dimensions=("instrument", "visit"))},
)
LooksUp = _task(
    "LooksUp",
    DETECTOR,
    {
        "raw": _input("raw"),
        "bias": _calibration("bias", BIAS, lookupFunction=_looks_up),
        "out": _output("isr_image"),
    },
)
RefCat = _task(
    "RefCat",
    DETECTOR,
    {
        "raw": _input("raw"),
        "ref_cat": ct.PrerequisiteInput(
            doc="", name="refcat", storageClass="ArrowAstropy", dimensions=("htm7",), multiple=True
        ),
        "out": _output("isr_image"),
    },
)
AllBiases = _task(
    "AllBiases",
    EXPOSURE,
    {
        "raws": _input("raw", multiple=True),
        "bias": _calibration("bias", BIAS, multiple=True),
        "out": _output("mosaic", dimensions=EXPOSURE),
    },
)
AllTogether = _task(
    "AllTogether",
    DETECTOR,
    {"raw": _input("raw"), "out": _output("isr_image"), "adjust_all_quanta": _adjusts_all},
)
