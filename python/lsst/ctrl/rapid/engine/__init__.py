"""Warm workers on Dask: one shard at a time on each, state kept between shards."""

from ._explicit import *
from ._messages import *
from ._pool import *
from ._state import *
from ._worker import *
