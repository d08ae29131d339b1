"""Which shard runs when and where."""

from ._conductor import *
from ._exposure import StepRule as StepRule
