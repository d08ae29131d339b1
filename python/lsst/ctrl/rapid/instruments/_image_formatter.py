"""Images written for speed."""

from __future__ import annotations

__all__ = ("UncompressedFormatter",)

from typing import override

from lsst.images.fits import FitsCompressionOptions
from lsst.images.formatters import GenericFormatter


class UncompressedFormatter(GenericFormatter):
    """Writes images of `lsst.images` as FITS without compression.

    Notes
    -----
    Upstream's default compresses losslessly, which takes longer than all else in a quick look (220 ms
    instead of 32 ms for 512 x 500 pixels with mask and variance).
    """

    @override
    def _get_compression_options(self) -> dict[str, FitsCompressionOptions]:
        planes: dict[str, FitsCompressionOptions | None] = dict.fromkeys(("image", "mask", "variance"))
        return planes  # type: ignore[return-value]  # None is upstream's word for no compression
