"""Looks before the night whether a run could do its work: one line on each thing, and what to do about it."""

from ._checks import *
from ._finding import *
from ._place import *
