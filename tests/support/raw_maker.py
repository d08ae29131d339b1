"""Raws made from known signals, in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
from lsst.images import Box
from lsst.images.cameras import Amplifier, AmplifierCalibrations, AmplifierRawGeometry, ReadoutCorner

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
