"""Truth: what was put into the sky comes out of the pipeline, by geometry of this file alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from lsst.daf.butler import Butler

from support.processes import SUMMIT, rapid_exec

ITL, E2V = (0, 4, 27), (90, 94, 98)
BRIGHT = 60.0
"""Signal to noise, by the truth, from which on a star must be found."""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("truth")
    rapid_exec(
        "run",
        SUMMIT,
        "--simulate",
        4,
        "--sequence",
        "science,flat,science",
        "--cadence",
        0,
        "--workers",
        2,
        "--detectors",
        ",".join(map(str, ITL + E2V)),
        "--work-dir",
        "work",
        "--seed",
        5,
        cwd=folder,
    )
    return folder / "work"


def section(text: str) -> tuple[slice, slice, int, int]:
    """Read a FITS section: rows and columns as slices, and the steps with which they run."""
    x1, x2, y1, y2 = map(int, re.findall(r"\d+", text))
    rows = slice(min(y1, y2) - 1, max(y1, y2))
    columns = slice(min(x1, x2) - 1, max(x1, x2))
    return rows, columns, 1 if y2 >= y1 else -1, 1 if x2 >= x1 else -1


def assemble(path: Path) -> np.ndarray:
    """Put a raw together by the cards of its segments, each row less the median of its overscan."""
    with fits.open(path) as hdus:
        segments = [hdu for hdu in hdus if hdu.name.upper().startswith("SEGMENT")]
        rows, columns, _, _ = section(segments[0].header["DETSIZE"])
        image = np.full((rows.stop, columns.stop), np.nan)
        for hdu in segments:
            data_rows, data_columns, _, _ = section(hdu.header["DATASEC"])
            overscan = np.median(hdu.data[data_rows, data_columns.stop :], axis=1, keepdims=True)
            rows, columns, y_step, x_step = section(hdu.header["DETSEC"])
            image[rows, columns] = (hdu.data[data_rows, data_columns] - overscan)[::y_step, ::x_step]
    return image


def science(work: Path) -> list[dict]:
    manifest = [json.loads(line) for line in (work / "landing" / "manifest.jsonl").read_text().splitlines()]
    return [line for line in manifest if line["observation_type"] == "science"]


def truth_of(work: Path, line: dict) -> tuple[Table, dict]:
    folder = work / "landing" / "truth"
    stars = Table.read(folder / f"{line['obs_id']}.ecsv")
    facts = json.loads((folder / f"{line['obs_id']}.json").read_text())
    return stars[stars["detector"] == line["detector"]], facts["detectors"][str(line["detector"])]


def bright(stars: Table, facts: dict, shape: tuple[int, int]) -> Table:
    """Return the stars that must be found: bright, not saturated, whole within the image."""
    sigma = facts["fwhm_arcsec"] / 0.2 / 2.355  # pixels of 0.2 arcsec
    noise = np.sqrt(stars["flux_e"] + 4 * np.pi * sigma**2 * (facts["sky_e"] + 64.0))
    edge = 8
    inside = (
        (stars["x"] > edge)
        & (stars["x"] < shape[1] - edge)
        & (stars["y"] > edge)
        & (stars["y"] < shape[0] - edge)
    )
    return stars[
        (stars["flux_e"] / noise > BRIGHT) & (stars["flux_e"] / (2 * np.pi * sigma**2) < 80_000) & inside
    ]


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
        rows, columns, _, _ = section(fits.getheader(line["path"], 1)["DETSIZE"])
        for star in bright(stars, facts, (rows.stop, columns.stop)):
            distance = np.hypot(found["x"] - star["x"], found["y"] - star["y"])
            half = halves[bool(star["y"] < rows.stop // 2)]
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
                rows, columns, _, _ = section(hdu.header["DATASEC"])
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
