"""Which shard runs when and where."""

from ._conductor import *
