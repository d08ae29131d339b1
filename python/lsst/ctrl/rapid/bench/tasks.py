"""Two tiny per-detector tasks: what it costs to run them is what the framework costs."""

from __future__ import annotations

__all__ = ("TinyImageConfig", "TinyImageTask", "TinyStatisticsConfig", "TinyStatisticsTask")

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lsst.pipe.base import PipelineTask, PipelineTaskConfig, PipelineTaskConnections, Struct
from lsst.pipe.base.connectionTypes import Input, Output, PrerequisiteInput

from ..instruments import RAW_STORAGE_CLASS, RawImage

_DETECTOR = ("instrument", "exposure", "detector")


class TinyImageConnections(PipelineTaskConnections, dimensions=_DETECTOR):
    """What `TinyImageTask` reads and writes."""

    raw = Input(name="raw", storageClass=RAW_STORAGE_CLASS, dimensions=_DETECTOR, doc="Raw.")
    bias = PrerequisiteInput(
        name="tiny_bias",
        storageClass="NumpyArray",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        doc="Level to subtract, ADU; one number for each amplifier.",
    )
    image = Output(
        name="tiny_image",
        storageClass="NumpyArray",
        dimensions=_DETECTOR,
        doc="Mean of each amplifier less its bias, ADU.",
    )


class TinyImageConfig(PipelineTaskConfig, pipelineConnections=TinyImageConnections):
    """Nothing can be configured."""


class TinyImageTask(PipelineTask):
    """Makes an image of one pixel for each amplifier."""

    ConfigClass: ClassVar = TinyImageConfig
    _DefaultName: ClassVar = "tinyImage"

    def run(self, raw: RawImage, bias: npt.NDArray[np.float32]) -> Struct:
        """Return the image.

        Parameters
        ----------
        raw
            The raw.
        bias
            Level of each amplifier, ADU.
        """
        means = [segment.array.mean() for segment in raw.segments]
        return Struct(image=np.array(means, np.float32) - bias)


class TinyStatisticsConnections(PipelineTaskConnections, dimensions=_DETECTOR):
    """What `TinyStatisticsTask` reads and writes."""

    image = Input(name="tiny_image", storageClass="NumpyArray", dimensions=_DETECTOR, doc="Image.")
    statistics = Output(
        name="tiny_statistics",
        storageClass="StructuredDataDict",
        dimensions=_DETECTOR,
        doc="Mean and standard deviation of the image, ADU.",
    )


class TinyStatisticsConfig(
    PipelineTaskConfig,
    pipelineConnections=TinyStatisticsConnections,
):
    """Nothing can be configured."""


class TinyStatisticsTask(PipelineTask):
    """Describes the image by two numbers."""

    ConfigClass: ClassVar = TinyStatisticsConfig
    _DefaultName: ClassVar = "tinyStatistics"

    def run(self, image: npt.NDArray[np.float32]) -> Struct:
        """Return the statistics.

        Parameters
        ----------
        image
            The image.
        """
        return Struct(statistics={"mean": float(image.mean()), "std": float(image.std())})
