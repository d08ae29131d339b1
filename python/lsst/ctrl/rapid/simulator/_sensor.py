"""The sensors: what each detector does to light, and the noise-free truth of it."""

from __future__ import annotations

__all__ = ("DemoCalibrations", "Sensor", "expected_calibrations", "sensor_of")

import collections
import dataclasses
import threading

import numpy as np
import numpy.typing as npt

from lsst.ctrl.rapid.instruments import CameraDetector, Vendor, load_camera

from ._geometry import FOCAL_PLANE_RADIUS_MM, Layout, layout_of
from ._random import Use, generator

type FloatArray = npt.NDArray[np.float32]

_GAIN = {Vendor.E2V: 1.5, Vendor.ITL: 1.7}
_READ_NOISE = {Vendor.E2V: (6.0, 8.0), Vendor.ITL: (6.5, 9.0)}
_BIAS_LEVEL = 24_000.0
_FULL_WELL = 130_000.0
_HOT_PIXELS = 1e-4
_DEAD_PIXELS = 5e-5
_CACHE_BYTES = 512 * 2**20


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Sensor:
    """One detector's fixed properties; ``n`` amplifiers in the order of the file.

    Attributes
    ----------
    layout
        Where its pixels are.
    gain
        e-/ADU, shape ``(n,)``.
    read_noise
        e- rms, shape ``(n,)``.
    full_well
        e-, shape ``(n,)``.
    bias
        Noise-free level of every pixel that is read, ADU, shape ``(n, rows, columns)`` of the HDUs.
    response
        Electrons for each electron of a perfect pixel on the telescope's axis, shape of the assembled
        detector.
    dark
        Dark current away from hot pixels, e-/s, shape ``(n,)``.
    hot_pixels, hot_rates
        Flat indices into the assembled detector, and their additional dark current, e-/s.
    """

    layout: Layout
    gain: FloatArray
    read_noise: FloatArray
    full_well: FloatArray
    bias: FloatArray
    response: FloatArray
    dark: FloatArray
    hot_pixels: npt.NDArray[np.int64]
    hot_rates: FloatArray

    @property
    def mean_response(self) -> float:
        """Mean of the response over the detector."""
        return float(self.response.mean(dtype=np.float64))


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class DemoCalibrations:
    """What perfect calibrations of a simulated detector are: its truth without noise.

    The images are of the trimmed, assembled detector, in the frame of cameraGeom, float32.

    Attributes
    ----------
    bias
        ADU left in a bias after the level of the serial overscan was subtracted row by row.
    dark
        Dark current, ADU for each second of ``DARKTIME``.
    flat
        Relative response of pixels that were multiplied by the gain (so electrons, not ADU); unitless, mean
        1.
    gains
        e-/ADU of each amplifier, by name (``C10``).
    read_noise_e
        Read noise of each amplifier, electrons rms.
    """

    bias: FloatArray
    dark: FloatArray
    flat: FloatArray
    gains: dict[str, float]
    read_noise_e: dict[str, float]


def expected_calibrations(
    instrument: str, detector: int, *, scale: float = 1.0, seed: int = 0
) -> DemoCalibrations:
    """Return the truth that calibrations made from simulated exposures of a detector approach.

    Parameters
    ----------
    instrument
        Name of the instrument in the registry.
    detector
        Number of the detector.
    scale
        Part of each amplifier's rows and columns that is simulated, 0 to 1.
    seed
        Seed of the simulation.

    Raises
    ------
    LookupError
        If there is no such instrument or detector.
    """
    sensor = sensor_of(instrument, detector, scale=scale, seed=seed)
    layout = sensor.layout
    overscan = np.median(sensor.bias[:, *layout.serial_overscan], axis=2, keepdims=True)
    bias = sensor.bias.copy()
    bias[:, *layout.data] -= overscan
    dark = np.zeros(layout.shape, np.float32)
    dark.ravel()[sensor.hot_pixels] = sensor.hot_rates
    for segment, rate, gain in zip(layout.segments, sensor.dark, sensor.gain, strict=True):
        part = layout.on_detector(segment, dark)
        part[...] = (part + rate) / gain
    names = [segment.amplifier for segment in layout.segments]
    return DemoCalibrations(
        bias=layout.assemble(bias),
        dark=dark,
        flat=sensor.response / np.float32(sensor.mean_response),
        gains=dict(zip(names, sensor.gain.tolist(), strict=True)),
        read_noise_e=dict(zip(names, sensor.read_noise.tolist(), strict=True)),
    )


_cache: collections.OrderedDict[tuple[str, int, float, int], Sensor] = collections.OrderedDict()
_cache_lock = threading.Lock()


def sensor_of(instrument: str, detector: int, *, scale: float, seed: int) -> Sensor:
    """Return the sensor of a detector, the same for the same arguments.

    The least recently used are forgotten when all that are held take more than 512 MiB.

    Raises
    ------
    LookupError
        If there is no such instrument or detector.
    """
    key = (instrument, detector, scale, seed)
    with _cache_lock:
        if key in _cache:
            _cache.move_to_end(key)
            return _cache[key]
    sensor = _make_sensor(instrument, load_camera(instrument)[detector], scale, seed)
    with _cache_lock:
        _cache[key] = sensor
        while len(_cache) > 1 and sum(map(_size, _cache.values())) > _CACHE_BYTES:
            _cache.popitem(last=False)
    return sensor


def _size(sensor: Sensor) -> int:
    return sensor.bias.nbytes + sensor.response.nbytes


def _make_sensor(instrument: str, detector: CameraDetector, scale: float, seed: int) -> Sensor:
    random = generator(Use.SENSOR, seed, instrument, detector.id)
    layout = layout_of(detector, scale)
    count = len(layout.segments)
    pixels = layout.shape[0] * layout.shape[1]
    hot = random.choice(pixels, max(3, round(pixels * _HOT_PIXELS)), replace=False)
    row, column = np.divmod(hot, layout.shape[1])
    return Sensor(
        layout=layout,
        gain=_float32(_GAIN[detector.vendor] * random.normal(1.0, 0.03, count)),
        read_noise=_float32(random.uniform(*_READ_NOISE[detector.vendor], count)),
        full_well=_float32(_FULL_WELL * random.normal(1.0, 0.02, count)),
        dark=_float32(random.uniform(0.04, 0.12, count)),
        hot_pixels=(layout.shape[0] - 1 - row) * layout.shape[1] + column,
        hot_rates=_float32(random.uniform(5.0, 200.0, hot.size)),
        bias=_bias(random, layout),
        response=_response(random, layout, detector),
    )


def _bias(random: np.random.Generator, layout: Layout) -> FloatArray:
    """Draw levels, ADU: each amplifier's, a profile along the rows, and a pattern in the imaging area.

    The profile along the rows is in the serial overscan as well, as that of real raws; the pattern is fixed
    to the pixels: columns, a glow beside the first pixel that is read, and pixel-to-pixel structure.
    """
    count = len(layout.segments)
    rows, columns = layout.raw_shape
    y, x = np.arange(rows, dtype=np.float32), np.arange(columns, dtype=np.float32)
    bias = np.empty((count, rows, columns), np.float32)
    bias[...] = _float32(_BIAS_LEVEL + random.normal(0.0, 800.0, count))[:, None, None]
    decay = random.uniform(2.0, 6.0, count)[:, None] * np.exp(-y / (0.08 * rows))
    bias += _float32(decay)[:, :, None]
    pattern = random.standard_normal((count, layout.data_rows, layout.data_columns), np.float32)
    pattern += _float32(random.normal(0.0, 1.5, (count, 1, layout.data_columns)))
    near, low = np.exp(-x[: layout.data_columns] / 12.0), np.exp(-y[: layout.data_rows] / 40.0)
    pattern += _float32(random.uniform(5.0, 15.0, count))[:, None, None] * (low[:, None] * near[None, :])
    bias[:, *layout.data] += pattern
    return bias


def _response(random: np.random.Generator, layout: Layout, detector: CameraDetector) -> FloatArray:
    """Draw the response, as `Sensor` has it; the rows are drawn from the highest to the lowest."""
    rows, columns = layout.shape
    response = 1.0 + np.float32(0.006) * random.standard_normal((rows, columns), np.float32)
    for segment, factor in zip(layout.segments, random.normal(1.0, 0.02, len(layout.segments)), strict=True):
        layout.on_detector(segment, response[::-1])[...] *= np.float32(factor)
    across, along = np.linspace(-1.0, 1.0, columns), np.linspace(-1.0, 1.0, rows)
    tilt = random.uniform(-0.01, 0.01, 2)
    bowl = random.uniform(0.005, 0.02)
    # Vignetting changes by less than the bowl does within a detector, so a plane through it is enough there.
    centre, slope_x, slope_y = _vignetting(detector, layout.shape)
    response *= _float32(centre + (slope_x + tilt[0]) * across - bowl * across**2)[None, :]
    response *= _float32(1.0 + (tilt[1] - slope_y) * along - bowl * along**2)[:, None]
    dead = random.choice(rows * columns, max(2, round(rows * columns * _DEAD_PIXELS)), replace=False)
    response.ravel()[dead] = 0.2
    response[: rows // 4, random.integers(columns)] *= 0.3
    return np.ascontiguousarray(response[::-1])


def _vignetting(detector: CameraDetector, shape: tuple[int, int]) -> tuple[float, float, float]:
    """Transmission at the centre, and how it changes from there to the right and upper edges."""
    x = np.array([0.0, 0.5, -0.5, 0.0, 0.0]) * shape[1] + (shape[1] - 1) / 2
    y = np.array([0.0, 0.0, 0.0, 0.5, -0.5]) * shape[0] + (shape[0] - 1) / 2
    x_mm, y_mm = detector.to_focal_plane(x, y, shape=shape)
    radius = np.hypot(x_mm, y_mm) / FOCAL_PLANE_RADIUS_MM
    values = 1.0 - 0.25 * radius**4
    return (
        float(values[0]),
        float(values[1] - values[2]) / 2,
        float(values[3] - values[4]) / 2 / float(values[0]),
    )


def _float32(values: npt.NDArray[np.floating]) -> FloatArray:
    return values.astype(np.float32)
