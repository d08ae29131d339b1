"""The channels on a repository of the full stack: its raws and calibrations, its configuration."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path

import astropy.time
import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from lsst.daf.butler import Butler, ButlerConfig, CollectionType, Config, DatasetRef, DatasetType, Timespan
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.images import Image
from lsst.pipe.base import Pipeline
from lsst.pipe.base.all_dimensions_quantum_graph_builder import AllDimensionsQuantumGraphBuilder
from lsst.pipe.base.gc_metrics import GcMetrics
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor

from lsst.ctrl.rapid.datastore import open_datastore
from lsst.ctrl.rapid.engine import (
    ExplicitQuantum,
    FirstReads,
    QuantaRequest,
    ShardActor,
    ShardResponse,
    WarmUp,
    WorkerSetup,
)
from lsst.ctrl.rapid.instruments import LsstCamSim, RawImage, repository_config
from lsst.ctrl.rapid.plan import (
    CompiledPipeline,
    DatasetMessage,
    PipelineSource,
    compile_pipeline,
    record_to_json,
    records_from_message,
    records_to_message,
)
from support import afw_stand_in as afw
from support.raw_maker import RawMaker

pytestmark = pytest.mark.usefixtures("stand_ins")

SUMMIT = Path(__file__).parents[2] / "pipelines" / "summit.yaml"
EXPOSURE = 2026112200012
STEP = ("quickIsr", "quickAmplifierStats", "quickSources", "quickBin")
OURS = "lsst.ctrl.rapid.instruments.UncompressedFormatter"
STAND_IN = "support.afw_stand_in.StandInFormatter"
GAIN = 2.0


def _exposure_of(raw: RawImage) -> afw.ExposureF:
    """Return a raw as the stack has it in memory."""
    amplifiers, height, width = [], *raw.segments[0].array.shape
    for at, segment in enumerate(raw.segments):
        geometry, nominal = segment.amplifier.unassembled_raw_geometry, segment.amplifier.nominal_calibrations

        def box(found: object) -> afw.Box2I:
            return afw.Box2I(found.x.min, found.y.min, found.x.max, found.y.max)

        amplifiers.append(
            afw.Amplifier(
                segment.amplifier.name, box(segment.amplifier.bbox), afw.Box2I(0, 0, width - 1, height - 1),
                box(geometry.data_bbox), box(geometry.serial_overscan_bbox),
                box(geometry.parallel_overscan_bbox), box(geometry.prescan_bbox),
                afw.Extent2I(at % 2 * width, at // 2 * height), geometry.flip_x, geometry.flip_y,
                afw.ReadoutCorner[geometry.readout_corner.name], nominal.gain, nominal.read_noise,
                nominal.saturation,
            )
        )  # fmt: skip
    in_file = afw.Detector(
        raw.detector, "R22_S11", afw.Box2I(0, 0, raw.bbox.x.max, raw.bbox.y.max), amplifiers
    )
    mosaic = afw.assemble([segment.array for segment in raw.segments], in_file)
    info = afw.VisitInfo("LSSTCamSim", raw.header["EXPTIME"], raw.header["DARKTIME"])
    return afw.ExposureF(mosaic, detector=in_file.transformed(), visit_info=info)


class Site:
    """A repository with one raw and its calibrations, of our storage classes or of the stack's."""

    def __init__(self, root: Path, raw: RawImage, *, of_stack: bool) -> None:
        config = Config() if of_stack else repository_config()
        for name in ("Exposure", "ExposureF"):
            config["datastore", "formatters", name] = STAND_IN
        if not of_stack:
            config["datastore", "formatters", "RapidRaw"] = STAND_IN
        Butler.makeRepo(str(root), config=config)
        self.root = str(root)
        self.butler = Butler.from_config(self.root, writeable=True, run="raws")
        LsstCamSim().register(self.butler.registry)
        self._insert_exposure()
        self.raw = self._put(
            "raw", {"instrument", "exposure", "detector"}, "Exposure" if of_stack else "RapidRaw",
            _exposure_of(raw) if of_stack else raw, exposure=EXPOSURE,
        )  # fmt: skip
        self.butler.collections.register("calib", CollectionType.CALIBRATION)
        rng = np.random.default_rng(3)
        shape = raw.bbox.shape
        made = {
            "bias": (rng.integers(-5, 5, shape).astype(np.float32), u.adu, GAIN),
            "dark": (rng.integers(0, 9, shape).astype(np.float32) / 4, u.adu / u.s, GAIN),
            "flat": (rng.uniform(0.9, 1.1, shape).astype(np.float32), None, 1.0),
        }
        for name, (pixels, unit, in_electrons) in made.items():
            obj = Image(pixels, unit=unit)
            if of_stack:
                obj = afw.ExposureF(pixels * in_electrons, metadata={"LSST ISR UNITS": "electron"})
            more = {"physical_filter": "r_57"} if name == "flat" else {}
            dimensions = {"instrument", "detector", *more}
            ref = self._put(name, dimensions, "ExposureF" if of_stack else "ImageV2", obj, **more)
            self.butler.registry.certify("calib", [ref], Timespan(None, None))

    def _insert_exposure(self) -> None:
        begin, shared = astropy.time.Time("2026-11-23T03:00:00", scale="tai"), {"instrument": "LSSTCamSim"}
        insert = self.butler.registry.insertDimensionData
        insert("day_obs", shared | {"id": 20261122})
        insert("group", shared | {"name": "g"})
        insert(
            "exposure",
            shared
            | {
                "id": EXPOSURE, "obs_id": "x", "day_obs": 20261122, "seq_num": 12, "group": "g",
                "physical_filter": "r_57", "observation_type": "science", "exposure_time": 30.0,
                "dark_time": 31.0, "timespan": Timespan(begin, begin + 30 * u.s),
            },
        )  # fmt: skip

    def _put(self, name: str, dimensions: set[str], kind: str, obj: object, **more: object) -> DatasetRef:
        calibration = "exposure" not in dimensions
        dataset_type = DatasetType(
            name, dimensions, kind, universe=self.butler.dimensions, isCalibration=calibration
        )
        self.butler.registry.registerDatasetType(dataset_type)
        return self.butler.put(obj, name, instrument="LSSTCamSim", detector=94, **more)

    def pipetask(self, run: str) -> None:
        """Run step1a as plain pipetask does."""
        self.butler.collections.register(run)
        butler = Butler.from_config(self.root, writeable=True, collections=[run, "raws", "calib"], run=run)
        pipeline = Pipeline.from_uri(f"{SUMMIT}#step1a")
        where = f"instrument='LSSTCamSim' AND exposure={EXPOSURE}"
        executor = SimplePipelineExecutor.from_pipeline(pipeline, where=where, butler=butler)
        executor.run(register_dataset_types=True, save_versions=False)

    def compiled(self) -> CompiledPipeline:
        """The pipeline of the detectors."""
        return compile_pipeline(PipelineSource(SUMMIT, ("step1a",)), self.butler)

    def graph(self, compiled: CompiledPipeline) -> PredictedQuantumGraph:
        """A graph of it, with where its inputs are."""
        builder = AllDimensionsQuantumGraphBuilder(
            compiled.graph, self.butler, input_collections=["raws", "calib"], output_run="worker"
        )
        return builder.finish(attach_datastore_records=True).assemble()

    def worker(self, compiled: CompiledPipeline, first_reads: FirstReads | None = None) -> ShardActor:
        """A warm worker in this process."""
        setup = WorkerSetup(
            self.root, (compiled,), tuple(map(record_to_json, self._static())), frozenset({"raw", "bias"}),
            1e9, first_reads=first_reads or FirstReads(),
        )  # fmt: skip
        actor = ShardActor(pickle.dumps(setup))
        warm = WarmUp.model_validate_json(actor.warm())
        assert warm.ok, warm.reason
        return actor

    def _static(self) -> list[object]:
        elements = ("instrument", "detector", "physical_filter")
        return [
            record
            for element in elements
            for record in self.butler.query_dimension_records(element, instrument="LSSTCamSim")
        ]

    def shard(self) -> ShardResponse:
        """Run the detector on a worker as one shard."""
        compiled = self.compiled()
        graph = self.graph(compiled)
        quanta = tuple(
            ExplicitQuantum(quantum_id, label, graph.build_execution_quanta([quantum_id])[quantum_id])
            for label in STEP
            for quantum_id in graph.quanta_by_task[label].values()
        )
        request = QuantaRequest(compiled.name, quanta)
        actor = self.worker(compiled)
        afw.StandInFormatter.reads.clear()
        response = ShardResponse.model_validate_json(actor.run_quanta(pickle.dumps(request)))
        assert response.ok, response.reason
        return response

    def written(self, response: ShardResponse, name: str) -> object:
        """Read what a worker wrote, as every butler would once it is registered."""
        compiled = self.compiled()
        datastore = open_datastore(ButlerConfig(self.root), self.butler.dimensions)
        datastore.import_records(records_from_message(response.datastore_records))
        [output] = [output for output in response.outputs if output.dataset_type == name]
        data_id = self.butler.registry.expandDataId(instrument="LSSTCamSim", exposure=EXPOSURE, detector=94)
        ref = DatasetRef(compiled.dataset_types[name], data_id, run=output.run, id=output.id)
        return datastore.get(ref)


@pytest.fixture
def make_site(tmp_path: Path) -> Callable[..., Site]:
    def make(*, of_stack: bool) -> Site:
        raw = RawMaker(rows=128, columns=96, gain=GAIN)(500.0, noise=3.0)
        return Site(tmp_path / ("stack" if of_stack else "ours"), raw, of_stack=of_stack)

    return make


def _planes(image: object) -> list[np.ndarray]:
    return [image.image.array, image.variance.array, image.mask.array]


def _file(records: Mapping[str, DatastoreRecordData], kind: str) -> tuple[str, str]:
    """Return formatter and path of the only file whose path has a name in it."""
    [found] = [
        (info.formatter, info.path)
        for data in records.values()
        for tables in data.records.values()
        for info in chain(*tables.values())
        if f"{kind}/" in info.path
    ]
    return found


def test_pixels_are_the_same_from_both_kinds_of_repository(make_site: Callable[..., Site]) -> None:
    """By plain pipetask and on a worker; raws are read and converted once for all tasks of a shard."""
    ours, stack = make_site(of_stack=False), make_site(of_stack=True)
    data_id = {"instrument": "LSSTCamSim", "exposure": EXPOSURE, "detector": 94}
    images = []
    for site in (ours, stack):
        site.pipetask("plain")
        images.append(site.butler.get("quick_isr_image", data_id, collections="plain"))
        response = site.shard()
        assert afw.StandInFormatter.reads.count("raw") == 1
        images.append(site.written(response, "quick_isr_image"))
    expected = _planes(images[0])
    assert np.isfinite(expected[0]).all()
    assert images[0].unit == u.electron
    assert images[0].metadata["dark_time_subtracted"] == 31.0
    for image in images[1:]:
        for plane, wanted in zip(_planes(image), expected, strict=True):
            np.testing.assert_array_equal(plane, wanted)
        assert image.metadata["dark_time_subtracted"] == 31.0
    stats = [site.butler.get("quick_amplifier_stats", data_id, collections="plain") for site in (ours, stack)]
    assert np.all(stats[0] == stats[1])


def test_images_are_written_the_same_whatever_the_site_has_configured(make_site: Callable[..., Site]) -> None:
    files = {}
    for of_stack in (False, True):
        site = make_site(of_stack=of_stack)
        records = records_from_message(site.shard().datastore_records)
        for name in ("quick_isr_image", "quick_binned_image"):
            formatter, path = _file(records, name)
            assert formatter == OURS
            with fits.open(Path(site.root) / path) as hdus:
                files[of_stack, name] = [(type(hdu), hdu.filebytes(), hdu.name) for hdu in hdus]
    for name in ("quick_isr_image", "quick_binned_image"):
        assert files[True, name] == files[False, name]
        assert fits.CompImageHDU not in {kind for kind, *_ in files[True, name]}


def test_pipetask_writes_as_the_site_has_it_and_all_is_read(make_site: Callable[..., Site]) -> None:
    site = make_site(of_stack=True)
    site.pipetask("plain")
    [ref] = site.butler.query_datasets("quick_isr_image", "plain")
    formatter, path = _file(site.butler._datastore.export_records([ref]), "quick_isr_image")
    assert formatter != OURS
    with fits.open(Path(site.root) / path) as hdus:
        assert fits.CompImageHDU in {type(hdu) for hdu in hdus}
    assert site.butler.get(ref).unit == u.electron


def test_a_site_that_names_a_formatter_for_the_very_type_is_followed(make_site: Callable[..., Site]) -> None:
    site = make_site(of_stack=True)
    file = Path(site.root) / "butler.yaml"
    config = Config(str(file))
    config["datastore", "formatters", "quick_isr_image"] = "lsst.images.formatters.GenericFormatter"
    config.dumpToUri(str(file))
    formatter, _ = _file(records_from_message(site.shard().datastore_records), "quick_isr_image")
    assert formatter == "lsst.images.formatters.GenericFormatter"


def test_garbage_is_collected_while_tasks_run(make_site: Callable[..., Site]) -> None:
    site = make_site(of_stack=False)
    metadata = site.written(site.shard(), "quickIsr_metadata")
    metrics = GcMetrics.from_task_metadata(metadata)
    assert metrics.start_isenabled
    assert metrics.end_isenabled


@pytest.mark.parametrize("gone", [False, True])
def test_a_worker_reads_a_raw_while_it_is_warmed(make_site: Callable[..., Site], *, gone: bool) -> None:
    """As its tasks do; one that is gone harms nothing."""
    site = make_site(of_stack=True)
    bias = site.butler.query_datasets("bias", "raws")
    refs = [site.raw, *bias]
    data_id = site.butler.registry.expandDataId(site.raw.dataId)
    elements = ("day_obs", "group", "exposure")
    records = tuple(record_to_json(data_id.records[element]) for element in elements)
    stored = records_to_message(site.butler._datastore.export_records(refs))
    if gone:
        Path(site.butler.getURI(site.raw).ospath).unlink()
    compiled = site.compiled()
    afw.StandInFormatter.reads.clear()
    wanted = FirstReads(
        datasets=tuple(map(DatasetMessage.of, refs)), dimension_records=records, datastore_records=stored
    )
    actor = site.worker(compiled, wanted)
    assert afw.StandInFormatter.reads == (["bias"] if gone else ["raw", "bias"])
    if gone:
        return
    # What was read stays as long as a calibration does; the raw is read again when its shard comes.
    graph = site.graph(compiled)
    [(key, quantum)] = [
        (key, graph.build_execution_quanta([key])[key]) for key in graph.quanta_by_task["quickIsr"].values()
    ]
    request = QuantaRequest(compiled.name, (ExplicitQuantum(key, "quickIsr", quantum),))
    response = ShardResponse.model_validate_json(actor.run_quanta(pickle.dumps(request)))
    assert response.ok, response.reason
    assert sorted(afw.StandInFormatter.reads[2:]) == ["dark", "flat", "raw"]
