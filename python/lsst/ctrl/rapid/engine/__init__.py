"""Warm workers on Dask, one shard at a time on each; and whole quantum graphs on them."""

from ._explicit import *
from ._graph_executor import *
from ._graph_reports import *
from ._messages import *
from ._pool import *
from ._process import *
from ._state import *
from ._worker import *
