"""The one writer of the registry."""

from ._committer import *
from ._dimensions import *
from ._export import *
from ._items import *
from ._ledger import *
from ._registrar import *
