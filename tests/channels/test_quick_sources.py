"""What is measured of star fields whose truth is known."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
import yaml

from lsst.ctrl.rapid.channels import QuickSourcesConfig, QuickSourcesTask

PIXEL_SCALE = 0.2


def run(image, observation, **config):
    return QuickSourcesTask(config=QuickSourcesConfig(**config)).run(image, observation=observation)


@pytest.mark.parametrize("beta", [None, 3.0, 4.0])
@pytest.mark.parametrize("fwhm", [3.0, 4.5, 6.0])
@pytest.mark.parametrize("n", [36, 4])
def test_seeing_agrees_with_the_truth(make_field, make_image, observation, fwhm, beta, n):
    field = make_field(fwhm, beta, n=n)
    summary = run(make_image(field.electrons), observation).summary
    assert summary["psf_fwhm_pixels"] == pytest.approx(fwhm, rel=0.04)
    assert summary["psf_fwhm"] == pytest.approx(fwhm * PIXEL_SCALE, rel=0.04)
    assert summary["n_psf_stars"] >= 0.7 * n


def test_stars_are_where_they_are_and_as_bright(make_field, make_image, observation):
    field = make_field(4.0, None, e1=0.1, e2=-0.06)
    result = run(make_image(field.electrons), observation)
    catalog = result.catalog
    distance = np.hypot(field.x[:, None] - catalog["x"], field.y[:, None] - catalog["y"])
    nearest = distance.argmin(axis=1)
    assert len(set(nearest)) == 36
    assert distance.min(axis=1).max() < 0.2
    np.testing.assert_allclose(catalog["flux"][nearest], field.flux, rtol=0.03)
    pull = (catalog["flux"][nearest] - field.flux) / catalog["flux_err"][nearest]
    assert np.std(pull) == pytest.approx(1.0, abs=0.5)
    assert result.summary["psf_e1"] == pytest.approx(0.1, abs=0.01)
    assert result.summary["psf_e2"] == pytest.approx(-0.06, abs=0.01)
    assert result.summary["sky"] == pytest.approx(400.0, rel=0.01)
    assert result.summary["noise"] == pytest.approx(np.sqrt(400 + 36), rel=0.05)
    assert catalog["flux"].unit == u.electron
    assert catalog["fwhm"].unit == u.arcsec


def test_galaxies_and_hot_pixels_do_not_pass_for_stars(make_field, make_image, observation):
    stars = make_field(3.5, 3.5, n=25)
    galaxies = make_field(9.0, None, n=16, sky=0.0, noise=0.0, seed=9)
    electrons = stars.electrons + galaxies.electrons
    spots = np.random.default_rng(4).integers(10, 500, (20, 2))
    electrons[spots[:, 0], spots[:, 1]] += 20_000
    summary = run(make_image(electrons), observation).summary
    assert summary["psf_fwhm_pixels"] == pytest.approx(3.5, rel=0.05)


def test_saturated_stars_are_listed_but_do_not_count_for_the_psf(make_field, make_image, observation):
    field = make_field(4.0, 3.0, n=16, flux=(1e5, 5e5))
    image = make_image(np.minimum(field.electrons, 15_000))
    saturated = field.electrons >= 15_000
    image.mask.set("SAT", saturated)
    catalog = run(image, observation).catalog
    assert catalog["saturated"].any()
    assert not (catalog["saturated"] & catalog["psf_star"]).any()
    fwhm = np.median(catalog["fwhm_pixels"][catalog["psf_star"]])
    assert fwhm == pytest.approx(4.0, rel=0.05)


def test_bad_pixels_make_no_sources(make_image, observation):
    rng = np.random.default_rng(8)
    electrons = rng.normal(400, 20, (256, 256))
    electrons[100:106, :] = 50_000
    electrons[:, :16] = np.nan
    image = make_image(electrons)
    bad = np.zeros((256, 256), dtype=bool)
    bad[100:106, :] = True
    image.mask.set("BAD", bad)
    before = image.copy()
    summary = run(image, observation).summary
    assert summary["n_sources"] == 0
    assert summary["sky"] == pytest.approx(400.0, rel=0.01)
    np.testing.assert_array_equal(image.image.array, before.image.array)
    np.testing.assert_array_equal(image.mask.array, before.mask.array)


@pytest.mark.parametrize("electrons", [0.0, np.nan, "noise"])
def test_a_field_without_stars_is_no_failure(make_field, make_image, observation, electrons):
    full = run(make_image(make_field(4.0, 3.0).electrons), observation).catalog
    pixels = (
        np.random.default_rng(1).normal(100, 10, (128, 128))
        if electrons == "noise"
        else np.full((128, 128), electrons)
    )
    result = run(make_image(pixels), observation)
    assert len(result.catalog) == 0
    assert result.catalog.colnames == full.colnames
    assert [c.dtype for c in result.catalog.columns.values()] == [c.dtype for c in full.columns.values()]
    assert result.summary["n_sources"] == 0
    assert result.summary["psf_fwhm"] is None
    assert result.summary["psf_e1"] is None
    if electrons is np.nan:
        assert result.summary["sky"] is None


def test_the_summary_is_plain(make_field, make_image, observation):
    summary = run(make_image(make_field(4.0, 3.0).electrons), observation).summary
    assert yaml.safe_load(yaml.safe_dump(summary)) == summary
    assert {type(value) for value in summary.values()} <= {str, int, float, type(None)}


def test_without_detection_the_level_and_noise_are_measured(make_image, observation):
    electrons = np.random.default_rng(1).normal(3.0, 7.0, (200, 300))
    result = run(make_image(electrons), observation, doDetection=False)
    assert result.getDict().keys() == {"summary"}
    assert result.summary["sky"] == pytest.approx(3.0, abs=0.2)
    assert result.summary["noise"] == pytest.approx(7.0, rel=0.03)
    assert result.summary["n_sources"] is None
