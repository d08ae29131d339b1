"""Two tiny per-detector tasks: what it costs to run them is what the framework costs."""

from __future__ import annotations

__all__ = ("TinyImageConfig", "TinyImageTask", "TinyStatisticsConfig", "TinyStatisticsTask")

from typing import ClassVar

import numpy as np
import numpy.typing as npt

import lsst.pipe.base as pb
import lsst.pipe.base.connectionTypes as ct

from ..instruments import RAW_STORAGE_CLASS, RawImage

_DETECTOR = ("instrument", "exposure", "detector")


class TinyImageConnections(pb.PipelineTaskConnections, dimensions=_DETECTOR):  # type: ignore[misc]
    """What `TinyImageTask` reads and writes."""

    raw = ct.Input(name="raw", storageClass=RAW_STORAGE_CLASS, dimensions=_DETECTOR, doc="Raw.")
    bias = ct.PrerequisiteInput(
        name="tiny_bias",
        storageClass="NumpyArray",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        doc="Level to subtract, ADU; one number for each amplifier.",
    )
    image = ct.Output(
        name="tiny_image",
        storageClass="NumpyArray",
        dimensions=_DETECTOR,
        doc="Mean of each amplifier less its bias, ADU.",
    )


class TinyImageConfig(pb.PipelineTaskConfig, pipelineConnections=TinyImageConnections):  # type: ignore[call-arg, misc]
    """Nothing can be configured."""


class TinyImageTask(pb.PipelineTask):  # type: ignore[misc]
    """Makes an image of one pixel for each amplifier."""

    ConfigClass: ClassVar = TinyImageConfig
    _DefaultName: ClassVar = "tinyImage"

    def run(self, raw: RawImage, bias: npt.NDArray[np.float32]) -> pb.Struct:
        """Return the image.

        Parameters
        ----------
        raw
            The raw.
        bias
            Level of each amplifier, ADU.
        """
        means = [segment.array.mean() for segment in raw.segments]
        return pb.Struct(image=np.array(means, np.float32) - bias)


class TinyStatisticsConnections(pb.PipelineTaskConnections, dimensions=_DETECTOR):  # type: ignore[misc]
    """What `TinyStatisticsTask` reads and writes."""

    image = ct.Input(name="tiny_image", storageClass="NumpyArray", dimensions=_DETECTOR, doc="Image.")
    statistics = ct.Output(
        name="tiny_statistics",
        storageClass="StructuredDataDict",
        dimensions=_DETECTOR,
        doc="Mean and standard deviation of the image, ADU.",
    )


class TinyStatisticsConfig(
    pb.PipelineTaskConfig,  # type: ignore[misc]
    pipelineConnections=TinyStatisticsConnections,  # type: ignore[call-arg]
):
    """Nothing can be configured."""


class TinyStatisticsTask(pb.PipelineTask):  # type: ignore[misc]
    """Describes the image by two numbers."""

    ConfigClass: ClassVar = TinyStatisticsConfig
    _DefaultName: ClassVar = "tinyStatistics"

    def run(self, image: npt.NDArray[np.float32]) -> pb.Struct:
        """Return the statistics.

        Parameters
        ----------
        image
            The image.
        """
        return pb.Struct(statistics={"mean": float(image.mean()), "std": float(image.std())})
