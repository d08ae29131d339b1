"""Raws through butlers, in processes that know nothing but the repository."""

from __future__ import annotations

import datetime
import shutil
import subprocess
import sys
import traceback
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DatasetType, DimensionUniverse, FileDataset
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.pipe.base import Instrument

from lsst.ctrl.rapid.instruments import (
    RAW_STORAGE_CLASS,
    RawFormatter,
    RefusedError,
    camera_names,
    exposure_records,
    filter_band,
    get_instrument,
    identify,
    load_camera,
    read_primary_header,
    repository_config,
    translate,
)


@pytest.fixture(scope="module")
def empty_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("empty") / "repo"
    Butler.makeRepo(root, config=repository_config())
    return root


@pytest.fixture
def butler(empty_repository: Path, tmp_path: Path) -> Iterator[Butler]:
    root = shutil.copytree(empty_repository, tmp_path / "repo")
    with Butler.from_config(root, writeable=True) as butler:
        yield butler


@pytest.fixture
def ref(butler: Butler, write_raw) -> DatasetRef:
    path = write_raw()
    header = read_primary_header(path)
    identity = identify(header)
    instrument = get_instrument(identity.instrument)
    instrument.register(butler.registry)
    for element, record in exposure_records(translate(header), butler.dimensions).items():
        butler.registry.insertDimensionData(element, record, skip_existing=True)
    dataset_type = DatasetType(
        "raw", {"instrument", "exposure", "detector"}, RAW_STORAGE_CLASS, universe=butler.dimensions
    )
    butler.registry.registerDatasetType(dataset_type)
    run = instrument.makeDefaultRawIngestRunName()
    butler.collections.register(run)
    data_id = DataCoordinate.standardize(
        instrument=identity.instrument,
        exposure=identity.exposure_id,
        detector=identity.detector,
        universe=butler.dimensions,
    )
    ref = DatasetRef(dataset_type, data_id, run=run)
    butler.ingest(FileDataset(path, [ref], formatter=RawFormatter), transfer="direct")
    return ref


def run_python(folder: Path, code: str) -> str:
    """Return what a fresh process prints that has imported nothing of ours by itself."""
    script = folder / "script.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def package_on_path(monkeypatch) -> None:
    import lsst.ctrl.rapid

    root = Path(next(iter(lsst.ctrl.rapid.__path__))).parents[2]
    monkeypatch.setenv("PYTHONPATH", str(root))


def test_another_process_reads_a_raw_knowing_the_repository_alone(
    butler: Butler, ref: DatasetRef, tmp_path: Path, package_on_path: None
) -> None:
    root = tmp_path / "repo"
    printed = run_python(
        tmp_path,
        f"""
from lsst.daf.butler import Butler, DatasetType, QuantumBackedButler
butler = Butler.from_config({str(root)!r}, collections={ref.run!r})
ref, = butler.query_datasets("raw")
raw = butler.get(ref)
assert butler.get("raw.header", ref.dataId)["SEQNUM"] == 123
assert butler.getDeferred(ref).get(component="header")["SEQNUM"] == 123
records = butler._datastore.export_records([ref])
limited = QuantumBackedButler.from_predicted(
    {str(root)!r}, [ref.id], [], butler.dimensions, datastore_records=records,
    dataset_types={{"raw": butler.get_dataset_type("raw")}},
)
again = limited.get(ref)
print(type(raw).__module__, type(raw).__name__, tuple(raw.bbox.shape), again.segments[0].array[0, 5])
""",
    )
    assert printed == "lsst.ctrl.rapid.instruments._raw RawImage (80, 80) 5"


PIPELINE_MODULE = f"""
DETECTOR = ("instrument", "exposure", "detector")

import lsst.pipe.base as pb
from lsst.pipe.base import connectionTypes as ct

class PeekConnections(pb.PipelineTaskConnections, dimensions=DETECTOR):
    raw = ct.Input(name="raw", storageClass="{RAW_STORAGE_CLASS}", dimensions=DETECTOR, doc="")
    out = ct.Output(name="peek", storageClass="StructuredDataDict", dimensions=DETECTOR, doc="")

class PeekConfig(pb.PipelineTaskConfig, pipelineConnections=PeekConnections):
    pass

class PeekTask(pb.PipelineTask):
    ConfigClass = PeekConfig
    _DefaultName = "peek"

    def run(self, raw):
        return pb.Struct(out={{"segments": len(raw.segments)}})
"""


def test_a_pipeline_of_raws_resolves_and_runs(
    butler: Butler, ref: DatasetRef, tmp_path: Path, package_on_path: None, monkeypatch
) -> None:
    (tmp_path / "peek_module.py").write_text(PIPELINE_MODULE)
    pipeline = tmp_path / "peek.yaml"
    pipeline.write_text("description: peek\ntasks:\n  peek: peek_module.PeekTask\n")
    root = str(tmp_path / "repo")
    printed = run_python(
        tmp_path,
        f"""
from lsst.daf.butler import Butler
from lsst.pipe.base import Pipeline
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor
butler = SimplePipelineExecutor.prep_butler({root!r}, inputs=[{ref.run!r}], output="u/out")
graph = Pipeline.from_uri({str(pipeline)!r}).to_graph()
graph.resolve(butler.registry)
assert graph.dataset_types["raw"].storage_class_name == {RAW_STORAGE_CLASS!r}
executor = SimplePipelineExecutor.from_pipeline_filename({str(pipeline)!r}, butler=butler)
executor.run(register_dataset_types=True)
print(butler.get("peek", instrument="LSSTCam", exposure=2026050100123, detector=94))
""",
    )
    assert printed == "{'segments': 16}"


def test_a_raw_is_never_written(butler: Butler, ref: DatasetRef) -> None:
    raw = butler.get(ref)
    butler.pruneDatasets([ref], unstore=True, purge=True)
    with pytest.raises(Exception, match="Failed to serialize") as caught:
        butler.put(raw, "raw", ref.dataId, run=ref.run)
    assert "never written" in "".join(traceback.format_exception(caught.value))
    assert not butler.query_datasets("raw", ref.run, explain=False)


@pytest.mark.parametrize("name", camera_names())
def test_instruments_are_registered_whole(butler: Butler, name: str) -> None:
    instrument = get_instrument(name)
    instrument.register(butler.registry)
    instrument.register(butler.registry)
    (record,) = butler.query_dimension_records("instrument", instrument=name)
    assert record.detector_max == (1 if name == "LATISS" else 1000)
    assert record.exposure_max == record.visit_max == 7050123199999
    detectors = {r.id: r for r in butler.query_dimension_records("detector", instrument=name)}
    assert set(detectors) == set(load_camera(name))
    assert Instrument.fromName(name, butler.registry).getName() == name
    filters = {
        r.name: r.band for r in butler.query_dimension_records("physical_filter", instrument=name, limit=None)
    }
    assert all(filter_band(name, physical_filter) == band for physical_filter, band in filters.items())
    assert "unknown" in filters.values()
    assert instrument.makeDefaultRawIngestRunName() == f"{name}/raw/all"
    assert instrument.getRawFormatter({}) is RawFormatter


def test_detectors_are_registered_as_the_full_stack_does(butler: Butler) -> None:
    get_instrument("LSSTCam").register(butler.registry)
    records = {r.id: r for r in butler.query_dimension_records("detector", instrument="LSSTCam")}
    assert len(records) == 205
    assert (records[94].full_name, records[94].raft, records[94].name_in_raft) == ("R22_S11", "R22", "S11")
    assert [records[i].purpose for i in (94, 203, 189)] == ["SCIENCE", "WAVEFRONT", "GUIDER"]


def test_the_filters_of_the_telescope_have_their_bands(butler: Butler) -> None:
    get_instrument("LSSTCam").register(butler.registry)
    bands = {r.name: r.band for r in butler.query_dimension_records("physical_filter", instrument="LSSTCam")}
    expected = {"u_24": "u", "g_6": "g", "r_57": "r", "i_39": "i", "z_20": "z", "y_10": "y", "ph_5": "white"}
    assert expected.items() <= bands.items()
    assert bands["SDSSY~ND_OD0.1"] == "y~nd"


def test_a_changed_record_is_replaced_only_when_asked(butler: Butler) -> None:
    instrument = get_instrument("LATISS")
    instrument.register(butler.registry)
    changed = {"instrument": "LATISS", "id": 0, "full_name": "old", "raft": "R00", "name_in_raft": "S00"}
    butler.registry.syncDimensionData("detector", changed, update=True)
    with pytest.raises(ConflictingDefinitionError):
        instrument.register(butler.registry)
    instrument.register(butler.registry, update=True)
    (record,) = butler.query_dimension_records("detector", instrument="LATISS")
    assert record.full_name == "RXX_S00"


def test_an_unknown_instrument_is_an_error_that_names_the_known() -> None:
    with pytest.raises(LookupError, match="no instrument 'HSC'; known are LSSTCam, LSSTCamSim"):
        get_instrument("HSC")


def test_the_full_stack_is_used_where_it_is(monkeypatch) -> None:
    class LsstCam(Instrument):
        @classmethod
        def getName(cls) -> str:
            return "LSSTCam"

        def register(self, registry, *, update=False) -> None: ...

        def getRawFormatter(self, dataId): ...

    package = types.ModuleType("lsst.obs.lsst")
    package.LsstCam = LsstCam
    monkeypatch.setitem(sys.modules, "lsst.obs.lsst", package)
    monkeypatch.setattr("lsst.ctrl.rapid.instruments._instruments.has_full_stack", lambda: True)
    assert type(get_instrument("LSSTCam")) is LsstCam


def test_records_of_an_exposure(header) -> None:
    records = exposure_records(translate(header()), DimensionUniverse())
    assert list(records) == ["day_obs", "group", "physical_filter", "exposure"]
    day = records["day_obs"].timespan
    assert day.begin.tai.isot == "2026-05-01T12:00:00.000000"
    assert day.end.tai.isot == "2026-05-02T12:00:00.000000"
    assert (records["physical_filter"].name, records["physical_filter"].band) == ("r_57", "r")
    exposure = records["exposure"]
    assert records["group"].name == exposure.group == "2026-05-02T03:04:05.678"
    assert (exposure.id, exposure.obs_id, exposure.day_obs) == (
        2026050100123,
        "MC_O_20260501_000123",
        20260501,
    )
    assert (exposure.seq_num, exposure.seq_start, exposure.seq_end) == (123, 123, 123)
    assert exposure.timespan.begin.tai.isot == "2026-05-02T03:04:10.000000"
    assert exposure.timespan.end.tai.isot == "2026-05-02T03:04:40.900000"
    assert (exposure.exposure_time, exposure.dark_time) == (30.0, 30.9)
    assert (exposure.tracking_ra, exposure.tracking_dec, exposure.sky_angle) == pytest.approx((10, -20, 45))
    assert (exposure.azimuth, exposure.zenith_angle) == pytest.approx((270, 30))
    assert (exposure.observation_type, exposure.observation_reason) == ("science", "science")
    assert (exposure.target_name, exposure.science_program) == ("field", "BLOCK-365")
    assert (exposure.has_simulated, exposure.can_see_sky) == (False, True)


def test_snaps_of_a_visit_know_the_first_and_last(header) -> None:
    exposure = exposure_records(translate(header(CURINDEX=2, MAXINDEX=3)), DimensionUniverse())["exposure"]
    assert (exposure.seq_start, exposure.seq_end) == (122, 124)


def test_a_bias_has_no_place_on_the_sky(header) -> None:
    exposure = exposure_records(translate(header(IMGTYPE="BIAS")), DimensionUniverse())["exposure"]
    assert exposure.tracking_ra is exposure.tracking_dec is exposure.sky_angle is None


def test_long_text_is_cut_but_long_keys_are_refused(header) -> None:
    universe = DimensionUniverse()
    exposure = exposure_records(translate(header(OBJECT="x" * 65)), universe)["exposure"]
    assert exposure.target_name == "x" * 64
    with pytest.raises(RefusedError, match=r"group's name .* more than 64 characters"):
        exposure_records(translate(header(GROUPID="x" * 65)), universe)


def test_the_day_of_the_laboratory_was_pacific(header) -> None:
    cards = {"DAYOBS": "20211212", "DATE_BEG": "2021-12-13T04:58:56", "DATE_END": None}
    day = exposure_records(translate(header(**cards)), DimensionUniverse())["day_obs"].timespan
    assert day.begin.tai.to_datetime() == datetime.datetime(2021, 12, 12, 8)  # noqa: DTZ001 - astropy's are naive
