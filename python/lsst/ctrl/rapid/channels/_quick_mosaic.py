"""The focal plane of an exposure in one picture."""

# The fields of pex_config have no annotations.
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

__all__ = ("QuickMosaicConfig", "QuickMosaicConnections", "QuickMosaicTask")

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import astropy.units as u
import numpy as np

from lsst.ctrl.rapid.instruments import PIXEL_MM, Camera, UncompressedFormatter, load_camera
from lsst.daf.butler import DeferredDatasetHandle, FormatterV2
from lsst.images import Image
from lsst.pex.config import ChoiceField, Field
from lsst.pipe.base import (
    InputQuantizedConnection,
    NoWorkFound,
    OutputQuantizedConnection,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantumContext,
    Struct,
)
from lsst.pipe.base.connectionTypes import Input, Output

from ._focal_plane import Bounds, PlaneGrid, detector_bounds, shown_detectors
from ._observation import Observation
from ._plane_plots import Stretch, plot_focal_plane

_EXPOSURE = ("instrument", "exposure")


class QuickMosaicConnections(PipelineTaskConnections, dimensions=_EXPOSURE):
    """Inputs and outputs of `QuickMosaicTask`."""

    binned = Input(
        name="quick_binned_image",
        storageClass="ImageV2",
        dimensions=("instrument", "exposure", "detector"),
        multiple=True,
        deferLoad=True,
        doc="Small pictures of the detectors.",
    )
    mosaic = Output(
        name="quick_focal_plane_mosaic",
        storageClass="ImageV2",
        dimensions=_EXPOSURE,
        doc="The focal plane, least x and y first; NaN where there is nothing.",
    )
    plot = Output(
        name="quick_focal_plane_plot",
        storageClass="Plot",
        dimensions=_EXPOSURE,
        doc="The focal plane above the sky, with rafts and scale.",
    )


class QuickMosaicConfig(PipelineTaskConfig, pipelineConnections=QuickMosaicConnections):
    """How large, and how it looks."""

    side = Field[int](
        doc="Most pixels along a side of the mosaic.", default=2000, check=lambda value: value >= 64
    )
    wholePlane = Field[bool](
        doc="Show all science detectors? Otherwise the plane between the outermost rafts that have an image.",
        default=False,
    )
    subtractSky = Field[bool](doc="In the plot, subtract each detector's median?", default=True)
    stretch = ChoiceField[str](
        doc="How pixel values become grey levels in the plot.",
        allowed={
            "asinh": "Linear near the sky, logarithmic in stars.",
            "zscale": "Linear, by the zscale rule.",
        },
        default="asinh",
    )


@dataclasses.dataclass(slots=True)
class _Small:
    """One detector as it goes into the mosaic."""

    pixels: np.ndarray[Any, Any]
    covered: tuple[float, float]
    sky: float
    unit: u.UnitBase | None

    @classmethod
    def of(cls, image: Image) -> _Small:
        pixels = image.array
        native = image.metadata.native
        factor = native.get("binning")
        rows, columns = native.get("rows"), native.get("columns")
        covered = (float(pixels.shape[0]), float(pixels.shape[1]))
        if isinstance(factor, int) and isinstance(rows, int) and isinstance(columns, int):
            covered = (rows / factor, columns / factor)
        finite = pixels[np.isfinite(pixels)]
        return cls(pixels, covered, float(np.median(finite)) if finite.size else 0.0, image.unit)


class QuickMosaicTask(PipelineTask):
    """Put the detectors of an exposure where they lie on the focal plane, and draw it."""

    ConfigClass: ClassVar[type[QuickMosaicConfig]] = QuickMosaicConfig
    _DefaultName: ClassVar[str] = "quickMosaic"
    output_formatters: ClassVar[Mapping[str, type[FormatterV2]]] = {"mosaic": UncompressedFormatter}
    config: QuickMosaicConfig

    def runQuantum(
        self,
        butlerQC: QuantumContext,
        inputRefs: InputQuantizedConnection,
        outputRefs: OutputQuantizedConnection,
    ) -> None:
        """Run with the handles of a quantum, and write the mosaic and the plot."""
        observation = Observation.of_quantum(butlerQC)
        butlerQC.put(self.run(**butlerQC.get(inputRefs), observation=observation), outputRefs)

    def run(self, binned: Iterable[DeferredDatasetHandle], *, observation: Observation) -> Struct:
        """Make the mosaic of one exposure.

        Parameters
        ----------
        binned
            Handles of the detectors' binned images; their data IDs name the detectors.
        observation
            The exposure.

        Returns
        -------
        result
            With ``mosaic`` (`~lsst.images.Image`, float32, unit of the input, sky included; metadata
            ``x_min_mm``, ``y_min_mm``, ``mm_per_pixel`` say where its first pixel's corner lies and how large
            a pixel is) and ``plot`` (`~matplotlib.figure.Figure`).  A detector that was read in part, or made
            small, fills its slot.

        Raises
        ------
        LookupError
            If the instrument is not of the LSSTCam family.
        lsst.pipe.base.NoWorkFound
            If no image is of a detector of the camera.
        """
        camera = load_camera(observation.instrument)
        images = {
            number: _Small.of(handle.get())
            for handle in binned
            if (number := int(handle.dataId["detector"])) in camera
        }
        if not images:
            raise NoWorkFound(f"No binned image of a detector of {observation.instrument} for {observation}.")
        shown = shown_detectors(camera, images.keys(), whole=self.config.wholePlane)
        grid = PlaneGrid.covering(
            Bounds.hull(detector_bounds(camera[number]) for number in shown),
            finest=_finest(camera, images),
            most=self.config.side,
        )
        unit = next(iter(images.values())).unit
        mosaic = _assemble(camera, grid, images, subtract_sky=False)
        picture = _assemble(camera, grid, images, subtract_sky=True) if self.config.subtractSky else mosaic
        plot = plot_focal_plane(
            picture,
            grid.bounds,
            camera,
            shown=shown,
            present=images.keys(),
            observation=observation,
            unit=unit,
            stretch=Stretch(self.config.stretch),
            above_sky=self.config.subtractSky,
        )
        metadata: dict[str, str | int | float | bool | None] = {
            "instrument": observation.instrument,
            "exposure": observation.exposure,
            "n_detectors": len(images),
            "x_min_mm": grid.bounds.x_min,
            "y_min_mm": grid.bounds.y_min,
            "mm_per_pixel": grid.step,
        }
        return Struct(mosaic=Image(mosaic, unit=unit, metadata=metadata), plot=plot)


def _finest(camera: Camera, images: dict[int, _Small]) -> float:
    """Return the side of the smallest binned pixel on the plane, millimetres: finer would show no more."""
    return min(camera[number].columns * PIXEL_MM / image.covered[1] for number, image in images.items())


def _assemble(
    camera: Camera, grid: PlaneGrid, images: dict[int, _Small], *, subtract_sky: bool
) -> np.ndarray[Any, np.dtype[np.float32]]:
    picture = np.full(grid.shape, np.nan, dtype=np.float32)
    for number, image in images.items():
        pixels = image.pixels - np.float32(image.sky) if subtract_sky else image.pixels
        grid.place(picture, camera[number], pixels, image.covered)
    return picture
