"""Wires the parts and owns start and stop."""

from ._again import start_again as start_again
from ._compiled import *
from ._detectors import camera_detectors as camera_detectors
from ._executor import *
from ._feeding import Feeder as Feeder
from ._settings import *
from ._status import *
from ._wiring import worker_setup as worker_setup
