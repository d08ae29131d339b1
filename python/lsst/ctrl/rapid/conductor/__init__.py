"""Which shard runs when and where."""

from ._choice import *
from ._conductor import *
from ._day import DayBefore as DayBefore
from ._decisions import *
from ._detectors import *
from ._exposure import Gathering as Gathering
from ._instrument_patterns import *
from ._patterns import *
from ._steps import StepRule as StepRule
