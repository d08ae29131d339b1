"""The words of the house: frozen, validated, without I/O beyond reading their own files."""

from ._base import *
from ._config import *
from ._control import *
from ._day import *
from ._faults import *
from ._numbers import *
from ._plan import *
from ._policy import *
from ._printable import *
from ._report import *
from ._shard import *
from ._times import *
