"""The pixel frame of assembled detectors, which products and calibrations must share."""

from __future__ import annotations

__all__ = ("FRAME_KEY", "PIXEL_FRAME", "RUN_DOC")

PIXEL_FRAME = "cameraGeom"
"""Frame of the images and catalogues that this version writes: that of the LSST Science Pipelines.

Version 0.1 had the rows of each detector reversed, as the ``DETSEC`` cards of the cameras have them.
"""

FRAME_KEY = "pixel_frame"
"""Where the frame is recorded: in the metadata of images, and under ``rapid`` in ``butler.yaml``."""

RUN_DOC = f"Pixel frame: {PIXEL_FRAME}."
"""Documentation of each RUN that the executor writes."""
