"""Raws, images and handles made from known signals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from lsst.images import Image, Mask, MaskedImage, MaskPlane, MaskSchema
from lsst.pipe.base import InMemoryDatasetHandle

from lsst.ctrl.rapid.channels import Observation
from support.raw_maker import RawMaker


@pytest.fixture(scope="session")
def make_raw() -> type[RawMaker]:
    return RawMaker


@pytest.fixture
def observation() -> Observation:
    return Observation(
        "LSSTCamSim",
        2026112200012,
        94,
        physical_filter="r_57",
        observation_type="science",
        day_obs=20261122,
        seq_num=12,
        exposure_time=30.0,
        dark_time=31.0,
    )


def profile(
    shape: tuple[int, int],
    x: float,
    y: float,
    flux: float,
    fwhm: float,
    beta: float | None,
    e1: float = 0.0,
    e2: float = 0.0,
) -> np.ndarray:
    """Return a Moffat star (a Gaussian without beta) whose second moments have these ellipticities."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(float)
    dx, dy = columns - x, rows - y
    radius2 = ((1 - e1) * dx**2 - 2 * e2 * dx * dy + (1 + e1) * dy**2) / np.sqrt(1 - e1**2 - e2**2)
    if beta is None:
        sigma2 = (fwhm / 2.354820045) ** 2
        return flux * np.exp(-0.5 * radius2 / sigma2) / (2 * np.pi * sigma2)
    alpha2 = (fwhm / 2) ** 2 / (2 ** (1 / beta) - 1)
    return flux * (beta - 1) / (np.pi * alpha2) * (1 + radius2 / alpha2) ** -beta


SCHEMA = MaskSchema([MaskPlane(name, "") for name in ("BAD", "SAT", "NO_DATA")])


@pytest.fixture
def make_image() -> Callable[..., MaskedImage]:
    def make(electrons: np.ndarray, read_noise: float = 6.0) -> MaskedImage:
        array = np.asarray(electrons, dtype=np.float32)
        variance = np.maximum(array, 0) + np.float32(read_noise**2)
        return MaskedImage(
            Image(array, unit=u.electron),
            mask=Mask(schema=SCHEMA, shape=array.shape),
            variance=Image(variance, unit=u.electron**2),
        )

    return make


@dataclasses.dataclass(frozen=True)
class Field:
    """A simulated star field and its truth."""

    electrons: np.ndarray
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray


@pytest.fixture(scope="session")
def make_field() -> Callable[..., Field]:
    def make(
        fwhm: float,
        beta: float | None,
        *,
        shape: tuple[int, int] = (512, 512),
        n: int = 36,
        e1: float = 0.0,
        e2: float = 0.0,
        sky: float = 400.0,
        noise: float = 6.0,
        flux: tuple[float, float] = (2e4, 2e5),
        seed: int = 3,
    ) -> Field:
        rng = np.random.default_rng(seed)
        side = int(np.ceil(np.sqrt(n)))
        steps = np.arange(n)
        x = (steps % side + 0.5) * shape[1] / side + rng.uniform(-3, 3, n)
        y = (steps // side + 0.5) * shape[0] / side + rng.uniform(-3, 3, n)
        fluxes = np.exp(rng.uniform(*np.log(flux), n))
        clean = np.full(shape, sky)
        for star_x, star_y, star_flux in zip(x, y, fluxes, strict=True):
            x0, y0 = int(star_x) - 35, int(star_y) - 35
            stamp = profile((71, 71), star_x - x0, star_y - y0, star_flux, fwhm, beta, e1, e2)
            ys, xs = slice(max(y0, 0), min(y0 + 71, shape[0])), slice(max(x0, 0), min(x0 + 71, shape[1]))
            clean[ys, xs] += stamp[ys.start - y0 : ys.stop - y0, xs.start - x0 : xs.stop - x0]
        return Field(rng.poisson(clean) + rng.normal(0, noise, shape), x, y, fluxes)

    return make


@pytest.fixture
def make_handles() -> Callable[[dict[int, Any]], list[InMemoryDatasetHandle]]:
    def make(datasets: dict[int, Any]) -> list[InMemoryDatasetHandle]:
        return [
            InMemoryDatasetHandle(dataset, dataId={"instrument": "LSSTCamSim", "exposure": 1, "detector": n})
            for n, dataset in datasets.items()
        ]

    return make
