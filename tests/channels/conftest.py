"""Raws, images and handles made from known signals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from lsst.images import Box, Image, Mask, MaskedImage, MaskPlane, MaskSchema
from lsst.images.cameras import Amplifier, AmplifierCalibrations, AmplifierRawGeometry, ReadoutCorner
from lsst.pipe.base import InMemoryDatasetHandle

from lsst.ctrl.rapid.channels import Observation
from lsst.ctrl.rapid.instruments import RawImage, RawSegment

PRESCAN, OVERSCAN, PARALLEL = 4, 12, 3


def box(y0: int, y1: int, x0: int, x1: int) -> Box:
    return Box.from_shape((y1 - y0, x1 - x0), start=(y0, x0))


@dataclasses.dataclass
class RawMaker:
    """Makes raws with two rows of amplifiers; E2V mirrors the upper row in both axes, ITL in y only."""

    rows: int = 24
    columns: int = 16
    amplifiers: int = 4
    vendor: str = "E2V"
    bias_level: float = 1000.0
    saturation: float = 60_000.0
    gain: float = 2.0
    read_noise: float = 5.0

    @property
    def shape(self) -> tuple[int, int]:
        return 2 * self.rows, self.amplifiers // 2 * self.columns

    def __call__(
        self,
        signal: np.ndarray | float,
        *,
        header: dict[str, Any] | None = None,
        noise: float = 0.0,
        seed: int = 1,
        row_drift: float = 0.0,
        instrument: str = "LSSTCamSim",
        detector: int = 94,
        skip: Iterable[int] = (),
    ) -> RawImage:
        rng = np.random.default_rng(seed)
        adu = np.broadcast_to(np.asarray(signal, dtype=float), self.shape)
        segments = [
            self._segment(number, adu, rng, noise, row_drift)
            for number in range(self.amplifiers)
            if number not in skip
        ]
        return RawImage(
            {"EXPTIME": 30.0, "DARKTIME": 31.0} if header is None else header,
            instrument,
            detector,
            Box.from_shape(self.shape),
            tuple(segments),
        )

    def _segment(
        self, number: int, adu: np.ndarray, rng: np.random.Generator, noise: float, drift: float
    ) -> RawSegment:
        half = self.amplifiers // 2
        upper, column = divmod(number, half)
        flip_y, flip_x = bool(upper), (self.vendor == "E2V" and upper == 1) or self.vendor == "ITL"
        place = box(
            upper * self.rows, (upper + 1) * self.rows, column * self.columns, (column + 1) * self.columns
        )
        height, width = self.rows + PARALLEL, PRESCAN + self.columns + OVERSCAN
        pixels = np.full((height, width), self.bias_level + 10 * number) + rng.normal(
            0, noise, (height, width)
        )
        pixels += drift * (np.arange(height) % 7)[:, None]
        data = adu[place.y.start : place.y.stop, place.x.start : place.x.stop]
        # A readout goes through the pixels from the amplifier's corner: the inverse of the assembly.
        if flip_y:
            data = np.flipud(data)
        if flip_x:
            data = np.fliplr(data)
        pixels[: self.rows, PRESCAN : PRESCAN + self.columns] += data
        geometry = AmplifierRawGeometry(
            bbox=box(0, height, 0, width),
            data_bbox=box(0, self.rows, PRESCAN, PRESCAN + self.columns),
            flip_x=flip_x,
            flip_y=flip_y,
            serial_overscan_bbox=box(0, self.rows, PRESCAN + self.columns, width),
            parallel_overscan_bbox=box(self.rows, height, PRESCAN, PRESCAN + self.columns),
            prescan_bbox=box(0, height, 0, PRESCAN),
            readout_corner=ReadoutCorner.LL,
        )
        amplifier = Amplifier(
            name=f"C{1 - upper}{column}",
            bbox=place,
            readout_corner=ReadoutCorner.from_flips(y=flip_y, x=flip_x),
            unassembled_raw_geometry=geometry,
            nominal_calibrations=AmplifierCalibrations(
                gain=self.gain,
                read_noise=self.read_noise,
                saturation=self.saturation,
                suspect_level=np.nan,
                linearity_coefficients=np.zeros(2),
                linearity_type="none",
            ),
        )
        return RawSegment(amplifier, np.rint(pixels).astype(np.int32))


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
