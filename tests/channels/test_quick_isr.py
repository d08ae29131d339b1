"""What the quick reduction makes of a raw whose signal is known."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from lsst.images import Image

from lsst.ctrl.rapid.channels import QuickIsrConfig, QuickIsrTask


def task(**config: object) -> QuickIsrTask:
    return QuickIsrTask(config=QuickIsrConfig(**config))


def plane(image, name: str) -> np.ndarray:
    return np.asarray(image.mask.get(name))


def gains(maker, gain: float = 1.5, noise: float = 4.0) -> dict[str, dict[str, float]]:
    return {f"C{row}{column}": {"gain": gain, "read_noise": noise} for row in (0, 1) for column in range(2)}


def frozen(image: Image) -> Image:
    image.array.setflags(write=False)
    return image


@pytest.mark.parametrize("vendor", ["E2V", "ITL"])
@pytest.mark.parametrize("overscan", ["median", "mean"])
def test_every_pixel_has_the_signal_that_fell_on_it(make_raw, vendor, overscan):
    maker = make_raw(vendor=vendor)
    signal = np.arange(maker.shape[0] * maker.shape[1], dtype=float).reshape(maker.shape)
    result = task(overscan=overscan).run(maker(signal, row_drift=2.0), amplifier_gain=gains(maker)).image
    np.testing.assert_allclose(result.image.array, 1.5 * signal, atol=1e-3)
    assert result.image.array.dtype == np.float32
    assert result.unit == u.electron
    assert not result.mask.array.any()


def test_calibrations_are_applied_and_not_modified(make_raw):
    maker = make_raw()
    rng = np.random.default_rng(2)
    electrons = 500.0
    bias = rng.integers(-20, 20, maker.shape).astype(np.float32)
    dark = rng.integers(0, 4, maker.shape).astype(np.float32)
    flat = rng.uniform(0.8, 1.2, maker.shape).astype(np.float32)
    signal = electrons * flat / 1.5 + bias + dark * 31.0
    raw = maker(signal)
    before = [segment.array.copy() for segment in raw.segments]
    for segment in raw.segments:
        segment.array.setflags(write=False)
    inputs = {"bias": bias, "dark": dark, "flat": flat}
    images = {name: frozen(Image(array.copy())) for name, array in inputs.items()}
    result = task(measureReadNoise=False).run(raw, amplifier_gain=gains(maker), **images).image

    # The raw holds whole ADU.
    np.testing.assert_allclose(result.image.array, electrons, atol=0.76 * 1.5 / 0.8)
    expected = (result.image.array * flat + dark * 31.0 * 1.5 + 4.0**2) / flat**2
    np.testing.assert_allclose(result.variance.array, expected, rtol=1e-5)
    for name, array in inputs.items():
        np.testing.assert_array_equal(images[name].array, array)
    for segment, array in zip(raw.segments, before, strict=True):
        np.testing.assert_array_equal(segment.array, array)


def test_noise_is_measured_in_the_overscan(make_raw):
    maker = make_raw(rows=200, columns=16)
    result = task().run(maker(0.0, noise=6.0, row_drift=3.0), amplifier_gain=gains(maker)).image
    assert np.sqrt(result.variance.array.min()) == pytest.approx(9.0, rel=0.05)
    assert result.metadata["mean_read_noise"] == pytest.approx(9.0, rel=0.05)


def test_saturated_pixels_are_marked_and_grown(make_raw):
    maker = make_raw(saturation=60_000.0)
    signal = np.zeros(maker.shape)
    signal[30, 20] = 70_000.0
    result = task(growSaturation=1).run(maker(signal), amplifier_gain=gains(maker)).image
    rows, columns = np.nonzero(plane(result, "SAT"))
    assert sorted(zip(rows, columns, strict=True)) == [(y, x) for y in (29, 30, 31) for x in (19, 20, 21)]
    single = task(growSaturation=0).run(maker(signal), amplifier_gain=gains(maker)).image
    assert plane(single, "SAT").sum() == 1


def test_a_full_well_is_saturated_below_the_converter(make_raw):
    maker = make_raw(saturation=200_000.0)
    signal = np.zeros(maker.shape)
    signal[3, 0], signal[5, 4] = 90_000.0, 70_000.0
    config = {"growSaturation": 0, "fullWell": 120_000.0}
    result = task(**config).run(maker(signal), amplifier_gain=gains(maker)).image
    assert np.argwhere(plane(result, "SAT")).tolist() == [[3, 0]]


def test_useless_calibrations_mark_bad_pixels(make_raw):
    maker = make_raw()
    bias, dark, flat = np.zeros(maker.shape), np.zeros(maker.shape), np.ones(maker.shape)
    bias[1, 1], dark[2, 2], dark[3, 3], flat[4, 4], flat[5, 5] = np.nan, np.inf, 50.0, 0.0, np.nan
    calibrations = {"bias": Image(bias), "dark": Image(dark), "flat": Image(flat)}
    result = task().run(maker(100.0), amplifier_gain=gains(maker), **calibrations).image
    assert np.argwhere(plane(result, "BAD")).tolist() == [[n, n] for n in range(1, 6)]
    assert np.isfinite(result.image.array).all()


def test_an_amplifier_that_is_not_there_has_no_data(make_raw):
    maker = make_raw()
    result = task().run(maker(100.0, skip=[3]), amplifier_gain=gains(maker)).image
    absent = np.zeros(maker.shape, dtype=bool)
    absent[24:, 16:] = True
    np.testing.assert_array_equal(plane(result, "NO_DATA"), absent)
    np.testing.assert_array_equal(np.isnan(result.image.array), absent)


@pytest.mark.parametrize("vendor", ["E2V", "ITL"])
@pytest.mark.parametrize("absent", [(), (1,), (0, 2, 5)])
def test_the_formulas_hold_amplifier_by_amplifier(make_raw, vendor, absent):
    """Each amplifier has its own place, direction, gain, noise and level."""
    maker = make_raw(vendor=vendor, amplifiers=6, rows=23, columns=15)
    rng = np.random.default_rng(7)
    raw = maker(rng.integers(0, 60_000, maker.shape), row_drift=3.0, skip=absent)
    bias, dark = rng.normal(0, 9, maker.shape), rng.uniform(0, 6, maker.shape)
    flat = rng.uniform(0.1, 1.5, maker.shape)
    bias[4, 5], dark[20, 40], flat[30, 0] = np.nan, -np.inf, np.inf
    measured = {
        segment.amplifier.name: {"gain": 1.0 + 0.1 * at, "read_noise": 4.0 + at}
        for at, segment in enumerate(raw.segments)
    }
    result = (
        task(measureReadNoise=False, growSaturation=0, fullWell=60_000.0)
        .run(raw, Image(bias), Image(dark), Image(flat), measured)
        .image
    )

    covered = np.zeros(maker.shape, dtype=bool)
    for segment in raw.segments:
        box, geometry = segment.amplifier.bbox, segment.amplifier.unassembled_raw_geometry
        gain, noise = measured[segment.amplifier.name].values()
        place = np.s_[box.y.start : box.y.stop, box.x.start : box.x.stop]
        covered[place] = True
        level = np.median(segment.section(geometry.serial_overscan_bbox)[:, 3:], axis=1, keepdims=True)
        adu = segment.oriented(segment.section(geometry.data_bbox) - level)
        b, d, f = bias[place], dark[place], flat[place]
        bad = ~np.isfinite(b) | ~np.isfinite(d) | ~np.isfinite(f) | (d > 5.0) | (f < 0.2)
        b, d = np.where(np.isfinite(b), b, 0.0), np.where(np.isfinite(d), d, 0.0)
        f = np.where(np.isfinite(f) & (f >= 0.2), f, 1.0)
        electrons = gain * (adu - b)
        variance = np.maximum(electrons, 0.0) + noise**2
        np.testing.assert_allclose(
            result.image.array[place], (electrons - gain * 31.0 * d) / f, rtol=1e-5, atol=0.02
        )
        np.testing.assert_allclose(result.variance.array[place], variance / f**2, rtol=1e-5, atol=0.02)
        np.testing.assert_array_equal(plane(result, "BAD")[place], bad)
        np.testing.assert_array_equal(plane(result, "SAT")[place], adu >= 60_000.0 / gain)
    np.testing.assert_array_equal(plane(result, "NO_DATA"), ~covered)
    for array in (result.image.array, result.variance.array):
        np.testing.assert_array_equal(np.isnan(array), ~covered)
    assert not (plane(result, "BAD") | plane(result, "SAT"))[~covered].any()


def test_nominal_gain_serves_without_a_calibration(make_raw):
    maker = make_raw(gain=2.0, read_noise=5.0)
    result = task(measureReadNoise=False).run(maker(100.0)).image
    np.testing.assert_allclose(result.image.array, 200.0)
    np.testing.assert_allclose(result.variance.array, 225.0)


def test_without_gain_the_image_is_in_adu(make_raw):
    result = task(doGain=False).run(make_raw()(100.0)).image
    np.testing.assert_allclose(result.image.array, 100.0)
    assert result.unit == u.adu


def test_a_calibration_of_another_shape_is_named(make_raw, observation):
    flat = Image(np.ones((10, 20)))
    with pytest.raises(ValueError, match=r"flat.*exposure=2026112200012, detector=94.*20 x 10.*32 x 48"):
        task().run(make_raw()(1.0), flat=flat, observation=observation)


def test_a_raw_without_dark_time_is_named(make_raw, observation):
    maker = make_raw()
    dark = Image(np.zeros(maker.shape))
    raw = maker(1.0, header={})
    known = task().run(raw, dark=dark, observation=observation).image
    assert known.metadata["dark_time_subtracted"] == 31.0
    with pytest.raises(ValueError, match=r"dark time of .*detector=94.*DARKTIME"):
        task().run(raw, dark=dark)


def test_facts_travel_with_the_image(make_raw, observation):
    metadata = task().run(make_raw()(1.0), observation=observation).image.metadata
    assert metadata["physical_filter"] == "r_57"
    assert metadata["exposure_time"] == 30.0
    assert metadata["detector"] == 94


@pytest.mark.parametrize(
    ("switch", "dropped"),
    [("doBias", "bias"), ("doDark", "dark"), ("doFlat", "flat"), ("doGain", "amplifier_gain")],
)
def test_calibrations_that_are_switched_off_are_not_asked_for(switch, dropped):
    config = QuickIsrConfig()
    connections = QuickIsrConfig.ConnectionsClass(config=config)
    assert connections.prerequisiteInputs == {"bias", "dark", "flat", "amplifier_gain"}
    setattr(config, switch, False)
    connections = QuickIsrConfig.ConnectionsClass(config=config)
    assert connections.prerequisiteInputs == {"bias", "dark", "flat", "amplifier_gain"} - {dropped}


@pytest.mark.parametrize("do_gain", [True, False])
def test_calibrations_are_applied_by_their_unit(make_raw, do_gain):
    """In electrons or in ADU, of a dark with or without "per second": the image is the same."""
    maker = make_raw()
    rng = np.random.default_rng(4)
    bias = rng.integers(-20, 20, maker.shape).astype(np.float32)
    dark = rng.integers(0, 9, maker.shape).astype(np.float32)
    raw = maker(rng.integers(0, 60_000, maker.shape))
    images = [
        task(doGain=do_gain, maxDark=7.0)
        .run(raw, bias=Image(bias * a, unit=unit_a), dark=Image(dark * b, unit=unit_b))
        .image
        for a, unit_a in ((1.0, u.adu), (1.0, None), (maker.gain, u.electron))
        for b, unit_b in (
            (1.0, u.adu / u.s), (1.0, u.adu), (1.0, None),
            (maker.gain, u.electron / u.s), (maker.gain, u.electron),
        )
    ]  # fmt: skip
    assert 0 < plane(images[0], "BAD").sum() < images[0].mask.array.size
    for image in images[1:]:
        np.testing.assert_array_equal(image.image.array, images[0].image.array)
        np.testing.assert_array_equal(image.variance.array, images[0].variance.array)
        np.testing.assert_array_equal(image.mask.array, images[0].mask.array)


def test_a_calibration_without_a_unit_is_told_in_a_line(make_raw, caplog):
    maker = make_raw()
    with caplog.at_level("INFO"):
        task().run(
            maker(1.0), bias=Image(np.zeros(maker.shape)), dark=Image(np.zeros(maker.shape), unit=u.adu)
        )
    [line] = [record.getMessage() for record in caplog.records if "unit" in record.getMessage()]
    assert line.startswith("The bias for instrument=LSSTCamSim")
    assert line.endswith("has no unit; it is taken to be in ADU.")


@pytest.mark.parametrize(("name", "unit"), [("bias", u.nJy), ("bias", u.electron / u.s), ("dark", u.m)])
def test_a_calibration_of_another_unit_is_refused(make_raw, name, unit):
    maker = make_raw()
    with pytest.raises(ValueError, match=f"certify a {name} in ADU or in electrons"):
        task().run(maker(1.0), **{name: Image(np.zeros(maker.shape), unit=unit)})


def test_a_calibration_in_electrons_needs_a_gain(make_raw):
    maker = make_raw(gain=np.nan)
    electrons = Image(np.zeros(maker.shape), unit=u.electron)
    with pytest.raises(ValueError, match="has no gain, and its bias or dark is in electrons"):
        task(doGain=False).run(maker(1.0), bias=electrons)
    assert (
        task(doGain=False).run(maker(1.0), bias=Image(np.zeros(maker.shape), unit=u.adu)).image.unit == u.adu
    )
