"""The one writer of the registry."""

from ._committer import *
from ._dimensions import *
from ._export import *
from ._items import *
from ._ledger import *
from ._output_lock import *
from ._registrar import *
from ._spool import *
from ._spooled import *
