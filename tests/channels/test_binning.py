"""Averages of blocks against their definition."""

from __future__ import annotations

import numpy as np
import pytest

from lsst.ctrl.rapid.channels import QuickBinConfig, QuickBinTask, QuickSourcesConfig, QuickSourcesTask
from lsst.ctrl.rapid.channels._binning import bin_mean


@pytest.mark.parametrize("factor", [1, 3, 8, 50])
@pytest.mark.parametrize("shape", [(40, 64), (37, 29), (5, 70)])
def test_means_of_usable_pixels(factor: int, shape: tuple[int, int]) -> None:
    random = np.random.default_rng(4)
    pixels = random.normal(300.0, 20.0, shape).astype(np.float32)
    bad = random.random(shape) < 0.1
    bad[:3, :3] = True
    pixels[4, 5], pixels[3, 6] = np.nan, np.inf
    before = pixels.copy()

    binned = bin_mean(pixels, factor, bad)
    good = np.isfinite(pixels) & ~bad
    for row, y in enumerate(range(0, shape[0], factor)):
        for column, x in enumerate(range(0, shape[1], factor)):
            block = np.s_[y : y + factor, x : x + factor]
            values = pixels[block][good[block]].astype(np.float64)
            expected = values.mean() if values.size else np.nan
            assert binned[row, column] == pytest.approx(expected, rel=1e-6, nan_ok=True)
    assert binned.shape == (row + 1, column + 1)
    assert binned.dtype == np.float32
    np.testing.assert_array_equal(pixels, before)


def test_the_reduced_image_may_be_shared(make_field, make_image, observation) -> None:
    """The pipeline's ``shared`` list has it handed out without copying: nobody may write to it."""
    image = make_image(make_field(4.0, 3.0).electrons)
    for array in (image.image.array, image.variance.array, image.mask.array):
        array.setflags(write=False)
    metadata = dict(image.metadata)
    assert QuickBinTask(config=QuickBinConfig()).run(image).binned.array.size
    sources = QuickSourcesTask(config=QuickSourcesConfig())
    assert len(sources.run(image, observation=observation).catalog)
    assert dict(image.metadata) == metadata
