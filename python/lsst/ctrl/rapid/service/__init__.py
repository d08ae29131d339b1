"""Wires the parts and owns start and stop."""

from ._executor import *
from ._settings import *
from ._status import *
