"""A camera that writes raws in the real format at a cadence, with the truth of what is in them.

`simulate` writes files; `render_detector` makes the pixels of one; `expected_calibrations` is the noise-free
truth of a sensor, which calibrations made from simulated exposures approach.  `FaultPlan` and `Schedule` tell
what goes wrong and when, also where there are no files.
"""

from ._clock import Clock
from ._config import SimulationConfig
from ._exposure import SentExposure, SentRaw
from ._fate import Fate, FaultPlan, Injection, Sending
from ._faults import Burst, Duplicate, Fault, FaultKind, Late, Missing, OutOfOrder, parse_fault
from ._files import RawEncoder
from ._geometry import Layout, Segment, layout_of
from ._render import DetectorTruth, Rendered, render_detector
from ._schedule import Schedule
from ._sensor import DemoCalibrations, expected_calibrations
from ._sequence import ExposurePlan, ImageType
from ._simulate import simulate
from ._sky import Psf

__all__ = (
    "Burst",
    "Clock",
    "DemoCalibrations",
    "DetectorTruth",
    "Duplicate",
    "ExposurePlan",
    "Fate",
    "Fault",
    "FaultKind",
    "FaultPlan",
    "ImageType",
    "Injection",
    "Late",
    "Layout",
    "Missing",
    "OutOfOrder",
    "Psf",
    "RawEncoder",
    "Rendered",
    "Schedule",
    "Segment",
    "Sending",
    "SentExposure",
    "SentRaw",
    "SimulationConfig",
    "expected_calibrations",
    "layout_of",
    "parse_fault",
    "render_detector",
    "simulate",
)
