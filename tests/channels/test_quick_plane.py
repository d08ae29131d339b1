"""Pictures of the focal plane: is everything where an observer looks for it?"""

from __future__ import annotations

import dataclasses

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from lsst.images import Image
from lsst.pipe.base import NoWorkFound
from matplotlib.figure import Figure

from lsst.ctrl.rapid.channels import (
    Observation,
    QuickBinConfig,
    QuickBinTask,
    QuickMosaicConfig,
    QuickMosaicTask,
    QuickPsfPlaneTask,
)
from lsst.ctrl.rapid.instruments import load_camera


def binned(image, **config) -> Image:
    return QuickBinTask(config=QuickBinConfig(**config)).run(image).binned


def mosaic_of(handles, observation, **config):
    return QuickMosaicTask(config=QuickMosaicConfig(**config)).run(handles, observation=observation)


def place(mosaic: Image, row: int, column: int) -> tuple[float, float]:
    """Return where a pixel of a mosaic lies, millimetres."""
    step = mosaic.metadata["mm_per_pixel"]
    return mosaic.metadata["x_min_mm"] + (column + 0.5) * step, mosaic.metadata["y_min_mm"] + (
        row + 0.5
    ) * step


def drawn_texts(figure: Figure) -> str:
    axes = figure.axes
    texts = [text.get_text() for a in axes for text in a.texts] + [a.get_title() for a in axes]
    return " ".join(texts + [a.get_ylabel() for a in axes])


def test_binning_is_the_mean_of_good_pixels(make_image):
    electrons = np.arange(256 * 250, dtype=float).reshape(256, 250)
    image = make_image(electrons)
    bad = np.zeros((256, 250), dtype=bool)
    bad[:4, :4], bad[4, 4] = True, True
    image.mask.set("BAD", bad)
    before = image.copy()
    result = binned(image, binning=4)
    assert result.array.shape == (64, 63)
    assert result.array.dtype == np.float32
    assert np.isnan(result.array[0, 0])
    good = np.delete(electrons[4:8, 4:8].ravel(), 0)
    assert result.array[1, 1] == pytest.approx(good.mean())
    assert result.array[63, 62] == pytest.approx(electrons[252:, 248:].mean())
    assert result.unit == u.electron
    np.testing.assert_array_equal(image.image.array, before.image.array)


def test_small_detectors_are_binned_less(make_image):
    assert binned(make_image(np.ones((64, 80)))).array.shape == (32, 40)
    assert binned(make_image(np.ones((512, 512)))).array.shape == (64, 64)


@pytest.mark.parametrize("cropped", [False, True])
# A science detector of each vendor, and wavefront halves that are mounted turned once, twice, three times.
@pytest.mark.parametrize("number", [94, 0, 196, 191, 195])
def test_a_bright_pixel_lies_where_the_camera_says(make_image, make_handles, cropped, number):
    camera = load_camera("LSSTCam")
    detector = camera[number]
    shape = (500, 509) if cropped else (detector.rows // 4, detector.columns // 4)
    electrons = np.zeros(shape)
    # A third and a quarter in from the first pixel: no symmetry maps this place onto itself.
    y, x = shape[0] // 3, shape[1] // 4
    electrons[y - 3 : y + 4, x - 3 : x + 4] = 1000.0
    small = binned(make_image(electrons), binning=4)
    observation = Observation("LSSTCam", 1)
    mosaic = mosaic_of(make_handles({number: small}), observation, side=600).mosaic
    row, column = np.unravel_index(np.nanargmax(mosaic.array), mosaic.array.shape)
    expected = detector.to_focal_plane(x * detector.columns / shape[1], y * detector.rows / shape[0])
    assert place(mosaic, row, column) == pytest.approx(expected, abs=1.0)


def test_the_mosaic_keeps_values_and_leaves_gaps_empty(make_image, make_handles, observation):
    small = {n: binned(make_image(np.full((128, 128), 100.0 + n))) for n in (90, 94)}
    result = mosaic_of(make_handles(small), observation, side=300)
    values = result.mosaic.array[np.isfinite(result.mosaic.array)]
    assert set(values) == {190.0, 194.0}
    assert np.isnan(result.mosaic.array).mean() == pytest.approx(7 / 9, abs=0.04)
    assert result.mosaic.unit == u.electron
    for image in small.values():
        assert image.array.min() in (190.0, 194.0)


def test_the_whole_plane_on_request(make_image, make_handles, observation):
    handles = make_handles({94: binned(make_image(np.ones((128, 128))))})
    part = mosaic_of(handles, observation, side=300).mosaic
    whole = mosaic_of(handles, observation, side=300, wholePlane=True).mosaic
    assert part.array.shape[0] * part.metadata["mm_per_pixel"] == pytest.approx(127, abs=2)
    assert whole.array.shape[0] * whole.metadata["mm_per_pixel"] == pytest.approx(635, abs=5)


def test_the_plot_says_what_it_shows(make_image, make_handles, observation, tmp_path):
    handles = make_handles({n: binned(make_image(np.full((128, 128), 9.0))) for n in (90, 94)})
    figure = mosaic_of(handles, observation, side=300).plot
    assert type(figure) is Figure
    text = drawn_texts(figure)
    for word in (
        "LSSTCamSim",
        "2026112200012",
        "r_57",
        "2 of 9 detectors",
        "R22",
        "e⁻ per pixel above the sky",
    ):
        assert word in text
    hatched = [patch for patch in figure.axes[0].patches if patch.get_hatch()]
    assert len(hatched) == 7
    figure.savefig(tmp_path / "plane.png")
    assert (tmp_path / "plane.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("instrument", "rotation", "north", "east"),
    [
        ("LSSTCam", 0.0, (0, 1), (-1, 0)),
        ("LSSTCam", 90.0, (1, 0), (0, 1)),
        ("LATISS", 0.0, (0, 1), (1, 0)),
    ],
)
def test_the_plots_show_north_and_east(make_image, make_handles, instrument, rotation, north, east):
    """With the rotator at 0, north is up and east is left; LATISS sees a mirror image."""
    observation = Observation(instrument, 1, sky_angle=rotation)
    figure = mosaic_of(make_handles({0: binned(make_image(np.ones((128, 128))))}), observation, side=300).plot
    arrows = {text.get_text(): text.xyann for text in figure.axes[0].texts if text.get_text() in "NE"}
    assert arrows["N"] == pytest.approx(36 * np.array(north), abs=1e-9)
    assert arrows["E"] == pytest.approx(36 * np.array(east), abs=1e-9)


def test_without_a_rotation_no_direction_is_shown(make_image, make_handles, observation):
    figure = mosaic_of(make_handles({94: binned(make_image(np.ones((128, 128))))}), observation).plot
    assert not [text for text in figure.axes[0].texts if text.get_text() in "NE"]


def test_an_image_without_any_pixel_can_be_drawn(make_image, make_handles, observation, tmp_path):
    handles = make_handles({94: binned(make_image(np.full((64, 64), np.nan)))})
    mosaic_of(handles, observation, side=100).plot.savefig(tmp_path / "plane.png")


def test_no_image_of_the_camera_is_no_work(observation):
    with pytest.raises(NoWorkFound, match="2026112200012"):
        mosaic_of([], observation)


def stars(e1: float, e2: float, n: int = 40) -> Table:
    rng = np.random.default_rng(1)
    return Table(
        {
            "x": rng.uniform(0, 400, n),
            "y": rng.uniform(0, 400, n),
            "e1": np.full(n, e1),
            "e2": np.full(n, e2),
            "psf_star": np.ones(n, dtype=bool),
        }
    )


def psf_plot(make_handles, observation, tables, fwhm) -> Figure:
    summaries = {n: {"psf_fwhm": value, "rows": 400, "columns": 400} for n, value in fwhm.items()}
    return (
        QuickPsfPlaneTask().run(make_handles(tables), make_handles(summaries), observation=observation).plot
    )


@pytest.mark.parametrize(
    ("e1", "e2", "degrees"), [(0.1, 0.0, 0.0), (-0.1, 0.0, 90.0), (0.0, 0.1, 45.0), (0.0, -0.1, -45.0)]
)
def test_whiskers_point_along_the_stars(make_handles, observation, e1, e2, degrees):
    figure = psf_plot(make_handles, observation, {94: stars(e1, e2)}, {94: 0.8})
    segments = figure.axes[0].collections[0].get_segments()
    assert len(segments) == 4
    for (x0, y0), (x1, y1) in segments:
        angle = np.degrees(np.arctan2(y1 - y0, x1 - x0))
        # R22_S11 is not turned: x and y of its pixels are those of the plane.
        assert (angle - degrees + 90) % 180 - 90 == pytest.approx(0.0, abs=1e-3)


def test_the_psf_plot_says_what_it_shows(make_handles, observation, tmp_path):
    figure = psf_plot(
        make_handles,
        observation,
        {90: stars(0.1, 0.0), 94: stars(0.1, 0.0), 98: stars(0, 0, 0)},
        {90: 0.7, 94: 0.9, 98: None},
    )
    text = drawn_texts(figure)
    for word in ("2026112200012", '0.80"', "FWHM", "0.100"):
        assert word in text
    assert len([patch for patch in figure.axes[0].patches if patch.get_hatch()]) == 7
    figure.savefig(tmp_path / "psf.png")


def test_a_plane_without_stars_can_be_drawn(make_handles, observation, tmp_path):
    figure = psf_plot(make_handles, observation, {94: stars(0, 0, 0)}, {94: None})
    assert "no stars" in drawn_texts(figure)
    figure.savefig(tmp_path / "psf.png")


def test_detectors_of_other_cameras_are_left_out(make_image, make_handles, observation):
    other = dataclasses.replace(observation, instrument="LSSTComCam")
    handles = make_handles({n: binned(make_image(np.ones((64, 64)))) for n in (4, 94)})
    assert mosaic_of(handles, other, side=100).mosaic.metadata["n_detectors"] == 1
