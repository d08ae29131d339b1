"""The main job: from simulated raws to a repository that upstream's tools understand, and to the truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from lsst.daf.butler import Butler

from lsst.ctrl.rapid.model import Outcome, Report
from support.compare import differences
from support.processes import SUMMIT, pipetask, rapid_exec, rapid_exec_anew
from support.truth import assemble, bright, data_section, truth_of

ITL, E2V = (0, 4, 27), (90, 94, 98)
DETECTORS = ITL + E2V
INPUTS = "LSSTCamSim/defaults"
EXPOSURES = 6


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder in which exposures of each kind, two of science, were simulated and reduced."""
    folder = tmp_path_factory.mktemp("run")
    rapid_exec_anew(
        *("run", SUMMIT, "--simulate", EXPOSURES, "--sequence", "science,bias,dark,flat,science"),
        *("--cadence", 0, "--seed", 5, "--detectors", ",".join(map(str, DETECTORS)), "--workers", 2),
        *("--work-dir", "work", "--report", "elsewhere/report.json"),
        cwd=folder,
    )
    return folder / "work"


@pytest.fixture(scope="module")
def report(work: Path) -> Report:
    return Report.model_validate_json((work / "report.json").read_text())


@pytest.fixture
def butler(work: Path) -> Butler:
    return Butler.from_config(str(work / "repo"), writeable=False)


def test_every_shard_is_done(report: Report, work: Path) -> None:
    assert report.summary.exposures == EXPOSURES
    assert report.summary.shards[Outcome.DONE] == EXPOSURES * (len(DETECTORS) + 1)
    assert report.summary.shards[Outcome.FAILED] == 0
    assert report.summary.missing == 0
    assert not report.refused
    assert {shard.planned_by for shard in report.shards} == {"memory"}
    assert (work.parent / "elsewhere/report.json").read_text() == (work / "report.json").read_text()


def test_each_kind_of_exposure_has_its_pipeline(report: Report, butler: Butler) -> None:
    types = {
        record.id: record.observation_type
        for record in butler.query_dimension_records("exposure", instrument="LSSTCamSim")
    }
    pipelines = {"science": "summit", "bias": "summitBias", "dark": "summitDark", "flat": "summitFlat"}
    assert sorted(types.values()) == ["bias", "dark", "flat", "flat", "science", "science"]
    for shard in report.shards:
        assert shard.pipeline == pipelines[types[int(shard.data_id["exposure"])]]


def test_times_pass_in_order_and_overhead_adds_up(report: Report) -> None:
    for shard in report.shards:
        times = shard.times
        passed = [
            times.file_closed,
            times.seen,
            times.ready,
            times.dispatched,
            times.started,
            times.finished,
            times.committed,
        ]
        assert None not in passed
        assert passed == sorted(passed, key=float)  # type: ignore[arg-type]
        assert shard.overhead is not None
        parts = shard.overhead
        assert parts.latency_ms == pytest.approx(parts.no_worker_free_ms + parts.overhead_ms)
        assert parts.latency_ms == pytest.approx(1e3 * (times.started - times.file_closed), abs=1e-6)


def test_everything_reported_is_registered_and_readable(report: Report, butler: Butler) -> None:
    total = 0
    for run in report.runs:
        for dataset_type in butler.collections.get_info(run, include_summary=True).dataset_types or ():
            if "exposure" not in butler.get_dataset_type(dataset_type).dimensions.names:
                continue
            for ref in butler.query_datasets(dataset_type, run, find_first=False):
                total += 1
                assert butler.getURI(ref).exists()
    assert total == report.summary.datasets_committed
    raws = butler.query_datasets("raw", "LSSTCamSim/raw/all")
    assert len(raws) == EXPOSURES * len(DETECTORS)


def test_outcomes_say_how_each_shard_ended(report: Report, butler: Butler) -> None:
    outcomes = butler.query_datasets("rapid_step1a_outcome", "rapid/*", find_first=False)
    assert len(outcomes) == EXPOSURES * len(DETECTORS)
    assert all(butler.get(ref)["outcome"] == "done" for ref in outcomes)


def test_output_chain_holds_the_runs_and_the_inputs(report: Report, butler: Butler) -> None:
    chain = butler.collections.get_info("rapid").children
    assert set(report.runs) | {INPUTS} <= set(chain)
    assert chain[-1] == INPUTS


def test_published_pictures_are_whole(work: Path) -> None:
    pictures = list((work / "published").rglob("*.png"))
    assert len(pictures) == EXPOSURES + 2  # a mosaic of each exposure, the PSF of those of science
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


@pytest.mark.parametrize(
    ("pipeline", "step"),
    [("summit", "step1a"), ("summit", "step1b"), ("summitBias", "step1b")],
)
def test_pipetask_finds_nothing_to_do(work: Path, report: Report, pipeline: str, step: str) -> None:
    [run] = [run for run in report.runs if f"/{pipeline}-" in run]
    exposures = {int(s.data_id["exposure"]) for s in report.shards if s.pipeline == pipeline}
    done = pipetask(
        "run",
        "-b",
        "repo",
        "-p",
        f"{SUMMIT.with_name(pipeline)}.yaml#{step}",
        "-i",
        f"{run},{INPUTS}",
        "--output-run",
        run,
        "--extend-run",
        "--skip-existing",
        "-d",
        f"instrument='LSSTCamSim' and exposure in ({','.join(map(str, exposures))})",
        cwd=work,
    )
    assert "previously succeeded and skipped" in done.stderr, done.stderr
    assert "QuantumGraph contains no quanta" in done.stderr, done.stderr


def test_plain_pipetask_gives_the_same_datasets(work: Path, report: Report, butler: Butler) -> None:
    [ours] = [run for run in report.runs if "/summit-" in run]
    exposures = {int(s.data_id["exposure"]) for s in report.shards if s.pipeline == "summit"}
    done = pipetask(
        "run",
        "-b",
        "repo",
        "-p",
        SUMMIT,
        "-i",
        INPUTS,
        "--output-run",
        "u/plain",
        "-d",
        f"instrument='LSSTCamSim' and exposure in ({','.join(map(str, exposures))})",
        cwd=work,
    )
    assert done.returncode == 0, done.stderr
    assert differences(butler, ours, "u/plain") == []


def test_report_command_shows_where_the_time_went(work: Path) -> None:
    done = rapid_exec("report", "report.json", "--plot", "times.png", cwd=work)
    assert "overhead" in done.stdout
    assert "Warm-up" in done.stdout
    assert "quickIsr" in done.stdout
    assert (work / "times.png").read_bytes().startswith(b"\x89PNG")


def test_a_second_run_leaves_what_is_done(work: Path, report: Report) -> None:
    again = rapid_exec(
        "run",
        SUMMIT,
        "--work-dir",
        "work",
        "--until-idle",
        1,
        "--workers",
        1,
        "--report",
        "again.json",
        "--detectors",
        ",".join(map(str, DETECTORS)),
        cwd=work.parent,
    )
    second = Report.model_validate_json((work.parent / "again.json").read_text())
    assert second.shards == (), again.stdout
    assert not second.refused


def science(work: Path) -> list[dict]:
    manifest = [json.loads(line) for line in (work / "landing" / "manifest.jsonl").read_text().splitlines()]
    return [line for line in manifest if line["observation_type"] == "science"]


def test_truth_is_where_the_raw_has_it(work: Path) -> None:
    """The brightest pixel about each star is its own, by this file's assembly of the raw."""
    near = {True: [], False: []}
    for line in science(work):
        stars, facts = truth_of(work, line)
        image = assemble(Path(line["path"]))
        chosen = bright(stars, facts, image.shape)
        lonely = [s for s in chosen if sum(np.hypot(stars["x"] - s["x"], stars["y"] - s["y"]) < 12) == 1]
        for star in lonely:
            x, y = round(float(star["x"])), round(float(star["y"]))
            stamp = image[y - 4 : y + 5, x - 4 : x + 5]
            peak_y, peak_x = np.unravel_index(np.nanargmax(stamp), stamp.shape)
            near[y < image.shape[0] // 2].append(np.hypot(peak_x - 4, peak_y - 4) <= 1.5)
    for half in near.values():
        assert len(half) > 20
        assert np.mean(half) > 0.97  # a hot pixel may outshine a star


@pytest.mark.parametrize("vendor", [ITL, E2V], ids=["ITL", "E2V"])
def test_bright_stars_are_found_within_a_pixel(work: Path, vendor: tuple[int, ...]) -> None:
    butler = Butler.from_config(str(work / "repo"))
    halves = {True: [0, 0], False: [0, 0]}
    for line in science(work):
        if line["detector"] not in vendor:
            continue
        stars, facts = truth_of(work, line)
        found = butler.get(
            "quick_source_catalog",
            instrument="LSSTCamSim",
            exposure=line["exposure"],
            detector=line["detector"],
            collections="rapid",
        )
        shape = assemble(Path(line["path"])).shape
        for star in bright(stars, facts, shape):
            distance = np.hypot(found["x"] - star["x"], found["y"] - star["y"])
            half = halves[bool(star["y"] < shape[0] // 2)]
            half[0] += 1
            half[1] += bool(len(distance) and np.min(distance) <= 1.0)
    for there, seen in halves.values():
        assert there > 15
        assert seen >= 0.95 * there


def test_fwhm_agrees_with_the_truth(work: Path) -> None:
    butler = Butler.from_config(str(work / "repo"))
    for line in science(work):
        _, facts = truth_of(work, line)
        summary = butler.get(
            "quick_detector_summary",
            instrument="LSSTCamSim",
            exposure=line["exposure"],
            detector=line["detector"],
            collections="rapid",
        )
        assert summary["psf_fwhm"] == pytest.approx(facts["fwhm_arcsec"], rel=0.05)


def test_noise_and_gain_of_a_flat_pair(work: Path) -> None:
    """Variance against mean of a pair of flats gives each amplifier's gain, its overscan the read noise."""
    manifest = [json.loads(line) for line in (work / "landing" / "manifest.jsonl").read_text().splitlines()]
    flats = [line for line in manifest if line["observation_type"] == "flat"]
    gains, noises = [], []
    for detector in ITL + E2V:
        first, second = (Path(line["path"]) for line in flats if line["detector"] == detector)
        _, facts = truth_of(work, next(line for line in flats if line["detector"] == detector))
        with fits.open(first) as a, fits.open(second) as b:
            for hdu in a:
                if not hdu.name.upper().startswith("SEGMENT"):
                    continue
                rows, columns = data_section(hdu.header)
                other = b[hdu.name]
                amplifier = f"C{hdu.name[-2:]}"
                overscan = hdu.data[rows, columns.stop + 2 :].astype(float)
                noise = np.std(overscan - np.mean(overscan, axis=1, keepdims=True), ddof=len(overscan))
                pair = [
                    h.data[rows, columns].astype(float)
                    - np.median(h.data[rows, columns.stop :], axis=1, keepdims=True)
                    for h in (hdu, other)
                ]
                good = pair[0] > 0.5 * np.median(pair[0])
                mean = np.mean([np.mean(p[good]) for p in pair])
                variance = np.var((pair[0] - pair[1])[good]) / 2
                gain = mean / (variance - noise**2)
                gains.append(gain / facts["gain_e_per_adu"][amplifier])
                noises.append(noise * facts["gain_e_per_adu"][amplifier] / facts["read_noise_e"][amplifier])
    assert np.median(gains) == pytest.approx(1.0, abs=0.01)
    assert np.std(gains) < 0.03
    assert np.median(noises) == pytest.approx(1.0, abs=0.03)
