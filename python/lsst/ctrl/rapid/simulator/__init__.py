"""A camera that writes raws in the real format at a cadence, with the truth of what is in them.

`simulate` writes files; `render_detector` makes the pixels of one; `expected_calibrations` is the noise-free
truth of a sensor, which calibrations made from simulated exposures approach.
"""

from ._config import SimulationConfig
from ._files import RawEncoder
from ._geometry import Layout, Segment, layout_of
from ._render import DetectorTruth, Rendered, render_detector
from ._sensor import DemoCalibrations, expected_calibrations
from ._sequence import ExposurePlan, ImageType
from ._simulate import SentExposure, SentRaw, simulate
from ._sky import Psf

__all__ = (
    "DemoCalibrations",
    "DetectorTruth",
    "ExposurePlan",
    "ImageType",
    "Layout",
    "Psf",
    "RawEncoder",
    "Rendered",
    "Segment",
    "SentExposure",
    "SentRaw",
    "SimulationConfig",
    "expected_calibrations",
    "layout_of",
    "render_detector",
    "simulate",
)
