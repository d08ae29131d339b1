"""The pixels of one detector in one exposure."""

from __future__ import annotations

__all__ = ("DetectorTruth", "Rendered", "render_detector")

import dataclasses

import numpy as np
import numpy.typing as npt

from lsst.ctrl.rapid.instruments import load_camera

from ._geometry import Layout
from ._random import Use, generator
from ._sensor import Sensor, sensor_of
from ._sequence import ExposurePlan, ImageType
from ._sky import Psf, Stars, add_stars, band_of, margin_of, psf_at, stars_on

ADC_CEILING = 2**18 - 1
_BIAS_DRIFT = 2.0


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class DetectorTruth:
    """What was put into the pixels of one detector.

    Attributes
    ----------
    detector
        Number of the detector.
    x, y
        Stars' positions, zero-based pixels of the assembled detector in the frame of cameraGeom.
    flux
        Electrons that an aperture around each star finds in all, after division by the flat of mean 1.
    magnitude
        AB magnitude of each star.
    saturated
        Whether a star's brightest pixel reaches the full well.
    psf
        Shape of the stars; `None` without any.
    sky
        Mean light of the sky, or of the flat's lamp, after division by the flat: electrons for each pixel.
    gain, read_noise
        e-/ADU and e- rms of each amplifier by name.
    """

    detector: int
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    flux: npt.NDArray[np.float64]
    magnitude: npt.NDArray[np.float64]
    saturated: npt.NDArray[np.bool_]
    psf: Psf | None
    sky: float
    gain: dict[str, float]
    read_noise: dict[str, float]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """One detector as it is read out.

    Attributes
    ----------
    layout
        Geometry of the segments.
    segments
        ADU, shape ``(amplifier, row, column)``, amplifiers in the order of the file.
    truth
        What was put into them.
    """

    layout: Layout
    segments: npt.NDArray[np.int32]
    truth: DetectorTruth


def render_detector(exposure: ExposurePlan, detector: int, *, scale: float = 1.0, seed: int = 0) -> Rendered:
    """Return the pixels of one detector, the same for the same arguments.

    Each pixel that is read holds its level, plus light times response and dark current up to the full well,
    with Gaussian noise whose variance is the number of electrons (Poisson's, in the limit of many) plus the
    square of the read noise, divided by the gain and rounded.  The level of each amplifier wanders by 2 ADU
    (rms) from exposure to exposure, in imaging area and overscan alike.

    Parameters
    ----------
    exposure
        The exposure.
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
    sensor = sensor_of(exposure.instrument, detector, scale=scale, seed=seed)
    random = generator(Use.PIXELS, seed, exposure.instrument, exposure.id, detector)
    light, truth = _illuminate(exposure, detector, sensor, seed)
    if light is None:
        light = np.zeros(sensor.layout.shape, np.float32)
    else:
        light *= sensor.response
    light.ravel()[sensor.hot_pixels] += sensor.hot_rates * np.float32(exposure.exposure_time)
    return Rendered(sensor.layout, _read_out(light, sensor, exposure.exposure_time, random), truth)


def _illuminate(
    exposure: ExposurePlan, detector: int, sensor: Sensor, seed: int
) -> tuple[npt.NDArray[np.float32] | None, DetectorTruth]:
    """Return the electrons of a perfect sensor, with the truth; `None` in the dark."""
    shape = sensor.layout.shape
    match exposure.type:
        case ImageType.FLAT:
            level = exposure.flat_level / sensor.mean_response
            return np.full(shape, level, np.float32), _truth(detector, sensor, sky=exposure.flat_level)
        case ImageType.SCIENCE:
            pass
        case _:
            return None, _truth(detector, sensor, sky=0.0)
    camera = load_camera(exposure.instrument)
    band = band_of(exposure.physical_filter)
    psf = psf_at(camera[detector], exposure.instrument, exposure.id, seed)
    stars = stars_on(
        camera[detector], shape, exposure.instrument, exposure.id, seed, margin=margin_of(psf) + 1.0
    )
    sky = exposure.exposure_time * 10 ** (0.4 * (band.zero_point - band.sky)) * camera.pixel_scale**2
    light = np.full(shape, sky, np.float32)
    add_stars(light, stars, stars.rate * exposure.exposure_time, psf)
    return light, _truth(detector, sensor, sky, stars, psf, exposure.exposure_time, band.zero_point)


def _truth(
    detector: int,
    sensor: Sensor,
    sky: float,
    stars: Stars | None = None,
    psf: Psf | None = None,
    exposure_time: float = 0.0,
    zero_point: float = 0.0,
) -> DetectorTruth:
    names = [segment.amplifier for segment in sensor.layout.segments]
    gain = dict(zip(names, sensor.gain.tolist(), strict=True))
    read_noise = dict(zip(names, sensor.read_noise.tolist(), strict=True))
    if stars is None or psf is None:
        none = np.empty(0)
        return DetectorTruth(
            detector, none, none, none, none, none.astype(np.bool_), None, sky, gain, read_noise
        )
    rows, columns = sensor.layout.shape
    on = (stars.x >= -0.5) & (stars.x < columns - 0.5) & (stars.y >= -0.5) & (stars.y < rows - 0.5)
    x, y, rate = stars.x[on], stars.y[on], stars.rate[on]
    response = sensor.mean_response
    flux = rate * exposure_time * response
    peak = flux / (2 * np.pi * psf.sigma**2) + sky * response
    return DetectorTruth(
        detector=detector,
        x=x,
        y=y,
        flux=flux,
        magnitude=zero_point - 2.5 * np.log10(rate),
        saturated=peak > float(sensor.full_well.min()),
        psf=psf,
        sky=sky * response,
        gain=gain,
        read_noise=read_noise,
    )


def _read_out(
    light: npt.NDArray[np.float32], sensor: Sensor, seconds: float, random: np.random.Generator
) -> npt.NDArray[np.int32]:
    layout = sensor.layout
    count = len(layout.segments)
    pixels = np.zeros((count, *layout.raw_shape), np.float32)
    for i, segment in enumerate(layout.segments):
        data = pixels[i][layout.data]
        np.add(layout.on_detector(segment, light), sensor.dark[i] * np.float32(seconds), out=data)
        np.minimum(data, sensor.full_well[i], out=data)
    each = (slice(None), None, None)
    noise = pixels + sensor.read_noise[each] ** 2
    np.sqrt(noise, out=noise)
    noise *= random.standard_normal(noise.shape, np.float32)
    pixels += noise
    pixels /= sensor.gain[each]
    pixels += sensor.bias
    pixels += random.normal(0.0, _BIAS_DRIFT, count).astype(np.float32)[each]
    np.rint(pixels, out=pixels)
    np.clip(pixels, 0, ADC_CEILING, out=pixels)
    return pixels.astype(np.int32)
