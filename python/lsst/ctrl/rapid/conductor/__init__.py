"""Which shard runs when and where."""

from ._conductor import *
from ._progress import StepRule as StepRule
