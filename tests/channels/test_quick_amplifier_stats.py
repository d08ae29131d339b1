"""What the amplifier statistics say of a raw whose levels and noise are known."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest

from lsst.ctrl.rapid.channels import QuickAmplifierStatsTask


@pytest.mark.parametrize("noise", [0.8, 5.0])
def test_levels_and_noise(make_raw, noise):
    maker = make_raw(rows=400, columns=40)
    signal = np.full(maker.shape, 200.0)
    signal[:400, :40] += np.random.default_rng(5).normal(0, 20, (400, 40))
    table = QuickAmplifierStatsTask().run(maker(signal, noise=noise, row_drift=2.0)).stats
    assert list(table["amplifier"]) == ["C10", "C11", "C00", "C01"]
    assert set(table["detector"]) == {94}
    drift = 2.0 * np.mean(np.arange(400) % 7)
    np.testing.assert_allclose(table["overscan_mean"], 1000 + drift + 10 * np.arange(4), atol=0.4)
    # Pixels are whole ADU: rounding adds a twelfth to the variance.
    np.testing.assert_allclose(table["overscan_noise"], np.hypot(noise, 12**-0.5), rtol=0.06)
    np.testing.assert_allclose(table["image_median"], 200.0, atol=2.5)
    assert table["image_sigma"][0] == pytest.approx(np.sqrt(20**2 + noise**2 + 2.0**2 * 4.0), rel=0.05)
    assert table["overscan_noise"].unit == u.adu
    assert table["image_median"].unit == u.adu


def test_saturated_fraction(make_raw):
    maker = make_raw()
    signal = np.zeros(maker.shape)
    signal[:12, :16] = 65_000.0
    table = QuickAmplifierStatsTask().run(maker(signal)).stats
    np.testing.assert_allclose(table["saturated_fraction"], [0.5, 0, 0, 0])


def test_a_full_well_counts_below_the_nominal_limit(make_raw):
    maker = make_raw(saturation=200_000.0, gain=2.0)
    signal = np.zeros(maker.shape)
    signal[:12, :16] = 61_000.0
    table = QuickAmplifierStatsTask().run(maker(signal)).stats
    np.testing.assert_allclose(table["saturated_fraction"], [0.5, 0, 0, 0])
