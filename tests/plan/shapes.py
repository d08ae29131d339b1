"""The table of shapes: pipelines of every feature that upstream has, and how each must be planned."""

from __future__ import annotations

from collections.abc import Sequence

from lsst.ctrl.rapid.plan import Planner
from support.shape_words import (
    BIAS,
    CAMERA,
    FLAT,
    GD,
    RAW,
    RAWS,
    VD,
    Connection,
    D,
    E,
    G,
    Plain,
    Shape,
    Step,
    Task,
    V,
    many,
    one,
)

TRIVIAL, BUILDER = Planner.TRIVIAL, Planner.BUILDER

IMAGE, STATS, SUMMARY = one("image"), one("stats"), one("summary", E)
ISR = Task(D, [RAW], [IMAGE], needs=[BIAS])
STAT = Task(D, [IMAGE], [STATS])
GATHER = Task(E, [many("stats")], [SUMMARY], config={"deferred": ["stats"]})
RANK = Task(D, [STATS, SUMMARY], [one("rank")])
CATALOG = Task(D, [IMAGE], [one("sources", D, "ArrowAstropy")])
ODD = Task(D, [IMAGE], [one("odd")], config={"adjust": "refuses even detectors"})
FROM_ODD = Task(D, [one("odd")], [STATS])
FROM_ODD_LATE = Task(D, [one("odd")], [one("late")])
USUAL = {"isr": ISR, "stat": STAT, "gather": GATHER}


def isr(*needs: Connection, reads: Sequence[Connection] = (RAW,), **config: object) -> Task:
    """Return a task of a detector that needs something."""
    return Task(D, reads, [IMAGE], needs=needs, config=config)


def two(first: Sequence[str], then: Sequence[str], planner: Planner = Planner.MEMORY) -> dict[str, Step]:
    """Return a step of detectors and one of exposures."""
    return {"step1a": Step(D, first), "step1b": Step(E, then, planner)}


def only(*tasks: str, dimensions: tuple[str, ...] = D, planner: Planner = Planner.MEMORY) -> dict[str, Step]:
    """Return the only step."""
    return {"step1a": Step(dimensions, tasks, planner)}


EXPOSURES = [
    Shape("exposures", "detectors, then a gather", USUAL, two(["isr", "stat"], ["gather"])),
    Shape(
        "exposures",
        "each task is a step",
        USUAL,
        {"a": Step(D, ["isr"]), "b": Step(D, ["stat"]), "c": Step(E, ["gather"])},
    ),
    Shape("exposures", "everything in a gather", USUAL, only("isr", "stat", "gather", dimensions=E)),
    Shape(
        "exposures",
        "detectors again after the gather",
        {**USUAL, "rank": RANK},
        {**two(["isr", "stat"], ["gather"]), "step1c": Step(D, ["rank"])},
    ),
    Shape(
        "exposures",
        "detectors again within the gather",
        {**USUAL, "rank": RANK},
        two(["isr", "stat"], ["gather", "rank"]),
    ),
    Shape(
        "exposures",
        "a gather of raws",
        {"mosaic": Task(E, [RAWS], [one("mosaic", E)], config={"deferred": ["raw"]})},
        only("mosaic", dimensions=E),
    ),
]

VISITS = [
    Shape(
        "visits",
        "a detector of a visit",
        {"isr": ISR, "fit": Task(VD, [IMAGE], [one("fit", VD)])},
        only("isr", "fit"),
    ),
    Shape(
        "visits",
        "a gather of a visit",
        {
            "isr": ISR,
            "fit": Task(VD, [IMAGE], [one("fit", VD)]),
            "visit": Task(V, [many("fit", VD)], [one("v", V)]),
        },
        {"step1a": Step(VD, ["isr", "fit"]), "step1b": Step(V, ["visit"])},
    ),
    Shape(
        "visits",
        "a visit of raws",
        {"visit": Task(V, [RAWS], [one("visit_image", V)])},
        only("visit", dimensions=V),
    ),
    Shape(
        "visits",
        "a visit reads what exposures made",
        {**USUAL, "visit": Task(V, [SUMMARY, many("image")], [one("v", V)])},
        {**two(["isr", "stat"], ["gather"]), "step1c": Step(V, ["visit"])},
    ),
]

GROUPS = [
    Shape(
        "groups",
        "a gather of a group",
        {"isr": ISR, "group": Task(G, [many("image")], [one("g", G)])},
        {"step1a": Step(D, ["isr"]), "step1b": Step(G, ["group"])},
    ),
    Shape(
        "groups",
        "a detector of a group",
        {"isr": ISR, "pair": Task(GD, [many("image")], [one("pair", GD)])},
        {"step1a": Step(D, ["isr"]), "step1b": Step(GD, ["pair"])},
    ),
    Shape(
        "groups",
        "a group of what exposures and visits made",
        {
            **USUAL,
            "fit": Task(VD, [IMAGE], [one("fit", VD)]),
            "group": Task(G, [many("summary", E), many("fit", VD)], [one("g", G)]),
        },
        {**two(["isr", "stat", "fit"], ["gather"]), "step1c": Step(G, ["group"])},
    ),
    Shape(
        "groups",
        "exposures within a group",
        {"isr": ISR, "stat": STAT, "gather": GATHER, "group": Task(G, [many("summary", E)], [one("g", G)])},
        {"step1a": Step(D, ["isr"]), "step1b": Step(G, ["stat", "gather", "group"])},
    ),
]

EARLIER = [
    Shape(
        "earlier steps",
        "two products of one step",
        {"isr": ISR, "stat": STAT, "both": Task(D, [IMAGE, STATS], [one("both")])},
        {"a": Step(D, ["isr", "stat"]), "b": Step(D, ["both"])},
    ),
    Shape(
        "earlier steps",
        "products of two steps",
        {"isr": ISR, "stat": STAT, "all": Task(E, [many("image"), many("stats")], [one("all", E)])},
        {"a": Step(D, ["isr"]), "b": Step(D, ["stat"]), "c": Step(E, ["all"])},
    ),
    Shape(
        "earlier steps",
        "raws and a product",
        {"isr": ISR, "both": Task(D, [IMAGE, RAW], [one("both")])},
        {"a": Step(D, ["isr"]), "b": Step(D, ["both"])},
    ),
]

INIT = [
    Shape(
        "init",
        "an init-output of an earlier step",
        {
            "isr": ISR,
            "stat": Task(D, [IMAGE], [STATS], builds=[Connection("stat_schema")]),
            "gather": Task(E, [many("stats")], [SUMMARY], built_with=[Connection("stat_schema")]),
        },
        two(["isr", "stat"], ["gather"]),
    ),
    Shape(
        "init",
        "an init-output of the same step",
        {
            "isr": Task(D, [RAW], [IMAGE], builds=[Connection("isr_schema")]),
            "stat": Task(D, [IMAGE], [STATS], built_with=[Connection("isr_schema")]),
        },
        only("isr", "stat"),
    ),
    Shape(
        "init",
        "an init-input that nobody makes",
        {"isr": Task(D, [RAW], [IMAGE], built_with=[Connection("given_schema")])},
        only("isr"),
    ),
    Shape(
        "init",
        "an init-output that is converted",
        {
            "isr": Task(D, [RAW], [IMAGE], builds=[Connection("table_schema", (), "ArrowAstropy")]),
            "stat": Task(D, [IMAGE], [STATS], built_with=[Connection("table_schema", (), "ArrowTable")]),
            "gather": Task(
                E, [many("stats")], [SUMMARY], built_with=[Connection("table_schema", (), "DataFrame")]
            ),
        },
        two(["isr", "stat"], ["gather"]),
    ),
    Shape(
        "init",
        "the configuration of another task",
        {
            "isr": ISR,
            "stat": Task(
                D, [IMAGE], [STATS], built_with=[Connection("isr_config", (), "Config", mocked=False)]
            ),
        },
        {"a": Step(D, ["isr"]), "b": Step(D, ["stat"])},
    ),
    Shape(
        "init",
        "an init-output when upstream's builder plans",
        {
            "isr": Task(D, [RAW], [IMAGE], builds=[Connection("isr_schema")]),
            "stat": Task(
                D,
                [IMAGE, one("survey", ())],
                [STATS],
                built_with=[Connection("isr_schema"), Connection("given_schema")],
            ),
        },
        only("isr", "stat", planner=TRIVIAL),
    ),
]

COMPONENTS = [
    Shape(
        "components",
        "of the same step",
        {
            "isr": ISR,
            "catalog": CATALOG,
            "columns": Task(D, [one("sources.columns", D, "ArrowColumnList")], [STATS]),
        },
        only("isr", "catalog", "columns"),
    ),
    Shape(
        "components",
        "of an earlier step",
        {
            "isr": ISR,
            "catalog": CATALOG,
            "columns": Task(D, [one("sources.columns", D, "ArrowColumnList")], [STATS]),
        },
        {"a": Step(D, ["isr", "catalog"]), "b": Step(D, ["columns"])},
    ),
    Shape(
        "components",
        "of a raw",
        {"isr": Task(D, [one("raw.header", D, mocked=False)], [IMAGE])},
        only("isr"),
    ),
    Shape(
        "components",
        "of a calibration",
        {"isr": isr(one("gains.columns", ("instrument", "detector"), "ArrowColumnList", calibration=True))},
        only("isr"),
    ),
    Shape(
        "storage classes",
        "converted in the same step and in a later one",
        {
            "isr": ISR,
            "catalog": CATALOG,
            "convert": Task(D, [one("sources", D, "ArrowTable")], [STATS]),
            "gather": Task(
                E,
                [many("sources", D, "DataFrame"), many("sources.columns", D, "ArrowColumnList")],
                [SUMMARY],
                config={"deferred": ["sources"]},
            ),
        },
        two(["isr", "catalog", "convert"], ["gather"]),
    ),
    Shape(
        "storage classes",
        "the repository has another",
        {
            "isr": ISR,
            "catalog": Task(D, [IMAGE], [one("converted", D, "ArrowAstropy")]),
            "convert": Task(
                D, [one("converted", D, "DataFrame"), one("converted.columns", D, "ArrowColumnList")], [STATS]
            ),
            "gather": Task(E, [many("converted", D, "ArrowAstropy")], [SUMMARY]),
        },
        two(["isr", "catalog", "convert"], ["gather"]),
    ),
    Shape(
        "storage classes",
        "of a calibration",
        {"isr": isr(one("gains", ("instrument", "detector"), "DataFrame", calibration=True))},
        only("isr"),
    ),
]

OPTIONAL_ODD = one("odd", minimum=0)
OPTIONAL = [
    Shape(
        "optional inputs",
        "there for some within the step",
        {"isr": ISR, "odd": ODD, "maybe": Task(D, [IMAGE, OPTIONAL_ODD], [STATS])},
        only("isr", "odd", "maybe"),
    ),
    Shape(
        "optional inputs",
        "there for some from an earlier step",
        {"isr": ISR, "odd": ODD, "maybe": Task(D, [IMAGE, OPTIONAL_ODD], [STATS])},
        {"a": Step(D, ["isr", "odd"]), "b": Step(D, ["maybe"])},
    ),
    Shape(
        "optional inputs",
        "of a gather",
        {
            "isr": ISR,
            "odd": ODD,
            "stat": STAT,
            "gather": Task(E, [many("stats"), many("odd", minimum=0)], [SUMMARY]),
        },
        two(["isr", "odd", "stat"], ["gather"]),
    ),
    Shape(
        "optional inputs",
        "that nobody makes and that are there for some",
        {"isr": isr(BIAS, reads=[RAW, one("guide", minimum=0)])},
        only("isr", planner=TRIVIAL),
    ),
    Shape(
        "optional inputs",
        "that nobody has ever made",
        {"isr": isr(BIAS, reads=[RAW, one("never_made", minimum=0)])},
        only("isr", planner=TRIVIAL),
    ),
    Shape(
        "optional inputs",
        "a calibration that has come to its end",
        {"isr": isr(one("defects", ("instrument", "detector"), calibration=True, minimum=0))},
        only("isr"),
    ),
    Shape(
        "minimum",
        "of three, and there are two",
        {"isr": ISR, "odd": ODD, "gather": Task(E, [many("odd", minimum=3)], [SUMMARY]), "stat": STAT},
        two(["isr", "odd", "stat"], ["gather"]),
    ),
    Shape(
        "minimum",
        "of two, and there are two",
        {"isr": ISR, "odd": ODD, "gather": Task(E, [many("odd", minimum=2)], [SUMMARY])},
        two(["isr", "odd"], ["gather"]),
    ),
]

SEVERAL = [
    Shape(
        "multiple and deferred",
        "inputs of a gather",
        {
            "isr": ISR,
            "stat": STAT,
            "gather": Task(E, [many("image"), many("stats")], [SUMMARY], config={"deferred": ["image"]}),
        },
        two(["isr", "stat"], ["gather"]),
    ),
    Shape(
        "multiple and deferred",
        "one input and a calibration, loaded late",
        {"isr": isr(BIAS, deferred=["raw", "toy_bias"])},
        only("isr"),
    ),
    Shape(
        "multiple and deferred",
        "a calibration of which there is one",
        {"isr": isr(many("toy_bias", ("instrument", "detector"), calibration=True))},
        only("isr"),
    ),
    Shape(
        "multiple and deferred",
        "the same images twice",
        {
            "isr": ISR,
            "gather": Task(
                E,
                [many("image"), many("image", name="again")],
                [SUMMARY],
                config={"deferred": ["image", "again"]},
            ),
        },
        two(["isr"], ["gather"]),
    ),
]

ADJUSTING = [
    Shape(
        "adjustQuantum",
        "no work for some",
        {"isr": ISR, "odd": ODD, "stat": FROM_ODD, "gather": GATHER},
        two(["isr", "odd", "stat"], ["gather"]),
    ),
    Shape(
        "adjustQuantum",
        "no work for some in an earlier step",
        {"isr": ISR, "odd": ODD, "stat": FROM_ODD, "gather": GATHER},
        {"a": Step(D, ["isr", "odd"]), "b": Step(D, ["stat"]), "c": Step(E, ["gather"])},
    ),
    Shape(
        "adjustQuantum",
        "no work for any",
        {
            "isr": ISR,
            "nothing": Task(D, [IMAGE], [one("odd")], config={"adjust": "refuses all"}),
            "stat": FROM_ODD,
            "gather": GATHER,
        },
        two(["isr", "nothing", "stat"], ["gather"]),
    ),
    Shape(
        "adjustQuantum",
        "a gather drops inputs",
        {"isr": ISR, "gather": Task(E, [many("image")], [SUMMARY], config={"adjust": "keeps the last two"})},
        two(["isr"], ["gather"]),
    ),
    Shape(
        "adjustQuantum",
        "a gather drops outputs",
        {
            "isr": ISR,
            "spread": Task(E, [many("image")], [many("spread")], config={"adjust": "writes odd detectors"}),
            "each": Task(D, [one("spread")], [one("each")]),
        },
        {"a": Step(D, ["isr"]), "b": Step(E, ["spread"]), "c": Step(D, ["each"])},
    ),
    Shape(
        "adjustQuantum",
        "no output of its own is left",
        {
            "isr": ISR,
            "mute": Task(D, [IMAGE], [one("odd")], config={"adjust": "writes nothing of its own"}),
            "maybe": Task(D, [IMAGE, OPTIONAL_ODD], [STATS]),
        },
        only("isr", "mute", "maybe"),
    ),
    Shape(
        "adjustQuantum",
        "when upstream's builder plans from memory",
        {"isr": isr(BIAS, reads=[RAW, one("survey", ())], adjust="refuses even detectors"), "stat": STAT},
        only("isr", "stat", planner=TRIVIAL),
    ),
]

INNER_JOIN = [
    Shape(
        "inner join",
        "an input is there for some detectors",
        {"isr": isr(BIAS, reads=[RAW, one("guide")]), "stat": STAT, "gather": GATHER},
        {"step1a": Step(D, ["isr", "stat"], TRIVIAL), "step1b": Step(E, ["gather"])},
    ),
    Shape(
        "inner join",
        "another task of the part reads it",
        {"isr": ISR, "stat": Task(D, [IMAGE, one("guide")], [STATS])},
        only("isr", "stat", planner=TRIVIAL),
    ),
    Shape(
        "inner join",
        "another part reads it",
        {"isr": ISR, "guided": Task(D, [one("guide")], [one("guided")])},
        only("isr", "guided", planner=TRIVIAL),
    ),
    Shape(
        "inner join",
        "an input is there for one of the exposures",
        {"isr": ISR, "gather": Task(E, [many("image"), one("pointing", E)], [SUMMARY])},
        {"step1a": Step(D, ["isr"]), "step1b": Step(E, ["gather"], TRIVIAL)},
    ),
    Shape(
        "inner join",
        "a gather of an input that is there for some",
        {"gather": Task(E, [RAWS, many("guide")], [SUMMARY])},
        only("gather", dimensions=E, planner=TRIVIAL),
    ),
    Shape(
        "inner join",
        "an input that does not constrain",
        {"isr": isr(BIAS, reads=[RAW, one("guide")], unconstraining=["guide"]), "stat": STAT},
        only("isr", "stat", planner=TRIVIAL),
    ),
    Shape(
        "inner join",
        "what an earlier step left out is no constraint",
        {
            "isr": ISR,
            "odd": ODD,
            "stat": STAT,
            "late": FROM_ODD_LATE,
            "both": Task(D, [STATS, one("late", minimum=0)], [one("both")]),
        },
        {"a": Step(D, ["isr", "odd", "stat"]), "b": Step(D, ["late", "both"])},
        like="pipeline",
    ),
]

PLAIN, NAMED = Plain("ChangingTask"), Plain("NamedGatherTask")
DYNAMIC = [
    Shape(
        "dynamic connections",
        "an input more",
        {"changing": Plain("ChangingTask", {"doFlat": True}), "named": NAMED},
        two(["changing"], ["named"]),
        names=("toy_flat",),
    ),
    Shape(
        "dynamic connections",
        "an output more",
        {
            "changing": Plain("ChangingTask", {"doExtra": True}),
            "named": Plain("NamedGatherTask", {"connections.images": "plain_extra"}),
        },
        two(["changing"], ["named"]),
        names=("plain_extra",),
    ),
    Shape(
        "dynamic connections", "neither", {"changing": PLAIN, "named": NAMED}, two(["changing"], ["named"])
    ),
    Shape(
        "overridden names",
        "of one connection",
        {
            "changing": Plain("ChangingTask", {"connections.image": "renamed_image"}),
            "named": Plain("NamedGatherTask", {"connections.images": "renamed_image"}),
        },
        two(["changing"], ["named"]),
        names=("renamed_image",),
    ),
    Shape(
        "overridden names",
        "by a template",
        {
            "changing": Plain("ChangingTask", {"connections.prefix": "other", "doExtra": True}),
            "named": Plain("NamedGatherTask", {"connections.prefix": "other"}),
        },
        two(["changing"], ["named"]),
        names=("other_image", "other_extra", "other_summary"),
    ),
    Shape(
        "overridden names",
        "of a prerequisite",
        {"changing": Plain("ChangingTask", {"connections.flat": "fringe", "doFlat": True}), "named": NAMED},
        two(["changing"], ["named"]),
        names=("fringe",),
    ),
    Shape(
        "instrument overrides",
        "of a task",
        {"changing": PLAIN},
        only("changing"),
        more={"instrument": "support.shape_tasks.ShapeCam"},
        names=("shape_cam_image", "toy_flat"),
    ),
    Shape(
        "instrument overrides",
        "of two tasks that agree on a name",
        {"changing": Plain("ChangingTask", {"doFlat": False}), "named": NAMED},
        two(["changing"], ["named"]),
        more={"instrument": "support.shape_tasks.ShapeCam"},
        names=("shape_cam_image", "shape_cam_summary"),
    ),
    Shape(
        "parameters",
        "name what two tasks share",
        {
            "changing": Plain("ChangingTask", {"connections.image": "parameters.image"}),
            "named": Plain("NamedGatherTask", {"connections.images": "parameters.image"}),
        },
        two(["changing"], ["named"]),
        more={"parameters": {"image": "parameter_image"}},
        names=("parameter_image",),
    ),
    Shape(
        "parameters",
        "turn a connection on",
        {"changing": Plain("ChangingTask", {"doFlat": "parameters.flat"})},
        only("changing"),
        more={"parameters": {"flat": True}},
        names=("toy_flat",),
    ),
    Shape("subsets", "one step of two", USUAL, two(["isr", "stat"], ["gather"]), labels=("step1a",)),
    Shape(
        "subsets",
        "two steps of three",
        {**USUAL, "rank": RANK},
        {**two(["isr", "stat"], ["gather"]), "step1c": Step(D, ["rank"])},
        labels=("step1a", "step1b"),
    ),
    Shape("subsets", "single tasks", USUAL, two(["isr", "stat"], ["gather"]), labels=("isr", "stat")),
]

HTM, TRACT, PATCH = ("htm7",), ("skymap", "tract"), ("skymap", "tract", "patch")
REFCATS = many("refcat", HTM)
FIT = Task(VD, [IMAGE], [one("fit", VD)], needs=[REFCATS], config={"deferred": ["refcat"]})
SKY = [
    Shape(
        "reference catalogues",
        "of a detector of a visit",
        {"isr": ISR, "fit": FIT},
        {"a": Step(D, ["isr"]), "b": Step(VD, ["fit"], TRIVIAL)},
    ),
    Shape(
        "reference catalogues",
        "with what makes the image",
        {"isr": ISR, "fit": FIT},
        only("isr", "fit", planner=TRIVIAL),
    ),
    Shape(
        "reference catalogues",
        "two of a whole visit",
        {
            "isr": ISR,
            "visit": Task(V, [many("image")], [one("v", V)], needs=[REFCATS, many("other_refcat", HTM)]),
        },
        {"a": Step(D, ["isr"]), "b": Step(V, ["visit"], TRIVIAL)},
    ),
    Shape(
        "bounds connections",
        "in space",
        {
            "isr": ISR,
            "near": Task(D, [IMAGE], [one("near", VD)], needs=[REFCATS], config={"spatial_bounds": ["near"]}),
        },
        only("isr", "near", planner=TRIVIAL),
    ),
    Shape(
        "bounds connections",
        "in time, of other datasets than the quantum",
        {
            "isr": ISR,
            "late_visit": Task(
                V, [many("image")], [one("late_v", V)], needs=[CAMERA], config={"temporal_bounds": ["image"]}
            ),
        },
        {"a": Step(D, ["isr"]), "b": Step(V, ["late_visit"], TRIVIAL)},
    ),
    Shape(
        "reference catalogues",
        "a regular input of a pixel",
        {"isr": ISR, "match": Task(VD, [IMAGE, many("refcat", HTM)], [one("match", VD)])},
        {"a": Step(D, ["isr"]), "b": Step(VD, ["match"], BUILDER)},
    ),
    Shape(
        "bounds connections",
        "in time",
        {"isr": isr(BIAS, temporal_bounds=["raw"])},
        only("isr", planner=TRIVIAL),
    ),
    Shape(
        "tracts and patches",
        "a task of a tract",
        {"isr": ISR, "warp": Task((*V, *TRACT), [many("image")], [one("warp", (*V, *TRACT))])},
        {"a": Step(D, ["isr"]), "b": Step(V, ["warp"], BUILDER)},
    ),
    Shape(
        "tracts and patches",
        "a task of a patch and one of the visit",
        {
            "isr": ISR,
            "patch": Task((*V, *PATCH), [many("image")], [one("patch_warp", (*V, *PATCH))]),
            "visit": Task(V, [many("patch_warp", (*V, *PATCH))], [one("v", V)]),
        },
        {"a": Step(D, ["isr"]), "b": Step(V, ["patch", "visit"], BUILDER)},
    ),
    Shape(
        "other spatial prerequisites",
        "templates of a detector",
        {
            "isr": ISR,
            "subtract": Task(
                VD, [IMAGE], [one("difference", VD)], needs=[many("template", PATCH, minimum=0)]
            ),
        },
        {"a": Step(D, ["isr"]), "b": Step(VD, ["subtract"], BUILDER)},
    ),
    Shape(
        "other spatial prerequisites",
        "backgrounds of a visit",
        {
            "isr": ISR,
            "visit": Task(V, [many("image")], [one("v", V)], needs=[many("tract_background", TRACT)]),
        },
        {"a": Step(D, ["isr"]), "b": Step(V, ["visit"], BUILDER)},
    ),
]

LOOKUPS = [
    Shape(
        "look-up functions",
        "another than what is certified",
        {"isr": isr(BIAS, lookups={"toy_bias": "finds what was made first"})},
        only("isr", planner=TRIVIAL),
    ),
    Shape(
        "look-up functions",
        "all detectors for a gather",
        {
            "isr": ISR,
            "gather": Task(
                E,
                [many("image")],
                [SUMMARY],
                needs=[many("toy_bias", ("instrument", "detector"), calibration=True)],
                config={"lookups": {"toy_bias": "finds those of all detectors"}},
            ),
        },
        {"step1a": Step(D, ["isr"]), "step1b": Step(E, ["gather"], TRIVIAL)},
    ),
    Shape(
        "look-up functions",
        "nothing, which is allowed",
        {
            "isr": isr(
                one("toy_bias", ("instrument", "detector"), calibration=True, minimum=0),
                FLAT,
                lookups={"toy_bias": "finds nothing"},
            )
        },
        only("isr", planner=TRIVIAL),
    ),
]

METADATA = one("isr_metadata", D, "TaskMetadata", mocked=False)
CALIBRATIONS = [
    Shape("calibrations", "one collection shadows another", {"isr": isr(BIAS)}, only("isr")),
    Shape("calibrations", "of a filter", {"isr": isr(FLAT)}, only("isr")),
    Shape("calibrations", "of the whole camera", {"isr": isr(CAMERA)}, only("isr")),
    Shape(
        "calibrations",
        "what holds changes between the exposures",
        {"isr": isr(one("gains", ("instrument", "detector"), "ArrowAstropy", calibration=True))},
        only("isr"),
    ),
    Shape(
        "calibrations", "of a RUN", {"isr": isr(one("linearity", ("instrument", "detector")))}, only("isr")
    ),
    Shape(
        "calibrations",
        "of the camera for a gather",
        {"isr": ISR, "gather": Task(E, [many("image")], [SUMMARY], needs=[CAMERA])},
        two(["isr"], ["gather"]),
    ),
    Shape(
        "calibrations",
        "of a visit",
        {"isr": ISR, "fit": Task(VD, [IMAGE], [one("fit", VD)], needs=[BIAS, FLAT])},
        {"a": Step(D, ["isr"]), "b": Step(VD, ["fit"])},
    ),
    Shape(
        "calibrations",
        "of a band, and of a filter for a gather",
        {
            "isr": isr(one("transmission", ("instrument", "band"), calibration=True)),
            "gather": Task(
                E,
                [many("image")],
                [SUMMARY],
                needs=[one("filter_curve", ("instrument", "physical_filter"), calibration=True)],
            ),
        },
        two(["isr"], ["gather"]),
    ),
    Shape(
        "calibrations",
        "never made, and optional",
        {"isr": isr(BIAS, one("no_such", ("instrument", "detector"), calibration=True, minimum=0))},
        only("isr"),
    ),
    Shape(
        "calibrations",
        "of all detectors for a gather",
        {
            "isr": ISR,
            "gather": Task(
                E,
                [many("image")],
                [SUMMARY],
                needs=[many("toy_bias", ("instrument", "detector"), calibration=True)],
            ),
        },
        two(["isr"], ["gather"], BUILDER),
    ),
    Shape(
        "calibrations",
        "within a step of a group",
        {"isr": ISR, "group": Task(G, [many("image")], [one("g", G)])},
        only("isr", "group", dimensions=G, planner=TRIVIAL),
    ),
    Shape(
        "calibrations",
        "certified ones of a group",
        {"isr": ISR, "pair": Task(GD, [many("image")], [one("pair", GD)], needs=[BIAS])},
        {"a": Step(D, ["isr"]), "b": Step(GD, ["pair"], BUILDER)},
    ),
    Shape(
        "calibrations",
        "read as a regular input",
        {"isr": Task(D, [RAW, one("linearity", ("instrument", "detector"))], [IMAGE])},
        only("isr", planner=TRIVIAL),
    ),
    Shape(
        "calibrations",
        "of a group",
        {
            "isr": ISR,
            "pair": Task(
                GD, [many("image")], [one("pair", GD)], needs=[one("linearity", ("instrument", "detector"))]
            ),
        },
        {"a": Step(D, ["isr"]), "b": Step(GD, ["pair"], TRIVIAL)},
    ),
    Shape(
        "calibrations",
        "of one exposure only",
        {"isr": isr(BIAS, one("seeing", E))},
        only("isr", planner=TRIVIAL),
    ),
]

WIDE = [
    Shape(
        "wide outputs",
        "an exposure writes for each detector",
        {
            "isr": ISR,
            "spread": Task(E, [many("image")], [many("spread")]),
            "each": Task(D, [one("spread")], [one("each")]),
        },
        {"a": Step(D, ["isr"]), "b": Step(E, ["spread"]), "c": Step(D, ["each"])},
    ),
    Shape(
        "wide outputs",
        "an exposure writes for each detector, and reads of none",
        {
            **USUAL,
            "fan": Task(E, [SUMMARY], [many("spread")]),
            "each": Task(D, [one("spread")], [one("each")]),
        },
        {
            **two(["isr", "stat"], ["gather"]),
            "step1c": Step(E, ["fan"]),
            "step1d": Step(D, ["each"]),
        },
    ),
    Shape(
        "wide outputs",
        "an exposure writes for each detector that it reads",
        {"isr": ISR, "odd": ODD, "spread": Task(E, [many("odd")], [many("spread")])},
        {"a": Step(D, ["isr", "odd"]), "b": Step(E, ["spread"])},
    ),
    Shape(
        "wide outputs",
        "a group writes for each exposure",
        {"isr": ISR, "group": Task(G, [many("image")], [many("of_group", E)])},
        {"a": Step(D, ["isr"]), "b": Step(G, ["group"])},
    ),
    Shape(
        "wide outputs",
        "a detector writes for each patch",
        {"isr": ISR, "cut": Task(VD, [IMAGE], [many("cut", (*VD, *PATCH))])},
        {"a": Step(D, ["isr"]), "b": Step(VD, ["cut"], BUILDER)},
    ),
]

META = [
    Shape(
        "metadata and logs",
        "of the same step",
        {
            "isr": ISR,
            "teller": Task(D, [METADATA, one("isr_log", D, "ButlerLogRecords", mocked=False)], [one("told")]),
        },
        only("isr", "teller"),
    ),
    Shape(
        "metadata and logs",
        "of an earlier step, gathered",
        {
            "isr": ISR,
            "stat": STAT,
            "metadata_gather": Task(
                E, [many("isr_metadata", D, "TaskMetadata", mocked=False)], [one("told_all", E)]
            ),
        },
        two(["isr", "stat"], ["metadata_gather"]),
    ),
]

PARTS = [
    Shape(
        "independent parts",
        "of a gather, for one of which nothing came",
        {
            "isr": ISR,
            "stat": STAT,
            "gather": GATHER,
            "nothing": Task(D, [IMAGE], [one("odd")], config={"adjust": "refuses all"}),
            "odd_gather": Task(E, [many("odd")], [one("odd_summary", E)]),
            "report": Task(E, [SUMMARY], [one("report", E)]),
        },
        {
            "a": Step(D, ["isr", "stat", "nothing"]),
            "b": Step(E, ["gather"]),
            "c": Step(E, ["odd_gather", "report"]),
        },
    ),
    Shape(
        "independent parts",
        "of a gather, each of other detectors",
        {
            "isr": ISR,
            "odd": ODD,
            "stat": STAT,
            "gather": GATHER,
            "spread": Task(E, [many("odd")], [many("spread")]),
        },
        {"a": Step(D, ["isr", "odd", "stat"]), "b": Step(E, ["gather", "spread"])},
    ),
    Shape(
        "independent parts",
        "of a gather, one of visits",
        {
            "isr": ISR,
            "odd": ODD,
            "visit": Task(V, [many("image")], [one("v", V)]),
            "odd_gather": Task(E, [many("odd")], [one("odd_summary", E)]),
        },
        {"a": Step(D, ["isr", "odd"]), "b": Step(E, ["visit", "odd_gather"])},
    ),
]

EMPTY = [
    Shape(
        "inputs without dimensions",
        "a regular one",
        {"isr": isr(BIAS, reads=[RAW, one("survey", ())]), "gather": Task(E, [many("image")], [SUMMARY])},
        {"step1a": Step(D, ["isr"], TRIVIAL), "step1b": Step(E, ["gather"])},
    ),
    Shape(
        "inputs without dimensions",
        "one that is not there",
        {**USUAL, "lost": Task(D, [IMAGE, one("never_made_whole", ())], [one("lost")])},
        {"step1a": Step(D, ["isr", "stat", "lost"], TRIVIAL), "step1b": Step(E, ["gather"])},
    ),
    Shape("inputs without dimensions", "a prerequisite", {"isr": isr(one("survey", ()))}, only("isr")),
    Shape(
        "inputs without dimensions",
        "of a gather",
        {"isr": ISR, "gather": Task(E, [many("image")], [SUMMARY], needs=[one("survey", ())])},
        two(["isr"], ["gather"]),
    ),
]

TOGETHER = [
    Shape(
        "adjust_all_quanta",
        "of a detector",
        {"isr": Task(D, [RAW], [IMAGE], task_class="TogetherTask"), "stat": STAT},
        only("isr", "stat", planner=BUILDER),
    ),
    Shape(
        "adjust_all_quanta",
        "of an earlier step's images",
        {
            "isr": ISR,
            "together": Task(D, [IMAGE], [STATS], needs=[FLAT], task_class="TogetherTask"),
            "gather": GATHER,
        },
        {"a": Step(D, ["isr"]), "b": Step(D, ["together"], BUILDER), "c": Step(E, ["gather"])},
    ),
    Shape(
        "adjust_all_quanta",
        "of a gather",
        {"isr": ISR, "all_together": Task(E, [many("image")], [SUMMARY], task_class="TogetherTask")},
        {"a": Step(D, ["isr"]), "b": Step(E, ["all_together"], BUILDER)},
    ),
]

SHAPES: Sequence[Shape] = [
    *EXPOSURES,
    *VISITS,
    *GROUPS,
    *EARLIER,
    *INIT,
    *COMPONENTS,
    *OPTIONAL,
    *SEVERAL,
    *ADJUSTING,
    *INNER_JOIN,
    *DYNAMIC,
    *SKY,
    *LOOKUPS,
    *CALIBRATIONS,
    *WIDE,
    *PARTS,
    *META,
    *EMPTY,
    *TOGETHER,
]
