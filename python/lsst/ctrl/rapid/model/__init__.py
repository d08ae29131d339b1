"""The words of the house: frozen, validated, without I/O beyond reading their own files."""

from ._base import *
from ._config import *
from ._control import *
from ._day import *
from ._faults import *
from ._input_error import *
from ._log import *
from ._names import *
from ._nearest import *
from ._numbers import *
from ._plan import *
from ._policy import *
from ._printable import *
from ._reading import *
from ._report import *
from ._sent import *
from ._shard import *
from ._times import *
from ._workers import *
