"""Which shard runs when and where."""

from ._conductor import *
from ._detectors import *
from ._instrument_patterns import *
from ._patterns import *
from ._progress import StepRule as StepRule
