"""A small picture of each detector, for the focal-plane mosaic."""

# The fields of pex_config have no annotations.
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

__all__ = ("QuickBinConfig", "QuickBinConnections", "QuickBinTask")

from collections.abc import Mapping
from typing import ClassVar

from lsst.ctrl.rapid.instruments import UncompressedFormatter
from lsst.daf.butler import FormatterV2
from lsst.images import Image, MaskedImage
from lsst.pex.config import Field, ListField
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, PipelineTaskConnections, Struct
from lsst.pipe.base.connectionTypes import Input, Output

from ._binning import bin_mean
from ._masks import bad_pixels

_DETECTOR = ("instrument", "exposure", "detector")

_SMALLEST_SIDE = 32
"""A binned image is not made smaller than this, pixels."""


class QuickBinConnections(PipelineTaskConnections, dimensions=_DETECTOR):
    """Inputs and outputs of `QuickBinTask`."""

    image = Input(
        name="quick_isr_image", storageClass="MaskedImageV2", dimensions=_DETECTOR, doc="Reduced detector."
    )
    binned = Output(
        name="quick_binned_image",
        storageClass="ImageV2",
        dimensions=_DETECTOR,
        doc="Mean of the usable pixels of each block of the reduced detector.",
    )


class QuickBinConfig(PipelineTaskConfig, pipelineConnections=QuickBinConnections):
    """How much is averaged."""

    binning = Field[int](
        doc="Side of a block, pixels; less for a detector that would become very small.",
        default=8,
        check=lambda value: value >= 1,
    )
    badMaskPlanes = ListField[str](
        doc="Pixels left out. Saturated ones are kept: a bright star without its core is no picture.",
        default=["BAD", "NO_DATA"],
    )


class QuickBinTask(PipelineTask):
    """Average blocks of pixels of one detector."""

    ConfigClass: ClassVar[type[QuickBinConfig]] = QuickBinConfig
    _DefaultName: ClassVar[str] = "quickBin"
    output_formatters: ClassVar[Mapping[str, type[FormatterV2]]] = {"binned": UncompressedFormatter}
    config: QuickBinConfig

    def run(self, image: MaskedImage) -> Struct:
        """Bin one detector.

        Parameters
        ----------
        image
            Reduced detector; not modified.

        Returns
        -------
        result
            With ``binned``: `~lsst.images.Image`, float32, unit of the input, NaN where a block has no usable
            pixel.  Its metadata are the input's, and ``binning`` (pixels), ``rows`` and ``columns`` (of the
            detector).
        """
        rows, columns = image.image.array.shape
        factor = max(1, min(self.config.binning, min(rows, columns) // _SMALLEST_SIDE))
        binned = bin_mean(image.image.array, factor, bad_pixels(image.mask, self.config.badMaskPlanes))
        metadata = dict(image.metadata.native) | {"binning": factor, "rows": rows, "columns": columns}
        return Struct(binned=Image(binned, unit=image.unit, metadata=metadata))
