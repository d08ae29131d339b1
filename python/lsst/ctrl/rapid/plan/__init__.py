"""Pipelines compiled against a repository, and quanta made from memory."""

from ._builders import *
from ._calibrations import *
from ._compile import *
from ._conflicts import *
from ._describe import *
from ._messages import *
from ._quanta import *
from ._records import *
from ._registry import *
from ._runs import *
from ._scope import *
from ._select import *
from ._source import *
from ._steps import *
from ._where import *
