"""Stars and sky of one detector: how good the image is."""

# The fields of pex_config have no annotations.
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

__all__ = ("QuickSourcesConfig", "QuickSourcesConnections", "QuickSourcesTask")

import math
from typing import Any, ClassVar

import numpy as np

from lsst.ctrl.rapid.instruments import Camera, load_camera
from lsst.images import MaskedImage
from lsst.pex.config import Field, ListField
from lsst.pipe.base import (
    InputQuantizedConnection,
    OutputQuantizedConnection,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantumContext,
    Struct,
)
from lsst.pipe.base.connectionTypes import Input, Output

from ._detection import measure_background, usable_pixels
from ._observation import Observation
from ._source_catalog import SourceLimits, empty_catalog, measure_sources
from ._statistics import finite_or_none

_DETECTOR = ("instrument", "exposure", "detector")


class QuickSourcesConnections(PipelineTaskConnections, dimensions=_DETECTOR):
    """Inputs and outputs of `QuickSourcesTask`; without detection there is no catalogue."""

    image = Input(
        name="quick_isr_image", storageClass="MaskedImageV2", dimensions=_DETECTOR, doc="Reduced detector."
    )
    catalog = Output(
        name="quick_source_catalog",
        storageClass="ArrowAstropy",
        dimensions=_DETECTOR,
        doc="Sources of one detector, brightest first.",
    )
    summary = Output(
        name="quick_detector_summary",
        storageClass="StructuredDataDict",
        dimensions=_DETECTOR,
        doc="Sky, noise, seeing and shape of the stars of one detector.",
    )

    def __init__(self, *, config: QuickSourcesConfig) -> None:
        super().__init__(config=config)
        if not config.doDetection:
            del self.catalog


class QuickSourcesConfig(PipelineTaskConfig, pipelineConnections=QuickSourcesConnections):
    """What counts as a source, and what as a star."""

    doDetection = Field[bool](
        doc="Look for sources? Otherwise only the level and noise of the image are measured.", default=True
    )
    threshold = Field[float](
        doc="Signal-to-noise ratio of a filtered pixel that belongs to a source.",
        default=5.0,
        check=lambda value: value > 0.0,
    )
    minArea = Field[int](doc="Least number of such pixels.", default=5, check=lambda value: value >= 1)
    backgroundMesh = Field[int](
        doc="Side of the boxes in which the sky is measured, pixels.",
        default=128,
        check=lambda value: value >= 16,
    )
    badMaskPlanes = ListField[str](doc="Pixels that are not looked at.", default=["BAD", "NO_DATA"])
    apertureRadius = Field[float](doc="Radius of the aperture in units of the FWHM.", default=2.0)
    maxSources = Field[int](doc="Number of sources, brightest first, whose shape is measured.", default=5000)
    starSignalToNoise = Field[float](doc="Least signal-to-noise ratio of a star for the PSF.", default=50.0)
    starSizeRange = Field[float](
        doc="Largest relative difference between a star's size and that of most stars.", default=0.15
    )


class QuickSourcesTask(PipelineTask):
    """Find the sources of one detector and say what the sky and the PSF are."""

    ConfigClass: ClassVar[type[QuickSourcesConfig]] = QuickSourcesConfig
    _DefaultName: ClassVar[str] = "quickSources"
    config: QuickSourcesConfig

    def runQuantum(
        self,
        butlerQC: QuantumContext,
        inputRefs: InputQuantizedConnection,
        outputRefs: OutputQuantizedConnection,
    ) -> None:
        """Read the image of a quantum, run, and write the catalogue and the summary."""
        observation = Observation.of_quantum(butlerQC)
        butlerQC.put(self.run(**butlerQC.get(inputRefs), observation=observation), outputRefs)

    def run(self, image: MaskedImage, *, observation: Observation) -> Struct:
        """Measure one detector.

        Parameters
        ----------
        image
            Reduced detector, electrons; not modified.
        observation
            The exposure; its instrument gives the pixel scale.

        Returns
        -------
        result
            With ``catalog`` (`~astropy.table.Table`; `measure_sources` says which columns; absent without
            detection) and ``summary``, a `dict` of plain values: ``sky`` and ``noise`` (electrons per pixel),
            ``n_sources``, ``n_psf_stars``, ``psf_fwhm`` (arcsec) and ``psf_fwhm_pixels`` (medians over the
            PSF stars), ``psf_e1``, ``psf_e2``, ``psf_e`` (medians), and whose they are.  What could not be
            measured is `None`.

        Raises
        ------
        LookupError
            If the instrument is not of the LSSTCam family.
        """
        camera = load_camera(observation.instrument)
        pixels = usable_pixels(image, list(self.config.badMaskPlanes))
        background = measure_background(pixels, self.config.backgroundMesh)
        catalog = empty_catalog()
        if self.config.doDetection:
            catalog = measure_sources(image, pixels, background, camera.pixel_scale, self._limits())
        stars = catalog[catalog["psf_star"]]
        summary: dict[str, Any] = {
            "instrument": observation.instrument,
            "exposure": observation.exposure,
            "detector": observation.detector,
            "detector_name": _name(camera, observation.detector),
            "physical_filter": observation.physical_filter,
            "exposure_time": observation.exposure_time,
            "rows": image.image.array.shape[0],
            "columns": image.image.array.shape[1],
            "sky": finite_or_none(background.level),
            "noise": finite_or_none(background.noise),
            "unit": str(image.unit),
            "bad_fraction": float(np.mean(pixels.bad)),
            "n_sources": len(catalog),
            "n_psf_stars": len(stars),
            "psf_fwhm": _median(stars["fwhm"]),
            "psf_fwhm_pixels": _median(stars["fwhm_pixels"]),
            "psf_e1": _median(stars["e1"]),
            "psf_e2": _median(stars["e2"]),
            "psf_e": _median(np.hypot(stars["e1"], stars["e2"])),
        }
        if not self.config.doDetection:
            return Struct(summary=summary | {"n_sources": None, "n_psf_stars": None})
        return Struct(catalog=catalog, summary=summary)

    def _limits(self) -> SourceLimits:
        return SourceLimits(
            threshold=self.config.threshold,
            min_area=self.config.minArea,
            aperture=self.config.apertureRadius,
            max_shapes=self.config.maxSources,
            star_snr=self.config.starSignalToNoise,
            star_size_range=self.config.starSizeRange,
        )


def _name(camera: Camera, detector: int | None) -> str | None:
    return camera[detector].name if detector in camera and detector is not None else None


def _median(column: Any) -> float | None:
    values = np.asarray(column, dtype=np.float64)
    return finite_or_none(np.median(values)) if values.size else finite_or_none(math.nan)
