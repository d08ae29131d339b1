"""One row on an exposure, whole or not."""

from __future__ import annotations

import dataclasses

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from lsst.pipe.base import InMemoryDatasetHandle

from lsst.ctrl.rapid.channels import QuickExposureSummaryConfig, QuickExposureSummaryTask


class NeverLoaded(InMemoryDatasetHandle):
    def get(self, **kwargs):  # noqa: ARG002  upstream's signature
        raise AssertionError("a raw was loaded")


def raws(*numbers: int) -> list[NeverLoaded]:
    return [
        NeverLoaded(None, dataId={"instrument": "LSSTCamSim", "exposure": 1, "detector": n}) for n in numbers
    ]


def detector(fwhm: float | None, sky: float | None = 400.0, n: int | None = 10) -> dict:
    return {"psf_fwhm": fwhm, "psf_e": 0.05, "sky": sky, "noise": 21.0, "n_sources": n}


def run(observation, *args, expected=()):
    task = QuickExposureSummaryTask(config=QuickExposureSummaryConfig(expectedDetectors=list(expected)))
    table = task.run(*args, observation=observation).summary
    assert len(table) == 1
    return table


def test_done_failed_and_missing_detectors_are_counted(make_handles, observation):
    summaries = make_handles({90: detector(0.7), 92: detector(0.9), 91: detector(None)})
    row = run(observation, raws(92, 90, 91, 93), summaries, expected=range(90, 99))[0]
    assert (row["n_detectors_done"], row["detectors_done"]) == (3, "90,91,92")
    assert (row["n_detectors_failed"], row["detectors_failed"]) == (1, "93")
    assert (row["n_detectors_missing"], row["detectors_missing"]) == (5, "94,95,96,97,98")
    assert row["source_count"] == 30
    assert row["seeing_median"] == pytest.approx(0.8)
    assert row["seeing_p25"] == pytest.approx(0.75)
    assert row["seeing_p75"] == pytest.approx(0.85)
    assert row["sky_median"] == 400.0
    assert row["noise_median"] == 21.0
    assert row["ellipticity_median"] == pytest.approx(0.05)


def test_all_science_detectors_are_expected_by_default(make_handles, observation):
    row = run(observation, raws(94, 191), make_handles({94: detector(0.7)}))[0]
    assert row["n_detectors_missing"] == 188
    # A wavefront sensor is not expected, but when its raw is there it must be reduced.
    assert row["detectors_failed"] == "191"


def test_an_exposure_of_which_everything_failed_has_its_row(observation):
    table = run(observation, raws(1, 2), expected=[1, 2])
    row = table[0]
    assert (row["n_detectors_done"], row["n_detectors_failed"], row["n_detectors_missing"]) == (0, 2, 0)
    assert np.isnan(row["seeing_median"])
    assert row["source_count"] == 0


def test_the_row_names_the_exposure(observation):
    table = run(observation, raws(94))
    row = table[0]
    assert row["exposure"] == 2026112200012
    assert (row["day_obs"], row["seq_num"], row["physical_filter"]) == (20261122, 12, "r_57")
    assert row["exposure_time"] == 30.0
    assert table["seeing_median"].unit == u.arcsec


def test_exposures_without_stars_have_levels(make_handles, observation):
    bias = dataclasses.replace(observation, observation_type="bias", exposure_time=0.0)
    amplifiers = make_handles({94: Table({"overscan_noise": np.array([4.0, 5.0, 9.0], dtype=np.float32)})})
    row = run(bias, raws(94), make_handles({94: detector(None, 0.5, None)}), amplifiers)[0]
    assert (row["overscan_noise_median"], row["overscan_noise_max"]) == (5.0, 9.0)
    assert row["exposure_time"] == 0.0
    assert row["source_count"] == 0
    assert row["sky_median"] == 0.5
