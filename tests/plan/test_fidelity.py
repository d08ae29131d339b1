"""Quanta made from memory are those that upstream's builder makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DatasetType, Quantum
from lsst.pipe.base.all_dimensions_quantum_graph_builder import AllDimensionsQuantumGraphBuilder

from lsst.ctrl.rapid.model import Shard
from lsst.ctrl.rapid.plan import (
    Calibrations,
    CompiledPipeline,
    DatasetMessage,
    InputKind,
    PipelineSource,
    PlannedQuantum,
    RecordStore,
    ShardInputs,
    Step,
    compile_pipeline,
    instantiate,
    refs_by_type,
)

CAMERA = "ToyCam"
RUN = "u/someone/run"
D = ("exposure", "detector")
E = ("exposure",)

INIT_OUTPUTS = {"a_schema"}

type Described = dict[tuple[str, tuple[Any, ...]], dict[str, Any]]

SHAPES: Mapping[str, tuple[dict[str, str], dict[str, Any]]] = {
    "the toy pipeline": (
        {"isr": "Isr", "stat": "Stat", "gather": "Gather"},
        {"step1a": (D, ["isr", "stat"]), "step1b": (E, ["gather"])},
    ),
    "each task is a step": (
        {"isr": "Isr", "stat": "Stat", "gather": "Gather"},
        {"a": (D, ["isr"]), "b": (D, ["stat"]), "c": (E, ["gather"])},
    ),
    "a component is read": (
        {"isr": "Isr", "catalog": "Catalog", "columns": "Columns", "gather": "Gather"},
        {"step1a": (D, ["isr", "catalog", "columns"]), "step1b": (E, ["gather"])},
    ),
    "a component is read in a later step": (
        {"isr": "Isr", "catalog": "Catalog", "columns": "Columns"},
        {"step1a": (D, ["isr", "catalog"]), "step1b": (D, ["columns"])},
    ),
    "storage classes are converted": (
        {"isr": "Isr", "catalog": "Catalog", "convert": "Convert", "gather": "Gather"},
        {"step1a": (D, ["isr", "catalog", "convert"]), "step1b": (E, ["gather"])},
    ),
    "the repository has another storage class": (
        {"isr": "Isr", "catalog": "Registered", "columns": "RegisteredColumns", "gather": "Gather"},
        {"step1a": (D, ["isr", "catalog", "columns"]), "step1b": (E, ["gather"])},
    ),
    "a gather converts and reads a component": (
        {"isr": "Isr", "catalog": "Catalog", "gather": "GatherTables"},
        {"step1a": (D, ["isr", "catalog"]), "step1b": (E, ["gather"])},
    ),
    "an optional input is there for some": (
        {"isr": "Isr", "odd": "Odd", "stat": "MaybeStat", "gather": "Gather"},
        {"step1a": (D, ["isr", "odd", "stat"]), "step1b": (E, ["gather"])},
    ),
    "no work was found for some": (
        {"isr": "Isr", "odd": "Odd", "stat": "OddStat", "gather": "Gather"},
        {"step1a": (D, ["isr", "odd", "stat"]), "step1b": (E, ["gather"])},
    ),
    "no work was found for some in an earlier step": (
        {"isr": "Isr", "odd": "Odd", "stat": "OddStat", "gather": "Gather"},
        {"step1a": (D, ["isr", "odd"]), "step1b": (D, ["stat"]), "step1c": (E, ["gather"])},
    ),
    "no work was found for any": (
        {"isr": "Isr", "odd": "Nothing", "stat": "OddStat", "gather": "Gather"},
        {"step1a": (D, ["isr", "odd", "stat"]), "step1b": (E, ["gather"])},
    ),
    "a gather has an optional input": (
        {"isr": "Isr", "odd": "Odd", "stat": "Stat", "gather": "GatherOdd"},
        {"step1a": (D, ["isr", "odd", "stat"]), "step1b": (E, ["gather"])},
    ),
    "a gather drops inputs": (
        {"isr": "Isr", "stat": "Stat", "gather": "GatherSome"},
        {"step1a": (D, ["isr", "stat"]), "step1b": (E, ["gather"])},
    ),
    "a calibration of a filter": (
        {"isr": "FlatIsr", "stat": "Stat"},
        {"step1a": (D, ["isr", "stat"])},
    ),
    "a calibration that is optional": (
        {"isr": "OptionalIsr", "stat": "Stat"},
        {"step1a": (D, ["isr", "stat"])},
    ),
    "a calibration of the whole camera": (
        {"isr": "CameraIsr", "stat": "Stat"},
        {"step1a": (D, ["isr", "stat"])},
    ),
    "a gather of raws": ({"mosaic": "RawGather"}, {"step1b": (E, ["mosaic"])}),
    "the detectors again after the gather": (
        {"isr": "Isr", "stat": "Stat", "gather": "Gather", "rank": "Rank"},
        {"step1a": (D, ["isr", "stat"]), "step1b": (E, ["gather"]), "step1c": (D, ["rank"])},
    ),
    "the detectors again within the gather's step": (
        {"isr": "Isr", "stat": "Stat", "gather": "Gather", "rank": "Rank"},
        {"step1a": (D, ["isr", "stat"]), "step1b": (E, ["gather", "rank"])},
    ),
    "everything in one step of an exposure": (
        {"isr": "Isr", "stat": "Stat", "gather": "Gather"},
        {"step1": (E, ["isr", "stat", "gather"])},
    ),
    "an init-output is read": (
        {"isr": "Isr", "stat": "Schema", "gather": "UsesSchema"},
        {"step1a": (D, ["isr", "stat"]), "step1b": (E, ["gather"])},
    ),
}


def known_records(butler: Butler, exposure: int) -> RecordStore:
    """Return what is known in memory of an exposure."""
    records = RecordStore.from_butler(butler, [CAMERA])
    for element in ("day_obs", "group", "exposure"):
        records.add(butler.query_dimension_records(element, instrument=CAMERA, explain=False))
    return records


def shards_of(step: Step, exposure: int, detectors: Sequence[int]) -> list[Shard]:
    chosen: Sequence[int | None] = detectors if step.per_detector else [None]
    return [Shard("toy", step.label, CAMERA, exposure, detector) for detector in chosen]


def plan(
    compiled: CompiledPipeline, butler: Butler, exposure: int, raws: Sequence[DatasetRef]
) -> list[PlannedQuantum]:
    """Make all quanta of an exposure, one shard after another, as they are made live."""
    records = known_records(butler, exposure)
    calibrations = Calibrations(compiled.calibrations, ["defaults"])
    calibrations.refresh(butler)
    types = compiled.dataset_types
    made: list[DatasetMessage] = []
    planned: list[PlannedQuantum] = []
    for step in compiled.steps:
        of_step: list[PlannedQuantum] = []
        for shard in shards_of(step, exposure, [int(raw.dataId["detector"]) for raw in raws]):
            messages = [
                DatasetMessage.of(raw) for raw in raws if shard.detector in (None, raw.dataId["detector"])
            ]
            messages += [m for m in made if m.dataset_type in step.reads(InputKind.EARLIER_STEP)]
            inputs = refs_by_type(messages, types, records)
            for detector in range(4) if shard.detector is None else [shard.detector]:
                data_id = records.expand(
                    butler.dimensions.conform(D), instrument=CAMERA, exposure=exposure, detector=detector
                )
                for name in step.reads(InputKind.CALIBRATION):
                    ref = calibrations.find(name, data_id, data_id.timespan)
                    if ref is not None and ref not in inputs.get(name, ()):
                        inputs.setdefault(name, []).append(ref)
            for name in INIT_OUTPUTS & types.keys():
                empty = DataCoordinate.make_empty(butler.dimensions)
                inputs.setdefault(name, [DatasetRef(types[name], empty, run=RUN)])
            of_step += instantiate(compiled.graph, step, shard, RUN, ShardInputs(inputs), records)
        made += [
            DatasetMessage.of(ref) for p in of_step for refs in p.quantum.outputs.values() for ref in refs
        ]
        planned += of_step
    return planned


def describe(quanta: Sequence[tuple[str, Quantum]], overall: set[Any]) -> Described:
    """Return what a task would see of its quantum; datasets that nobody has made yet by their data ID."""

    def dataset(ref: DatasetRef) -> tuple[Any, ...]:
        identity = ref.id if ref.id in overall else ref.run
        return (
            ref.datasetType.name,
            ref.datasetType.storageClass_name,
            ref.dataId.required_values,
            ref.isComponent(),
            identity,
        )

    return {
        (label, quantum.dataId.required_values if quantum.dataId else ()): {
            "inputs": {t.name: [dataset(ref) for ref in refs] for t, refs in quantum.inputs.items() if refs},
            "outputs": {
                t.name: [dataset(ref) for ref in refs] for t, refs in quantum.outputs.items() if refs
            },
            "init": {t.name: dataset(ref)[:4] for t, ref in quantum.initInputs.items()},
        }
        for label, quantum in quanta
    }


def upstream(compiled: CompiledPipeline, butler: Butler, exposure: int) -> list[tuple[str, Quantum]]:
    builder = AllDimensionsQuantumGraphBuilder(
        compiled.graph,
        butler,
        where=f"instrument='{CAMERA}' AND exposure={exposure}",
        input_collections=["defaults"],
        output_run=RUN,
    )
    graph = builder.finish(attach_datastore_records=False).assemble()
    quanta = graph.build_execution_quanta()
    return [
        (label, quanta[identity])
        for label, by_id in graph.quanta_by_task.items()
        for identity in by_id.values()
    ]


@pytest.fixture(scope="module")
def night(make_repository: Callable[..., Any]) -> Any:
    """Two exposures of two filters; for the second one bias is replaced and one flat is missing."""
    repository = make_repository()
    universe = repository.butler.dimensions
    repository.butler.registry.registerDatasetType(
        DatasetType("registered", universe.conform(D), "ArrowTable", universe=universe)
    )
    refs = repository.biases()
    for name, number in (("r_57", 4), ("g_6", 3)):
        flats = [repository.calibration("flat", detector=d, physical_filter=name) for d in range(number)]
        repository.certify("calib", None, None, *flats)
        refs += flats
    camera = repository.calibration("camera")
    repository.certify("newer", None, None, camera)
    newer = repository.calibration("bias", run="made/newer", detector=1)
    repository.certify("newer", 1.5, None, newer)
    raws = {exposure: repository.raws(exposure) for exposure in (1, 2)}
    overall = {ref.id for ref in (*refs, camera, newer, *raws[1], *raws[2])}
    return repository.butler, raws, overall


@pytest.mark.parametrize("shape", SHAPES)
def test_quanta_from_memory_equal_upstreams(
    night: Any, pipeline: Callable[..., PipelineSource], shape: str
) -> None:
    butler, raws, overall = night
    compiled = compile_pipeline(pipeline(*SHAPES[shape]), butler)
    for exposure in (1, 2):
        if exposure == 2 and shape == "a calibration of a filter":
            continue
        ours = plan(compiled, butler, exposure, raws[exposure][::-1])
        found = describe([(p.node.label, p.quantum) for p in ours], overall)
        expected = describe(upstream(compiled, butler, exposure), overall)
        assert expected
        assert found.keys() == expected.keys()
        for key in expected:
            assert found[key] == expected[key], key
        assert len({p.id for p in ours}) == len(ours)
        assert all(p.quantum.dataId is not None and p.quantum.dataId.hasRecords() for p in ours)
        made = set(overall)
        for planned in ours:
            read = {ref.id for refs in planned.quantum.inputs.values() for ref in refs}
            assert read <= made, "what is read was made before, or was there"
            made |= {ref.id for refs in planned.quantum.outputs.values() for ref in refs}


def test_a_missing_calibration_is_named_with_its_data_id(
    night: Any, pipeline: Callable[..., PipelineSource]
) -> None:
    butler, raws, _ = night
    compiled = compile_pipeline(pipeline(*SHAPES["a calibration of a filter"]), butler)
    assert len(plan(compiled, butler, 2, raws[2][:3])) == 6
    with pytest.raises(FileNotFoundError, match=r"flat.*(\n|.)*detector: 3"):
        plan(compiled, butler, 2, raws[2][3:])


def test_a_replaced_calibration_is_taken_from_when_it_holds(
    night: Any, pipeline: Callable[..., PipelineSource]
) -> None:
    butler, raws, _ = night
    compiled = compile_pipeline(pipeline(*SHAPES["the toy pipeline"]), butler)
    runs = {
        exposure: [
            ref.run
            for p in plan(compiled, butler, exposure, raws[exposure])
            for t, refs in p.quantum.inputs.items()
            if t.name == "bias"
            for ref in refs
        ]
        for exposure in (1, 2)
    }
    assert runs == {1: ["made"] * 4, 2: ["made", "made/newer", "made", "made"]}


def test_a_gather_takes_what_has_come(night: Any, pipeline: Callable[..., PipelineSource]) -> None:
    butler, raws, _ = night
    compiled = compile_pipeline(pipeline(*SHAPES["the toy pipeline"]), butler)
    [gather] = [p for p in plan(compiled, butler, 1, raws[1][1:3]) if p.node.label == "gather"]
    [refs] = gather.quantum.inputs.values()
    assert [ref.dataId["detector"] for ref in refs] == [1, 2]


def test_a_gather_of_nothing_has_no_work(night: Any, pipeline: Callable[..., PipelineSource]) -> None:
    butler, _, _ = night
    compiled = compile_pipeline(pipeline(*SHAPES["the toy pipeline"]), butler)
    shard = Shard("toy", "step1b", CAMERA, 1)
    records = known_records(butler, 1)
    assert instantiate(compiled.graph, compiled.step("step1b"), shard, RUN, ShardInputs({}), records) == []


def test_a_shard_of_an_unknown_exposure_is_told(night: Any, pipeline: Callable[..., PipelineSource]) -> None:
    butler, _, _ = night
    compiled = compile_pipeline(pipeline(*SHAPES["the toy pipeline"]), butler)
    shard = Shard("toy", "step1a", CAMERA, 99, 0)
    records = known_records(butler, 1)
    with pytest.raises(LookupError, match="no record of exposure for instrument='ToyCam', exposure=99"):
        instantiate(compiled.graph, compiled.step("step1a"), shard, RUN, ShardInputs({}), records)
