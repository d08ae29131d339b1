"""What is in the pixels is what the truth says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lsst.ctrl.rapid.instruments import load_camera
from lsst.ctrl.rapid.simulator import (
    ExposurePlan,
    ImageType,
    SimulationConfig,
    expected_calibrations,
    render_detector,
)

SEED = 7


def reduced(night, index, detector):
    """Electrons of an assembled exposure, bias, dark and flat corrected with the noise-free truth."""
    truth = night.truth(index, detector)
    raw = night.raw(index, detector)
    calibrations = expected_calibrations("LSSTCamSim", detector, scale=1 / 8, seed=SEED)
    image = raw.assembled() - calibrations.bias - calibrations.dark * raw.header["DARKTIME"]
    for amplifier in raw.amplifiers:
        image[amplifier.place] *= truth["gain_e_per_adu"][amplifier.name]
    return image / calibrations.flat


def bright_stars(night, detector, margin=20):
    stars = night.stars(0, detector)
    rows, columns = night.raw(0, detector).shape
    inside = (
        (stars["x"] > margin)
        & (stars["x"] < columns - 1 - margin)
        & (stars["y"] > margin)
        & (stars["y"] < rows - 1 - margin)
    )
    return stars[inside & ~stars["saturated"] & (stars["flux_e"] > 30_000)]


def shape_of(image, star, sky, sigma):
    """Centre and second moments of the Gaussian through a star's core: a parabola through its logarithm."""
    x0, y0 = round(star["x"]), round(star["y"])
    half = int(np.ceil(1.5 * sigma))
    y, x = np.mgrid[y0 - half : y0 + half + 1, x0 - half : x0 + half + 1]
    light = image[y, x] - sky
    use = light > 0.25 * light.max()
    u, v, weight = x[use] - star["x"], y[use] - star["y"], light[use]
    terms = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=1)
    fit, *_ = np.linalg.lstsq(terms * weight[:, None], np.log(weight) * weight, rcond=None)
    curvature = np.array([[2 * fit[3], fit[4]], [fit[4], 2 * fit[5]]])
    moments = -np.linalg.inv(curvature)
    return moments @ fit[1:3], moments


@pytest.mark.parametrize("detector", [98, 29, 191, 192])
def test_stars_are_where_the_truth_says(night, detector):
    image = reduced(night, 0, detector)
    truth = night.truth(0, detector)
    stars = bright_stars(night, detector)
    halves = stars["y"] < image.shape[0] / 2
    assert min(halves.sum(), (~halves).sum()) >= 2
    sigma = truth["fwhm_arcsec"] / 0.2 / 2.3548
    for star in stars:
        offset, _ = shape_of(image, star, truth["sky_e"], sigma)
        assert np.hypot(*offset) < 0.3
    sky = np.median(image)
    assert sky == pytest.approx(truth["sky_e"], rel=0.02)


@pytest.mark.parametrize("detector", [98, 29])
def test_shape_and_flux_of_stars(night, detector):
    image = reduced(night, 0, detector)
    truth = night.truth(0, detector)
    fwhm = truth["fwhm_arcsec"] / 0.2
    stars = bright_stars(night, detector)
    moments = np.median([shape_of(image, s, truth["sky_e"], fwhm / 2.3548)[1] for s in stars], axis=0)
    size = np.trace(moments)
    assert 2.3548 * np.sqrt(size / 2) == pytest.approx(fwhm, rel=0.03)
    assert (moments[0, 0] - moments[1, 1]) / size == pytest.approx(truth["e1"], abs=0.015)
    assert 2 * moments[0, 1] / size == pytest.approx(truth["e2"], abs=0.015)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    radius = 1.5 * fwhm
    ratios = [
        (image[np.hypot(x - s["x"], y - s["y"]) < radius] - truth["sky_e"]).sum() / s["flux_e"] for s in stars
    ]
    # A Gaussian has 1 - exp(-4 ln2 r^2 / fwhm^2) of its light within r.
    assert np.median(ratios) == pytest.approx(1 - np.exp(-4 * np.log(2) * 1.5**2), abs=0.02)


def test_enough_stars_on_every_detector():
    """At least 40 of which 10 have a signal-to-noise ratio above 50, and are not saturated."""
    for seq_num in range(1, 6):
        exposure = ExposurePlan("LSSTCamSim", ImageType.SCIENCE, 20260315, seq_num, 30.0, "r_57")
        for detector in (0, 94, 98, 188):
            truth = render_detector(exposure, detector, scale=1 / 8).truth
            area = 4 * np.pi * truth.psf.sigma**2
            noise = np.sqrt(truth.flux + area * (truth.sky + 49))
            assert len(truth.x) >= 40
            assert ((truth.flux / noise > 50) & ~truth.saturated).sum() >= 10
            assert 0.55 < truth.psf.fwhm * 0.2 < 1.25


def test_magnitudes_follow_fluxes(night):
    stars = night.stars(0, 98)
    zero_points = stars["mag"] + 2.5 * np.log10(stars["flux_e"])
    assert np.ptp(zero_points) < 0.001
    # 28.36 for one electron a second, and what the vignetting of this detector takes.
    assert np.mean(zero_points) == pytest.approx(28.36 + 2.5 * np.log10(30), abs=0.15)


def test_a_star_at_the_edge_is_there(tmp_path, take_exposures):
    night = take_exposures(tmp_path, exposures=12, detectors=(98, 29), seed=SEED)
    sides = set()
    for index, detector in itertools.product(range(12), (98, 29)):
        stars = night.stars(index, detector)
        image = reduced(night, index, detector)
        sky = night.truth(index, detector)["sky_e"]
        for star in stars[stars["flux_e"] > 30_000]:
            x, y = (int(np.clip(round(star[c]), 0, n)) for c, n in (("x", 511), ("y", 499)))
            distances = {"left": x, "low": y, "right": 511 - x, "high": 499 - y}
            near = {side for side, distance in distances.items() if distance < 6}
            if near:
                assert image[y, x] > sky + 10 * np.sqrt(sky)
            sides |= near
    assert sides == {"left", "low", "right", "high"}


def test_one_field_over_the_focal_plane():
    """Stars that a small crop sees are at the same places of a large one, whose centre is the same."""
    exposure = ExposurePlan("LSSTCamSim", ImageType.SCIENCE, 20260315, 3, 30.0, "r_57")
    for detector in (98, 29):
        small = render_detector(exposure, detector, scale=1 / 8)
        large = render_detector(exposure, detector, scale=1 / 4)
        shift = (np.array(large.layout.shape) - np.array(small.layout.shape)) / 2
        places = np.stack([large.truth.y, large.truth.x], axis=1)
        for y, x in zip(small.truth.y, small.truth.x, strict=True):
            assert np.hypot(*(places - shift - (y, x)).T).min() < 1e-6


def test_flat_pair_gives_gain_and_noise(night):
    for detector in (98, 29, 191):
        truth = night.truth(3, detector)
        pair = zip(night.raw(3, detector).amplifiers, night.raw(4, detector).amplifiers, strict=True)
        gains, noises = [], []
        for one, two in pair:
            read = np.var(one.overscan - two.overscan) / 2
            shot = np.var(one.corrected - two.corrected) / 2 - read
            signal = (one.corrected.mean() + two.corrected.mean()) / 2
            gain = signal / shot
            gains.append(gain / truth["gain_e_per_adu"][one.name])
            noises.append(np.sqrt(read) * gain / truth["read_noise_e"][one.name])
        assert np.mean(gains) == pytest.approx(1.0, abs=0.01)
        assert np.std(gains) < 0.03
        assert np.mean(noises) == pytest.approx(1.0, abs=0.03)
        assert np.mean(list(truth["gain_e_per_adu"].values())) == pytest.approx(
            {98: 1.5, 29: 1.7, 191: 1.7}[detector], rel=0.05
        )


def test_flat_level_and_response(night):
    for detector in (98, 29):
        truth = night.truth(3, detector)
        flat = expected_calibrations("LSSTCamSim", detector, scale=1 / 8, seed=SEED).flat
        assert flat.mean(dtype=float) == pytest.approx(1.0, abs=1e-4)
        electrons = sum(night.raw(i, detector).assembled(truth["gain_e_per_adu"]) for i in (3, 4)) / 2
        assert electrons.mean() == pytest.approx(40_000, rel=0.002)
        residual = electrons / electrons.mean() / flat
        assert np.std(residual) < 1.1 * np.sqrt(1 / 80_000)
        assert np.std(flat) > 0.01
        assert (flat < 0.4).sum() >= 3


def test_bias_structure(tmp_path, take_exposures):
    night = take_exposures(tmp_path, exposures=8, sequence="bias", detectors=(98, 29), seed=SEED)
    for detector in (98, 29):
        truth = expected_calibrations("LSSTCamSim", detector, scale=1 / 8, seed=SEED)
        mean = np.mean([night.raw(i, detector).assembled() for i in range(8)], axis=0)
        noise = max(truth.read_noise_e.values()) / min(truth.gains.values()) / np.sqrt(8)
        assert np.std(mean - truth.bias) < 1.2 * noise
        assert np.abs(mean - truth.bias).mean() < noise
        assert np.ptp(truth.bias) > 10
        assert abs(np.median(truth.bias)) < 2
    levels = [np.median(a.overscan) for a in night.raw(0, 98).amplifiers]
    assert np.mean(levels) == pytest.approx(24_000, rel=0.05)
    assert np.std(levels) > 100


def test_dark_current_and_hot_pixels(night):
    for detector in (98, 29):
        truth = expected_calibrations("LSSTCamSim", detector, scale=1 / 8, seed=SEED)
        image = night.raw(2, detector).assembled() - truth.bias
        assert image.mean() / 30 == pytest.approx(truth.dark.mean(), rel=0.1)
        hot = truth.dark > 20
        assert 3 <= hot.sum() < 1e-3 * hot.size
        assert image[hot] / 30 == pytest.approx(truth.dark[hot], rel=0.1)


def test_pixels_saturate_at_the_full_well():
    exposure = ExposurePlan("LSSTCamSim", ImageType.SCIENCE, 20260315, 1, 3000.0, "r_57")
    rendered = render_detector(exposure, 98, scale=1 / 8)
    for segment, pixels in zip(rendered.layout.segments, rendered.segments, strict=True):
        level = np.median(pixels[rendered.layout.serial_overscan])
        gain = rendered.truth.gain[segment.amplifier]
        assert (pixels.max() - level) * gain < 145_000
    assert rendered.truth.saturated.any()


def test_the_sensor_is_the_seeds_alone():
    a, b, other = (expected_calibrations("LSSTCamSim", 98, scale=1 / 8, seed=seed).bias for seed in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, other)
    with pytest.raises(LookupError, match="No detector table"):
        expected_calibrations("DECam", 1)


def test_bands_differ_in_sky(tmp_path, take_exposures):
    sky = {}
    for name in ("u_24", "r_57", "y_10"):
        night = take_exposures(tmp_path / name, detectors=(98,), filter=name)
        sky[name] = night.truth(0, 98)["sky_e"]
        assert night.raw(0, 98).header["FILTER"] == name
    assert sky["u_24"] < sky["r_57"] < sky["y_10"]
    assert SimulationConfig(instrument="LSSTComCamSim").physical_filter == "r_03"


def test_tracking_draws_stars_out_in_one_direction():
    """The long axis of the stars is the same on the focal plane, however a detector is turned."""
    camera = load_camera("LSSTCamSim")
    exposure = ExposurePlan("LSSTCamSim", ImageType.SCIENCE, 20260315, 3, 30.0, "r_57")
    turns, angles = set(), []
    for number in (98, 191, 195, 199, 203):
        psf = render_detector(exposure, number, scale=1 / 8).truth.psf
        direction = np.arctan2(psf.e2, psf.e1) / 2
        x0, y0 = camera[number].to_focal_plane(0.0, 0.0)
        x1, y1 = camera[number].to_focal_plane(np.cos(direction), np.sin(direction))
        angles.append(np.arctan2(y1 - y0, x1 - x0) % np.pi)
        turns.add(camera[number].quarter_turns)
    assert turns == {0, 1, 2, 3}
    assert angles == pytest.approx([angles[0]] * 5)


def test_seeing_is_worse_at_the_edge_and_differs_by_exposure():
    def fwhm(seq_num, detector):
        exposure = ExposurePlan("LSSTCamSim", ImageType.SCIENCE, 20260315, seq_num, 30.0, "r_57")
        return render_detector(exposure, detector, scale=1 / 8).truth.psf.fwhm

    assert 1.02 < fwhm(1, 0) / fwhm(1, 94) < 1.08
    assert len({fwhm(seq_num, 94) for seq_num in range(1, 6)}) == 5
