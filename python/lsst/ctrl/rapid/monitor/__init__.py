"""Times, metrics and the report of a run."""

from ._files import *
from ._free import *
from ._plot import *
from ._record import *
from ._table import *
