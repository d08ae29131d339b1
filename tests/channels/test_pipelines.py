"""The pipelines, as upstream reads and runs them."""

from __future__ import annotations

from pathlib import Path

import astropy.time
import numpy as np
import pytest
import yaml
from lsst.daf.butler import Butler, CollectionType, DatasetType, Timespan
from lsst.images import Image
from lsst.pipe.base import Pipeline
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor
from lsst.pipe.base.testUtils import lintConnections
from matplotlib.image import imread

from lsst.ctrl.rapid import channels
from lsst.ctrl.rapid.channels import Observation
from lsst.ctrl.rapid.instruments import LsstCamSim, repository_config

PIPELINES = Path(__file__).parents[2] / "pipelines"
EXPOSURE = 2026112200012
DETECTOR = {"instrument", "exposure", "detector"}

TASKS = [getattr(channels, name) for name in channels.__all__ if name.endswith("Task")]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task._DefaultName)
def test_connections_are_sound(task):
    lintConnections(task.ConfigClass.ConnectionsClass, checkMissingMultiple=False)


@pytest.mark.parametrize(
    ("name", "stars", "calibrations"),
    [
        ("summit", True, {"bias", "dark", "flat", "amplifier_gain"}),
        ("summitBias", False, {"bias", "amplifier_gain"}),
        ("summitDark", False, {"bias", "amplifier_gain"}),
        ("summitFlat", False, {"bias", "dark", "amplifier_gain"}),
    ],
)
def test_pipelines_load_with_their_steps(name, stars, calibrations):
    pipeline = Pipeline.from_uri(str(PIPELINES / f"{name}.yaml"))
    graph = pipeline.to_graph()
    assert list(graph.steps)[:2] == ["step1a", "step1b"]
    assert yaml.safe_load((PIPELINES / f"{name}.yaml").read_text())["steps"][:2] == [
        {"label": "step1a", "dimensions": ["exposure", "detector"]},
        {"label": "step1b", "dimensions": ["exposure"]},
    ]
    assert sorted(task for step in graph.steps for task in graph.task_subsets[step]) == sorted(graph.tasks)
    assert ("quickPsfPlane" in graph.tasks) is stars
    assert set(graph.tasks["quickIsr"].prerequisite_inputs) == calibrations
    made = {edge.dataset_type_name for task in graph.tasks.values() for edge in task.outputs.values()}
    assert ("quick_source_catalog" in made) is stars
    assert "quick_exposure_summary" in made


def test_the_executors_facts_name_what_there_is():
    facts = yaml.safe_load((PIPELINES / "summit.rapid.yaml").read_text())
    assert set(facts) == {"pipelines", "publish", "shared", "gather_deadline"}
    made, read = set(), set()
    for entry in facts["pipelines"]:
        graph = Pipeline.from_uri(str(PIPELINES / entry["pipeline"])).to_graph()
        for task in graph.tasks.values():
            made |= {edge.dataset_type_name for edge in task.outputs.values()}
            read |= {edge.parent_dataset_type_name for edge in task.iter_all_inputs()}
    assert set(facts["publish"]) <= made
    assert set(facts["shared"]) <= read | made


@pytest.fixture(scope="module")
def repository(tmp_path_factory, make_raw, make_field):
    """A repository with raws of detectors 90, 91 and 94, and their calibrations."""
    config = repository_config()
    config["datastore", "formatters", "RapidRaw"] = "lsst.daf.butler.formatters.pickle.PickleFormatter"
    root = str(tmp_path_factory.mktemp("pipelines") / "repo")
    butler = Butler.from_config(Butler.makeRepo(root, config=config), writeable=True, run="raws")
    LsstCamSim().register(butler.registry)
    _insert_exposure(butler)
    maker = make_raw(rows=128, columns=128)
    raws = {}
    universe = butler.dimensions
    butler.registry.registerDatasetType(DatasetType("raw", DETECTOR, "RapidRaw", universe=universe))
    for number in (90, 91, 94):
        field = make_field(4.0, 3.0, shape=maker.shape, n=9, seed=number)
        raws[number] = maker(field.electrons / 1.5, noise=3.0, detector=number, seed=number)
        butler.put(raws[number], "raw", instrument="LSSTCamSim", exposure=EXPOSURE, detector=number)
    calibrations = _certify(butler, maker.shape)
    return root, raws, calibrations


def _insert_exposure(butler: Butler) -> None:
    day = 20261122
    begin = astropy.time.Time("2026-11-23T03:00:00", scale="tai")
    shared = {"instrument": "LSSTCamSim"}
    butler.registry.insertDimensionData("day_obs", shared | {"id": day})
    butler.registry.insertDimensionData("group", shared | {"name": "g"})
    butler.registry.syncDimensionData("physical_filter", shared | {"name": "r_57", "band": "r"})
    butler.registry.insertDimensionData(
        "exposure",
        shared
        | {
            "id": EXPOSURE,
            "obs_id": "MC_S_20261122_000012",
            "day_obs": day,
            "seq_num": 12,
            "group": "g",
            "physical_filter": "r_57",
            "observation_type": "science",
            "exposure_time": 30.0,
            "dark_time": 31.0,
            "timespan": Timespan(begin, begin + 30 * astropy.units.s),
        },
    )


def _certify(butler: Butler, shape: tuple[int, int]) -> dict:
    made = {
        "bias": Image(np.ones(shape, dtype=np.float32)),
        "dark": Image(np.full(shape, 0.01, dtype=np.float32)),
        "flat": Image(np.linspace(0.9, 1.1, shape[0] * shape[1], dtype=np.float32).reshape(shape)),
        "amplifier_gain": {
            f"C{row}{column}": {"gain": 1.5, "read_noise": 5.0} for row in (0, 1) for column in (0, 1)
        },
    }
    butler.registry.registerCollection("calib", CollectionType.CALIBRATION)
    butler.registry.registerCollection("calib/run", CollectionType.RUN)
    for name, value in made.items():
        dimensions = {"instrument", "detector"} | ({"physical_filter"} if name == "flat" else set())
        storage_class = "StructuredDataDict" if name == "amplifier_gain" else "ImageV2"
        butler.registry.registerDatasetType(
            DatasetType(name, dimensions, storage_class, universe=butler.dimensions, isCalibration=True)
        )
        more = {"physical_filter": "r_57"} if name == "flat" else {}
        refs = [
            butler.put(value, name, instrument="LSSTCamSim", detector=number, run="calib/run", **more)
            for number in (90, 91, 94)
        ]
        butler.registry.certify("calib", refs, Timespan(None, None))
    return made


def _execute(root: str, name: str, step: str, run: str, where: str) -> SimplePipelineExecutor:
    butler = Butler.from_config(root, writeable=True)
    if run not in butler.collections.query("*"):
        butler.registry.registerCollection(run, CollectionType.RUN)
    butler = Butler.from_config(root, writeable=True, collections=[run, "raws", "calib"], run=run)
    pipeline = Pipeline.from_uri(f"{PIPELINES / name}.yaml#{step}")
    executor = SimplePipelineExecutor.from_pipeline(pipeline, where=where, butler=butler)
    executor.run(register_dataset_types=True, save_versions=False)
    return executor


def _same(stored, made) -> None:
    for name in ("image", "variance"):
        np.testing.assert_array_equal(getattr(stored, name).array, getattr(made, name).array)
    np.testing.assert_array_equal(stored.mask.array, made.mask.array)
    assert stored.unit == made.unit
    assert dict(stored.metadata.native) == dict(made.metadata.native)


def _same_table(stored, made) -> None:
    assert stored.colnames == made.colnames
    for name in made.colnames:
        np.testing.assert_array_equal(np.asarray(stored[name]), np.asarray(made[name]))
        assert stored[name].unit == made[name].unit
        assert np.asarray(stored[name]).dtype.kind == made[name].dtype.kind


def test_upstream_runs_them_with_the_same_values_as_in_memory(repository):
    root, raws, calibrations = repository
    where = f"instrument='LSSTCamSim' AND exposure={EXPOSURE}"
    _execute(root, "summit", "step1a", "out", f"{where} AND detector IN (90, 94)")
    gather = _execute(root, "summit", "step1b", "out", where)

    butler = Butler.from_config(root, collections=["out"])
    data_id = {"instrument": "LSSTCamSim", "exposure": EXPOSURE}
    observation = Observation(
        "LSSTCamSim",
        EXPOSURE,
        94,
        physical_filter="r_57",
        observation_type="science",
        day_obs=20261122,
        seq_num=12,
        exposure_time=30.0,
        dark_time=31.0,
    )
    isr = channels.QuickIsrTask(config=channels.QuickIsrConfig())
    image = isr.run(raws[94], **calibrations, observation=observation).image
    sources = channels.QuickSourcesTask(config=channels.QuickSourcesConfig())
    measured = sources.run(image, observation=observation)
    _same(butler.get("quick_isr_image", data_id, detector=94), image)
    _same_table(butler.get("quick_source_catalog", data_id, detector=94), measured.catalog)
    assert butler.get("quick_detector_summary", data_id, detector=94) == measured.summary
    stats = channels.QuickAmplifierStatsTask().run(raws[94]).stats
    _same_table(butler.get("quick_amplifier_stats", data_id, detector=94), stats)

    # The raw of 91 is there, its summary is not: the summary is made all the same, and says so.
    row = butler.get("quick_exposure_summary", data_id)[0]
    assert (row["n_detectors_done"], row["detectors_failed"]) == (2, "91")
    assert row["n_detectors_missing"] == 186
    assert row["seeing_median"] == pytest.approx(0.8, rel=0.05)
    quanta = gather.quantum_graph.get_task_quanta("quickExposureSummary")
    ((_, quantum),) = quanta.items()
    counts = {dataset_type.name: len(refs) for dataset_type, refs in quantum.inputs.items()}
    assert counts == {"raw": 3, "quick_detector_summary": 2, "quick_amplifier_stats": 2}

    mosaic = butler.get("quick_focal_plane_mosaic", data_id)
    assert mosaic.metadata["n_detectors"] == 2
    for name in ("quick_focal_plane_plot", "quick_psf_plane_plot"):
        picture = imread(butler.getURI(name, data_id).ospath)
        assert min(picture.shape[:2]) > 800


@pytest.mark.parametrize("name", ["summitBias", "summitDark", "summitFlat"])
def test_the_other_pipelines_run_on_the_same_repository(repository, name):
    root, _, _ = repository
    where = f"instrument='LSSTCamSim' AND exposure={EXPOSURE}"
    _execute(root, name, "step1a,step1b", name, where)
    butler = Butler.from_config(root, collections=[name])
    row = butler.get("quick_exposure_summary", instrument="LSSTCamSim", exposure=EXPOSURE)[0]
    assert row["n_detectors_done"] == 3
    assert row["source_count"] == 0
    assert row["overscan_noise_median"] == pytest.approx(3.0, rel=0.05)
