"""An executor under random faults for a while, and afterwards the balance of everything that was sent."""

from ._config import *
from ._memory import *
from ._result import *
from ._soak import *
