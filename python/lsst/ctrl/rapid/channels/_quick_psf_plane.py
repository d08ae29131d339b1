"""Size and shape of the stars over the focal plane."""

# The fields of pex_config have no annotations.
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

__all__ = ("QuickPsfPlaneConfig", "QuickPsfPlaneConnections", "QuickPsfPlaneTask")

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from astropy.table import Table

from lsst.ctrl.rapid.instruments import Camera, CameraDetector, load_camera
from lsst.daf.butler import DeferredDatasetHandle
from lsst.pex.config import Field
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

from ._focal_plane import shown_detectors
from ._observation import Observation
from ._plane_plots import Whisker, plot_psf_plane

_EXPOSURE = ("instrument", "exposure")
_DETECTOR = ("instrument", "exposure", "detector")


class QuickPsfPlaneConnections(PipelineTaskConnections, dimensions=_EXPOSURE):
    """Inputs and outputs of `QuickPsfPlaneTask`."""

    catalogs = Input(
        name="quick_source_catalog",
        storageClass="ArrowAstropy",
        dimensions=_DETECTOR,
        multiple=True,
        deferLoad=True,
        doc="Sources of the detectors, for the ellipticity.",
    )
    summaries = Input(
        name="quick_detector_summary",
        storageClass="StructuredDataDict",
        dimensions=_DETECTOR,
        multiple=True,
        deferLoad=True,
        doc="Seeing of the detectors.",
    )
    plot = Output(
        name="quick_psf_plane_plot",
        storageClass="Plot",
        dimensions=_EXPOSURE,
        doc="FWHM by detector, with whiskers of ellipticity.",
    )


class QuickPsfPlaneConfig(PipelineTaskConfig, pipelineConnections=QuickPsfPlaneConnections):
    """What is drawn."""

    wholePlane = Field[bool](
        doc="Show all science detectors? Otherwise the plane between the outermost rafts with a summary.",
        default=False,
    )
    cells = Field[int](
        doc="Each detector has this many whiskers a side.", default=2, check=lambda value: value >= 1
    )
    minStars = Field[int](doc="Stars that a whisker needs.", default=2, check=lambda value: value >= 1)


class QuickPsfPlaneTask(PipelineTask):
    """Draw how the PSF varies over the focal plane."""

    ConfigClass: ClassVar[type[QuickPsfPlaneConfig]] = QuickPsfPlaneConfig
    _DefaultName: ClassVar[str] = "quickPsfPlane"
    config: QuickPsfPlaneConfig

    def runQuantum(
        self,
        butlerQC: QuantumContext,
        inputRefs: InputQuantizedConnection,
        outputRefs: OutputQuantizedConnection,
    ) -> None:
        """Run with the handles of a quantum, and write the plot."""
        observation = Observation.of_quantum(butlerQC)
        butlerQC.put(self.run(**butlerQC.get(inputRefs), observation=observation), outputRefs)

    def run(
        self,
        catalogs: Iterable[DeferredDatasetHandle],
        summaries: Iterable[DeferredDatasetHandle],
        *,
        observation: Observation,
    ) -> Struct:
        """Draw one exposure.

        Parameters
        ----------
        catalogs, summaries
            Handles of the detectors' catalogues and summaries; their data IDs name the detectors.
        observation
            The exposure.

        Returns
        -------
        result
            With ``plot``, a `~matplotlib.figure.Figure`; detectors without stars are hatched.

        Raises
        ------
        LookupError
            If the instrument is not of the LSSTCam family.
        """
        camera = load_camera(observation.instrument)
        records = {
            number: handle.get()
            for handle in summaries
            if (number := int(handle.dataId["detector"])) in camera
        }
        fwhm = {
            number: record["psf_fwhm"] for number, record in records.items() if record["psf_fwhm"] is not None
        }
        whiskers = [
            whisker
            for handle in catalogs
            if (number := int(handle.dataId["detector"])) in fwhm
            for whisker in self._whiskers(camera[number], handle.get(), records[number])
        ]
        plot = plot_psf_plane(
            fwhm,
            whiskers,
            camera,
            shown=shown_detectors(camera, records.keys(), whole=self.config.wholePlane),
            observation=observation,
            subtitle=_subtitle(camera, list(fwhm.values()), whiskers),
        )
        return Struct(plot=plot)

    def _whiskers(
        self, detector: CameraDetector, catalog: Table, summary: Mapping[str, Any]
    ) -> list[Whisker]:
        """Return the median ellipticity in each cell of a detector."""
        stars = catalog[catalog["psf_star"]]
        if len(stars) == 0:
            return []
        cells = self.config.cells
        # The summary's size, not the camera's: an image of a part of the detector fills its slot, too.
        column = np.clip((np.asarray(stars["x"]) * cells / summary["columns"]).astype(int), 0, cells - 1)
        row = np.clip((np.asarray(stars["y"]) * cells / summary["rows"]).astype(int), 0, cells - 1)
        result = []
        for number in range(cells * cells):
            inside = (row * cells + column) == number
            if np.count_nonzero(inside) < self.config.minStars:
                continue
            e1, e2 = (float(np.median(stars[name][inside])) for name in ("e1", "e2"))
            x_mm, y_mm = detector.to_focal_plane(
                (number % cells + 0.5) * detector.columns / cells - 0.5,
                (number // cells + 0.5) * detector.rows / cells - 0.5,
            )
            result.append(Whisker(x_mm, y_mm, math.hypot(e1, e2), _angle_on_plane(detector, e1, e2)))
        return result


def _angle_on_plane(detector: CameraDetector, e1: float, e2: float) -> float:
    """Return the direction of the major axis on the focal plane, radians from x towards y."""
    angle = 0.5 * math.atan2(e2, e1)
    x0, y0 = detector.to_focal_plane(0.0, 0.0)
    x1, y1 = detector.to_focal_plane(math.cos(angle), math.sin(angle))
    return math.atan2(y1 - y0, x1 - x0)


def _subtitle(camera: Camera, fwhm: list[float], whiskers: list[Whisker]) -> str:
    if not fwhm:
        return "no stars"
    text = f'median FWHM {np.median(fwhm):.2f}" on {len(fwhm)} of {len(camera.science)} detectors'
    if whiskers:
        text += f", e {np.median([whisker.ellipticity for whisker in whiskers]):.3f}"
    return text
